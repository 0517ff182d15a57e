"""The server's part under NVFlare: rounds of sending the network to all sites and averaging what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.workflows.model_controller import ModelController

from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.job import NETWORK, SCORE, TRAIN
from medseg_monai.federated.server import NOT_HEARD_OF, Federation
from medseg_monai.federated.site import Answer
from medseg_monai.program.messages import root_cause


class FederatedAverage(ModelController):  # type: ignore[misc]  # NVFlare is not installed where types are checked
    """Federated averaging (`medseg_monai.federated.server`).

    Args:
        round_seconds: how long a round waits for a site; 0: as long as it takes.
    """

    def __init__(self, round_seconds: int = 0) -> None:
        # a site that fails is reported by name, and the others go on
        super().__init__(persistor_id="", ignore_result_error=True)
        self.round_seconds = round_seconds

    def run(self) -> None:
        """All rounds, then the score of the finished network at each site."""
        config = Path(self.engine.get_workspace().get_app_config_dir(self.fl_ctx.get_job_id()))
        agreement = Agreement.read(config)
        federation = Federation(agreement, Path(self.get_run_dir()) / NETWORK)
        for number in range(agreement.rounds):
            answers = self._ask(TRAIN, federation, number)
            if self.abort_signal.triggered:
                return
            try:
                federation.average(answers)
            except (ValueError, OSError) as error:
                self.panic(str(root_cause(error)))
                return
        federation.scored(self._ask(SCORE, federation, agreement.rounds))

    def _ask(self, task: str, federation: Federation, number: int) -> list[Answer]:
        """Send the network to all sites, and wait for their answers."""
        model = FLModel(
            params_type=ParamsType.FULL,
            params=dict(federation.weights),
            current_round=number,
            total_rounds=federation.agreement.rounds,
            meta={},
        )
        sites = self.sample_clients()
        got = self.send_model_and_wait(task_name=task, data=model, targets=sites, timeout=self.round_seconds)
        return _answers(sites, got)


def _answers(sites: Sequence[str], models: Sequence[FLModel]) -> list[Answer]:
    """What each site answered; whoever sends something, it counts as the site's that NVFlare knows it by."""
    came = {str(model.meta["client_name"]): model for model in models}
    return [_answer(site, came[site]) if site in came else Answer(site, {}, reason=NOT_HEARD_OF) for site in sites]


def _answer(site: str, model: FLModel) -> Answer:
    meta: Mapping[str, Any] = model.meta
    said, reason = meta.get("mean_dice"), str(meta.get("reason", ""))
    try:
        dice = None if said is None else float(said)
    except (TypeError, ValueError):
        return Answer(site, {}, reason=f"a mean Dice that is no number: {said!r:.80}")
    return Answer(site, model.params or {}, meta.get("cases", 0), dice, reason)
