"""Plan by processor time, for machines that do other work: what `medseg plan` would choose if it had the core to itself.

OMP_NUM_THREADS=1 python benchmarks/planning.py DATA BUNDLE --minutes 20 --out plan.yaml
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import bundle_workflow
from medseg_monai.planning import in_config


def main() -> None:
    """Write the plan and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset_dir")
    parser.add_argument("bundle")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--out", type=Path, default=Path("plan.yaml"))
    arguments = parser.parse_args()
    in_config.make_plan = partial(in_config.make_plan, clock=time.process_time)
    values = {"dataset_dir": arguments.dataset_dir}
    values |= {} if arguments.minutes is None else {"minutes": arguments.minutes}
    plan = in_config.bundle_plan(bundle_workflow(find_bundle(arguments.bundle), "train", values))
    # a clock on the wall must not shorten what is planned by processor time
    replace(plan, dataset_dir=arguments.dataset_dir, most_minutes=None).write(arguments.out)
    print(arguments.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
