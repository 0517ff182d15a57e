"""NVFlare's simulator as a program of its own: ``python -m medseg_monai.federated.flare.simulator JOB WORKSPACE SITE,SITE``.

It changes the working directory and the logging of the process that it runs in. A site has a process of its own for all rounds.
"""

from __future__ import annotations

import sys

from nvflare.private.fed.app.simulator.simulator_runner import SimulatorRunner


def main() -> int:
    """Run a job to its end; returns 0 if it ended as it should."""
    job, workspace, sites = sys.argv[1:]
    runner = SimulatorRunner(
        job_folder=job, workspace=workspace, clients=sites, threads=len(sites.split(",")), log_config="concise"
    )
    return int(runner.run() or 0)


if __name__ == "__main__":
    sys.exit(main())
