"""The MONAI Label app: every bundle in its folder as a model and a trainer; bad requests answered in one plain line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

import medseg_monai
from medseg_monai.label.names import shortened
from medseg_monai.label.serve import DEFAULT_MAX_UPLOAD_MB, MAX_UPLOAD_MB
from medseg_monai.label.server.active import MostUncertain, Uncertainty
from medseg_monai.label.server.clicks import SUFFIX, SegmentByClicks
from medseg_monai.label.server.gate import NOT_FOUND, refusal
from medseg_monai.label.server.learn import Learn
from medseg_monai.label.server.routes import install
from medseg_monai.label.server.segment import Segment
from medseg_monai.label.server.sessions import OwnSessions
from medseg_monai.label.server.studies import Studies
from medseg_monai.program.messages import did_you_mean

logger = logging.getLogger(__name__)

ORIGINAL = "original"
"""Tag of labels that a model made."""


class MedsegApp(MONAILabelApp):  # type: ignore[misc]  # MONAI Label has no types
    """The app: models, trainers, strategies.

    Args:
        app_dir: folder whose ``model/<name>`` are bundles with weights.
        studies: folder of images, or the URL of a DICOMweb server.
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
        """A folder of studies, or MONAI Label's own class for image servers."""
        if self.studies.startswith(("http://", "https://")):
            return self.init_remote_datastore()
        return Studies(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def init_infers(self) -> dict[str, Segment]:
        """For each bundle a model that segments, and one that is corrected by clicks."""
        segment = {name: Segment(bundle, self.conf) for name, bundle in self.bundles.items()}
        correct = {f"{name}{SUFFIX}": SegmentByClicks(bundle, self.conf) for name, bundle in self.bundles.items()}
        return {**segment, **correct}

    def init_trainers(self) -> dict[str, Learn]:
        """A trainer for each bundle."""
        return {name: Learn(bundle, self.conf) for name, bundle in self.bundles.items()}

    def init_strategies(self) -> dict[str, Any]:
        """MONAI Label's strategies, and ``uncertainty`` (for the first model; ``uncertainty_<name>`` for each)."""
        from monailabel.tasks.activelearning.first import First
        from monailabel.tasks.activelearning.random import Random

        by_model = {f"uncertainty_{name}": MostUncertain(name, model) for name, model in self._segmenting().items()}
        first = {"uncertainty": next(iter(by_model.values()))} if by_model else {}
        return {**first, **(by_model if len(by_model) > 1 else {}), "first": First(), "random": Random()}

    def init_scoring_methods(self) -> dict[str, Uncertainty]:
        """``uncertainty`` as a background task over all images, likewise."""
        by_model = {f"uncertainty_{name}": Uncertainty(name, model) for name, model in self._segmenting().items()}
        first = {"uncertainty": next(iter(by_model.values()))} if by_model else {}
        return {**first, **(by_model if len(by_model) > 1 else {})}

    def _segmenting(self) -> dict[str, Segment]:
        """The models that need no clicks."""
        return {name: self._infers[name] for name in self.bundles}

    def init_batch_infer(self) -> BatchInferTask:
        """Batches that leave out unusable images."""
        return PatientBatch()

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Segment an image of the studies, named by its id; only our own code can pass a `Path` to another image.

        Raises:
            HTTPException: 404 for an unknown model or image; 422 for an image or a parameter that cannot be used, which it names.
        """
        store = datastore or self.datastore()
        task, image = self.model(request.get("model")), request.get("image")
        source = image if isinstance(image, Path) else self._file_of(image, store)
        try:
            file, params = task({**request, "image": str(source), "description": task.description})
        except Exception as error:
            if (refused := refusal(error)) is None:
                raise
            refused.detail = str(refused.detail).replace(str(source), Path(source).name)
            raise refused from error
        answer = {"label": file, "tag": ORIGINAL, "file": file, "params": params}
        if file and request.get("save_label") and isinstance(image, str):
            kept = {"model": request["model"], "params": params}
            answer["label"] = store.save_label(image, file, request.get("label_tag") or ORIGINAL, kept)
        return answer

    def on_init_complete(self) -> None:
        """Called before the server answers: our routes replace MONAI Label's."""
        from monailabel.app import app

        install(app, int(self.conf.get(MAX_UPLOAD_MB, DEFAULT_MAX_UPLOAD_MB)) * 2**20)
        super().on_init_complete()

    def bundle_path(self, model: str | None) -> str | None:
        """MONAI Label calls it before it starts a background task: the place to refuse one for an unknown model."""
        if model is not None:
            self.model(model)
        path: str | None = super().bundle_path(model)
        return path

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """The image to label next."""
        strategy = request.get("strategy") or "random"
        self.check_strategy(strategy)
        sample: dict[str, Any] = super().next_sample({**request, "strategy": strategy})
        return sample

    def model(self, name: Any) -> Segment:
        """A model by name."""
        found: Segment = self._named("model", name, self._infers)
        return found

    def trainer(self, name: Any) -> Learn:
        """A trainer by name."""
        found: Learn = self._named("model", name, self._trainers)
        return found

    def check_strategy(self, name: Any) -> None:
        """Refuse an unknown strategy."""
        self._named("strategy", name, self._strategies)

    def check_scoring(self, name: Any) -> None:
        """Refuse an unknown scoring method."""
        self._named("scoring method", name, self._scoring_methods)

    def check_image(self, name: str) -> None:
        """Refuse an unknown image; a DICOMweb server does so itself."""
        if isinstance(store := self.datastore(), Studies):
            store.check_image(name)

    def check_label(self, image: str, tag: str) -> None:
        """Refuse an unknown label, likewise."""
        if isinstance(store := self.datastore(), Studies):
            store.check_label(image, tag)

    def _load_sessions(self, load: bool = False) -> OwnSessions | None:
        """Sessions are stored in the app's folder, unless MONAI_LABEL_SESSION_PATH names another."""
        if not load:
            return None
        folder = settings.MONAI_LABEL_SESSION_PATH or str(Path(self.app_dir) / "sessions")
        return OwnSessions(folder, settings.MONAI_LABEL_SESSION_EXPIRY)

    def _named(self, what: str, name: Any, known: Mapping[str, Any]) -> Any:
        if name in known:
            return known[name]
        raise HTTPException(NOT_FOUND, f"no {what} '{shortened(str(name))}'{did_you_mean(str(name), known)}")

    def _file_of(self, image: Any, store: Any) -> str:
        """The file of an image of the studies; a path is not accepted as a name."""
        file = store.get_image_uri(image) if isinstance(image, str) and image else ""
        if not file or not Path(file).exists():
            raise HTTPException(NOT_FOUND, f"no image '{shortened(str(image))}' among the studies")
        return str(file)


class PatientBatch(BatchInferTask):  # type: ignore[misc]
    """MONAI Label's batch, except that one unusable image does not end it, and that it runs on machines without a GPU."""

    def __call__(self, request: dict[str, Any], datastore: Any, infer: Any) -> dict[str, Any]:
        """For each image, the answer or the reason why there is none."""

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
