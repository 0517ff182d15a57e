"""Parsing ``--set KEY=VALUE``. Needs no MONAI, so a mistake is reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """``["lr=0.01", "train#dataloader#num_workers=2"]`` as a dictionary; values are read as YAML.

    Raises:
        ValueError: an assignment without ``=``, or a value that is not YAML.

    >>> parse_assignments(["size=[128, 128]", "precision=bf16"])
    {'size': [128, 128], 'precision': 'bf16'}
    """
    overrides = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise ValueError(f"--set: expected KEY=VALUE, got {assignment!r}")
        overrides[key.strip()] = _value(value, assignment)
    return overrides


def _value(text: str, assignment: str) -> Any:
    """A number, list, text … as YAML reads it; but 1e-3 is a number, which YAML takes for text."""
    try:
        return float(text) if "e" in text.lower() else yaml.safe_load(text)
    except ValueError:
        pass
    except yaml.YAMLError as error:
        raise ValueError(f"--set {assignment}: the value is not valid YAML") from error
    return yaml.safe_load(text)
