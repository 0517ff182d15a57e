from collections.abc import Callable

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Average
from monai.engines import Workflow

from medseg_monai.outputs.onlookers import has_onlookers


class Writer:
    """Attaches itself to the events of a run, as the one of predictions does."""

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None: ...

    def _begin(self, engine: Engine) -> None: ...


def function(engine: Engine) -> None: ...


@pytest.mark.parametrize(
    ("add", "looked_at"),
    [
        (lambda engine: None, False),
        (lambda engine: engine.add_event_handler(Events.EPOCH_COMPLETED, function), True),
        (lambda engine: engine.add_event_handler(Events.ITERATION_COMPLETED, Writer()), True),  # another one
        (lambda engine: Average().attach(engine, "mean"), True),
    ],
)
def test_only_others_than_the_writer_and_monai_look_on(add: Callable[[Engine], object], looked_at: bool) -> None:
    engine = Workflow(torch.device("cpu"), 1, [{}], postprocessing=lambda case: case)
    writer = Writer()
    writer.attach(engine)
    add(engine)
    assert has_onlookers(engine, writer) is looked_at
