"""A bundle's config run for a Python program: cases that could not be used are returned, and do not end the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from medseg_monai.api.noting import notes_of, noting
from medseg_monai.bundle.workflow import bundle_workflow, run_workflow
from medseg_monai.inference.cases import Failure


@dataclass(frozen=True)
class Run:
    """A config that has run.

    Attributes:
        workflow: finished.
        notes: what was warned of, without the failures.
        failures: the cases that could not be used; all others are done.
    """

    workflow: ConfigWorkflow
    notes: tuple[str, ...]
    failures: tuple[Failure, ...] = ()

    def part(self, key: str) -> Any:
        """What a key of the config holds."""
        return self.workflow.parser.get_parsed_content(key)


def run_config(
    bundle: Path,
    config: str,
    values: Mapping[str, Any],
    *,
    assignments: Mapping[str, Any],
    overlays: Sequence[Path] = (),
    tracking: str | None = None,
    verbose: bool = False,
) -> Run:
    """Run a config; arguments and errors are those of `medseg_monai.bundle.workflow.bundle_workflow`.

    Cases that could not be used do not end the program: they are in the result.
    """
    with noting(verbose) as messages:
        workflow = bundle_workflow(
            bundle, config, values, assignments=assignments, overlays=overlays, tracking=tracking
        )
        failures: tuple[Failure, ...] = ()
        try:
            run_workflow(workflow)
        except SystemExit:
            failures = tuple(workflow.parser.get_parsed_content("dataset").failures)
            if not failures:
                raise
    return Run(workflow, notes_of(messages), failures)
