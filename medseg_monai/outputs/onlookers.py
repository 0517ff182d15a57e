"""Whether anything but the writer looks at what an evaluator passes on: a metric, or a handler that a user has added."""

from __future__ import annotations

from typing import Any

from monai.engines.workflow import Workflow

MONAI_ITSELF = Workflow.__module__
"""Where the handlers are defined that MONAI gives every engine: decollating, postprocessing."""


def has_onlookers(engine: Workflow, writer: object) -> bool:
    """Whether an engine has a handler that is neither the writer's nor one that MONAI gives every engine.

    Ignite keeps no public list of them.
    """
    handlers = [entry[0] for entries in engine._event_handlers.values() for entry in entries]
    return any(not _belongs_to(handler, writer) for handler in handlers)


def _belongs_to(handler: Any, writer: object) -> bool:
    owner = getattr(handler, "__self__", handler)
    return owner is writer or getattr(handler, "__module__", None) == MONAI_ITSELF
