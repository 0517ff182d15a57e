"""What a site does: train the network that it is sent on its own cases, and send back the weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ignite.engine import Engine, Events
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.engines import SupervisedTrainer
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

from medseg_monai.bundle.paths import named_bundle
from medseg_monai.bundle.workflow import overridden
from medseg_monai.dataset import read_dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.weights import Arrays, checked, to_arrays, to_tensors
from medseg_monai.training.schedules import RepeatedOneCycleLR

SERVER = "the server"
_STEPS = "lr_scheduler#total_steps"


@dataclass(frozen=True)
class Answer:
    """What a site sends back.

    Attributes:
        site: its name.
        weights: after training on its own cases; empty if it could not.
        cases: number of training cases: how much its weights count.
        mean_dice: of the network that it received, on its own validation cases; None if unknown.
        reason: why it could not, in one line.
    """

    site: str
    weights: Arrays
    cases: int = 0
    mean_dice: float | None = None
    reason: str = ""


class Site:
    """One site's data set, and a bundle that trains on it.

    Args:
        name: of the site.
        agreement: what all sites have in common.
        dataset_dir: its data set.
        folder: folder for its own training: log, history, and the weights of its best epoch.
        stopped: asked after every step: whether to end.

    Raises:
        FileNotFoundError, ValueError: bundle, settings or data set cannot be used, or the data set is not as agreed.
    """

    def __init__(
        self,
        name: str,
        agreement: Agreement,
        dataset_dir: Path,
        folder: Path,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        dataset = read_dataset(dataset_dir)
        agreement.check(dataset.spec)
        self._cases = len(dataset.training)
        self._agreement = agreement
        self._dataset_dir = dataset_dir
        self._folder = folder
        self._stopped = stopped
        self._algo: MonaiAlgo | None = None
        self._expected: Arrays = {}

    def train(self, weights: object, number: object) -> Answer:
        """Score the network with these weights, then train it on this site's cases.

        Args:
            weights: of the network that all sites have trained so far.
            number: of the round, from 0: how far the learning rate has come.

        Raises:
            ValueError: the weights cannot be used, or there is no such round; what training raises.
        """
        rounds = self._agreement.rounds
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < rounds:
            raise ValueError(f"{SERVER} says that this is round {number!r}, but {rounds} are agreed, counted from 0")
        mean_dice = self.score(weights)
        algo = self._ready()
        self._set_rate(algo, number)
        try:
            algo.train(_sent(checked(weights, self._expected, SERVER)))
        except Exception:
            # ignite would go on behind what failed, as if it had been trained on: the next round begins anew
            self.close()
            raise
        learnt = algo.get_weights().weights  # type: ignore[no-untyped-call]
        return Answer(self.name, to_arrays(learnt), self._cases, mean_dice)

    def score(self, weights: object) -> float:
        """Mean Dice of a network with these weights on this site's validation cases.

        Raises:
            ValueError: the weights cannot be used.
        """
        algo = self._ready()
        metrics = algo.evaluate(_sent(checked(weights, self._expected, SERVER))).metrics
        return float(metrics["mean_dice"])

    def close(self) -> None:
        """End what training has open."""
        if self._algo is not None:
            self._algo.finalize()
            self._algo = None

    def _ready(self) -> MonaiAlgo:
        """MONAI's client, which keeps the state of the training (optimiser, epochs) from round to round."""
        if self._algo is not None:
            return self._algo
        bundle = named_bundle(self._agreement.bundle).resolve()
        train, evaluate = (bundle / "configs" / f"{name}.json" for name in ("train", "evaluate"))
        algo = MonaiAlgo(
            str(bundle),
            local_epochs=self._agreement.epochs,
            send_weight_diff=False,
            train_kwargs=self._values([train], self._folder),
            eval_kwargs=self._values([train, evaluate], self._folder / "scored"),
        )
        with warnings.catch_warnings():
            # MONAI warns that a config is code; this one is the bundle's own, installed here, and the settings are literals
            warnings.filterwarnings("ignore", "executing the bundle config")
            algo.initialize({ExtraItems.CLIENT_NAME: self.name})  # type: ignore[no-untyped-call]
        trainer = cast(SupervisedTrainer, algo.trainer)
        self._expected = to_arrays(trainer.network.state_dict())
        trainer.add_event_handler(Events.ITERATION_COMPLETED, _end_if(self._stopped))
        self._algo = algo
        return algo

    def _set_rate(self, algo: MonaiAlgo, number: int) -> None:
        """Where the learning rate is when a round begins, also at a site that was left out of the rounds before it."""
        schedule = cast(ConfigWorkflow, algo.train_workflow).parser.get_parsed_content("lr_scheduler")
        if isinstance(schedule, RepeatedOneCycleLR):
            steps = cast(SupervisedTrainer, algo.trainer).state.epoch_length
            schedule.go_to(number * self._agreement.epochs * steps)

    def _values(self, configs: list[Path], folder: Path) -> dict[str, Any]:
        """What is given to a config, so that nothing of what was agreed is read as code.

        The learning rate goes up and down once in all rounds: were each a training of its own, it would begin with a rate that undoes
        what the last one had settled.
        """
        config = ConfigParser.load_config_files(configs)
        values = {**self._agreement.settings, "dataset_dir": str(self._dataset_dir), "output_dir": str(folder)}
        epochs = self._agreement.rounds * self._agreement.epochs
        takes_steps = "total_steps" in (config.get("lr_scheduler") or {}) and _STEPS not in {
            key.replace("::", "#") for key in values
        }
        steps = {_STEPS: f"$recipe.total_steps({epochs}, @train#dataloader)"} if takes_steps else {}
        return overridden(config, values, steps)


def _end_if(stopped: Callable[[], bool]) -> Callable[[Engine], None]:
    def end(engine: Engine) -> None:
        if stopped():
            engine.terminate()

    return end


def _sent(weights: Arrays) -> ExchangeObject:
    return ExchangeObject(weights=to_tensors(weights))
