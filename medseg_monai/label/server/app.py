"""The MONAI Label app: every bundle in its folder as a model and a trainer; bad requests answered in one plain line."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

import medseg_monai
from medseg_monai.label.server.active import MostUncertain, Uncertainty
from medseg_monai.label.server.learn import Learn
from medseg_monai.label.server.segment import Segment
from medseg_monai.label.server.studies import NOT_FOUND, UNUSABLE, Studies
from medseg_monai.spec import did_you_mean

logger = logging.getLogger(__name__)

# what a request can be wrong in: an unreadable image (OSError, ValueError, SyntaxError) or a result_dtype that is none (TypeError)
MISTAKES = (OSError, ValueError, SyntaxError, TypeError)


class MedsegApp(MONAILabelApp):  # type: ignore[misc]  # MONAI Label has no types
    """What the server offers.

    Args:
        app_dir: folder whose ``model/<name>`` are bundles with weights.
        studies: folder of images, or the address of a DICOMweb server.
        conf: ``models``: names to serve, separated by commas; all by default.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        found = sorted((Path(app_dir) / "model").glob("[!.]*/configs/inference.json"))
        self.bundles = {path.parent.parent.name: path.parent.parent for path in found}
        if conf.get("models"):
            self.bundles = {name: self.bundles[name] for name in conf["models"].split(",")}
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name=f"medseg_monai {medseg_monai.__version__}",
            description="Segmentation bundles of medseg_monai. Research software, not a medical device.",
            version=medseg_monai.__version__,
        )

    def init_datastore(self) -> Any:
        """A folder of studies, or what MONAI Label has for servers of images."""
        if self.studies.startswith(("http://", "https://")):
            return self.init_remote_datastore()
        return Studies(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def init_infers(self) -> dict[str, Segment]:
        """A model for each bundle."""
        return {name: Segment(bundle, self.conf) for name, bundle in self.bundles.items()}

    def init_trainers(self) -> dict[str, Learn]:
        """A trainer for each bundle."""
        return {name: Learn(bundle, self.conf) for name, bundle in self.bundles.items()}

    def init_strategies(self) -> dict[str, Any]:
        """MONAI Label's, and ``uncertainty`` (of the first model; ``uncertainty_<name>`` of each)."""
        from monailabel.tasks.activelearning.first import First
        from monailabel.tasks.activelearning.random import Random

        by_model = {f"uncertainty_{name}": MostUncertain(name, model) for name, model in self._infers.items()}
        first = {"uncertainty": next(iter(by_model.values()))} if by_model else {}
        return {**first, **(by_model if len(by_model) > 1 else {}), "first": First(), "random": Random()}

    def init_scoring_methods(self) -> dict[str, Uncertainty]:
        """``uncertainty`` as a background task over all images, likewise."""
        by_model = {f"uncertainty_{name}": Uncertainty(name, model) for name, model in self._infers.items()}
        first = {"uncertainty": next(iter(by_model.values()))} if by_model else {}
        return {**first, **(by_model if len(by_model) > 1 else {})}

    def init_batch_infer(self) -> BatchInferTask:
        """Batches that leave out what cannot be used."""
        return PatientBatch()

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Segment an image.

        Raises:
            HTTPException: 404 for an unknown model or image; 422 for an image or a wish that cannot be used, which it names.
        """
        self._check_model(request.get("model"), self._infers)
        self._check_image(request.get("image"), datastore or self.datastore())
        try:
            answer: dict[str, Any] = super().infer(request, datastore)
        except MISTAKES as error:
            raise HTTPException(UNUSABLE, one_line(error)) from error
        except RuntimeError as error:  # MONAI's Compose wraps what a transform raises
            if not isinstance(error.__cause__, MISTAKES):
                raise
            raise HTTPException(UNUSABLE, one_line(error.__cause__)) from error
        return answer

    def bundle_path(self, model: str | None) -> str | None:
        """MONAI Label asks for it before it starts a task in the background: the place to refuse one for an unknown model."""
        if model is not None:
            self._check_model(model, self._infers)
        path: str | None = super().bundle_path(model)
        return path

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """The image to label next."""
        strategy = request.get("strategy") or "random"
        if strategy not in self._strategies:
            raise HTTPException(NOT_FOUND, f"no strategy '{strategy}'{did_you_mean(strategy, self._strategies)}")
        sample: dict[str, Any] = super().next_sample({**request, "strategy": strategy})
        return sample

    def _check_model(self, model: Any, known: Mapping[str, Any]) -> None:
        if model not in known:
            raise HTTPException(NOT_FOUND, f"no model '{model}'{did_you_mean(model, known)}")

    def _check_image(self, image: Any, datastore: Any) -> None:
        """An image is one of the studies, named by its id, or was sent along and lies in the server's temporary folder."""
        if not isinstance(image, str) or datastore.get_image_uri(image):
            return
        sent = Path(image)
        if not (image and sent.exists() and sent.resolve().is_relative_to(Path(tempfile.gettempdir()).resolve())):
            raise HTTPException(NOT_FOUND, f"no image '{image}' among the studies")


class PatientBatch(BatchInferTask):  # type: ignore[misc]
    """MONAI Label's batch, except that one unusable image does not end it, and that it runs on machines without a GPU."""

    def __call__(self, request: dict[str, Any], datastore: Any, infer: Any) -> dict[str, Any]:
        """By image: the answer, or the reason why there is none."""

        def patient(one: dict[str, Any], store: Any) -> dict[str, Any]:
            try:
                answer: dict[str, Any] = infer(one, store)
            except HTTPException as error:
                logger.warning("left out: %s: %s", one["image"], error.detail)
                return {"error": error.detail}
            return answer

        given = {**request, "multi_gpu": bool(request.get("multi_gpu", True)) and torch.cuda.device_count() > 1}
        done: dict[str, Any] = super().__call__(given, datastore, patient)
        return done


def one_line(error: BaseException) -> str:
    """What went wrong, without a traceback."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
