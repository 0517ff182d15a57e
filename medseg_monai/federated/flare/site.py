"""A site's part under NVFlare: train on the site's own cases when the server asks."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.job import SCORE, SITE_FILE, TRAIN
from medseg_monai.federated.site import Answer, Site
from medseg_monai.program.messages import root_cause

TRAINED = "trained"
"""Folder in the job's run folder at the site with its own training."""


class TrainAtSite(Executor):  # type: ignore[misc]  # NVFlare is not installed where types are checked
    """Trains the network that the server sends (`medseg_monai.federated.site`).

    A failure is an answer too: the server says the reason with the site's name, and goes on with the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self._site: Site | None = None
        self._abort = Signal()
        self._alone = threading.Lock()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Close the training when the job ends."""
        if event_type == EventType.END_RUN and self._site is not None:
            self._site.close()
            self._site = None

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """One task of the server."""
        if task_name not in (TRAIN, SCORE):
            return make_reply(ReturnCode.TASK_UNKNOWN)
        name = fl_ctx.get_identity_name()
        with self._alone:
            self._abort = abort_signal
            try:
                answer = self._answer(task_name, name, FLModelUtils.from_shareable(shareable), fl_ctx)
            except Exception as error:  # whatever it is, the server is to know of it
                self.log_exception(fl_ctx, f"{name} cannot train")
                cause = root_cause(error)
                text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
                answer = Answer(name, {}, reason=text)
        return FLModelUtils.to_shareable(_model(answer))

    def _answer(self, task: str, name: str, model: FLModel, fl_ctx: FLContext) -> Answer:
        site = self._site = self._site or self._begun(name, fl_ctx)
        if task == SCORE:
            return Answer(name, {}, mean_dice=site.score(model.params))
        return site.train(model.params, model.current_round)

    def _begun(self, name: str, fl_ctx: FLContext) -> Site:
        workspace, job = fl_ctx.get_engine().get_workspace(), fl_ctx.get_job_id()
        config = Path(workspace.get_app_config_dir(job))
        own = json.loads((config / SITE_FILE).read_text(encoding="utf-8"))
        folder = Path(workspace.get_run_dir(job)) / TRAINED
        return Site(
            name, Agreement.read(config), Path(own["dataset_dir"]), folder, stopped=lambda: self._abort.triggered
        )


def _model(answer: Answer) -> FLModel:
    """The answer as NVFlare sends it."""
    meta: dict[str, Any] = {"cases": answer.cases, "mean_dice": answer.mean_dice, "reason": answer.reason}
    return FLModel(params_type=ParamsType.FULL, params=dict(answer.weights), meta=meta)
