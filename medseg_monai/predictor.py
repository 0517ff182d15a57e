"""Prediction from Python: a bundle's inference.json on one image at a time, with the same parts and so the same pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data.utils import decollate_batch
from torch import Tensor

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import overridden
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import grid_of
from medseg_monai.images.given import ImageLike, as_file
from medseg_monai.inference.inferer import cases_at_once
from medseg_monai.prediction import Prediction
from medseg_monai.quality.flagging import describe_case
from medseg_monai.quality.gaussian import Description
from medseg_monai.transforms.batches import collate

__all__ = ["ImageLike", "Prediction", "Predictor"]


class Predictor:
    """A trained bundle as a function of images.

    Args:
        bundle: its name or folder.
        weights: as for `medseg predict`: a file, a folder or a data set's name; a list for the mean of several networks.
        assignments: pieces of config by key, as for ``--set``: unlike options these may be expressions.
        options: any key of inference.json: ``engine="openvino"``, ``tta="flips"``, ``threshold=0.4``, ``device="cpu"`` …

    Attributes:
        spec: what the network was trained for.

    Raises:
        FileNotFoundError: the bundle or the weights do not exist.
        ValueError: an option that inference.json does not have.

    Example::

        prediction = Predictor("unetpp", weights="isic2017")("photograph.jpg")
        prediction.mask.shape, prediction.uncertainty
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        weights: str | Path | Sequence[str | Path] | None = None,
        assignments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        folder = find_bundle(bundle)
        config = str(folder / "configs" / "inference.json")
        given: dict[str, Any] = {"bundle_root": str(folder), "probabilities": True, **options}
        if weights is not None:
            several = [weights] if isinstance(weights, (str, Path)) else list(weights)
            given["weights"], *others = map(str, several)
            given["ensemble"] = others or given.get("ensemble", [])
        content = ConfigParser.load_config_files([config])
        given = overridden(content, given, assignments)
        parser = ConfigParser(content)
        parser.update(given)
        part = parser.get_parsed_content
        self.spec: DatasetSpec = part("spec")
        self._device = torch.device(part("device"))
        self._preprocessing = part("preprocessing")
        self._network = part("network").eval()
        self._inferer = part("inferer")
        self._postprocessing = part("postprocessing")

    def __call__(self, image: ImageLike) -> Prediction:
        """Segment one image.

        Args:
            image: a path (photograph, NIfTI, NRRD, MHA, DICOM folder), or a list of them if each channel has a file of its own; for
                photographs also a PIL image, or an array (H, W) or (H, W, 3), uint8 (or uint16 grey). A PIL image's EXIF orientation is
                applied.

        Raises:
            FileNotFoundError, ValueError: the image is missing or unusable.
            TypeError: it is none of these.
        """
        return next(self.batches([image]))

    def describe(self, image: ImageLike) -> Description:
        """What an image looks like in numbers, as `Prediction.description`; a volume is not segmented for it."""
        if self.spec.spatial_dims == 2:
            return self(image).description
        case = self._read(image)
        return describe_case(case["image"], None, case["image_meta_dict"], self.spec)

    def batches(self, images: Iterable[ImageLike], *, size: int = 1) -> Iterator[Prediction]:
        """Segment images in batches of `size` (volumes one by one)."""
        size = cases_at_once(self.spec, size)
        waiting: list[tuple[ImageLike, dict[str, Any]]] = []
        for image in images:
            waiting.append((image, self._read(image)))
            if len(waiting) == size:
                yield from self._predicted(waiting)
                waiting = []
        if waiting:
            yield from self._predicted(waiting)

    def _read(self, image: ImageLike) -> dict[str, Any]:
        """The case as the network takes it."""
        if self.spec.spatial_dims == 3 and not isinstance(image, (str, Path, Sequence)):
            raise TypeError(f"got a {type(image).__name__}; for volumes pass a path, because their grid is in the file")
        with as_file(image) as file:  # so a picture is processed exactly like a file
            case: dict[str, Any] = self._preprocessing({"image": file})
        return case

    def _predicted(self, given: Sequence[tuple[ImageLike, dict[str, Any]]]) -> list[Prediction]:
        images, cases = zip(*given, strict=True)
        batch = collate(cases)
        with torch.no_grad():
            batch["pred"] = self._inferer(batch["image"].to(self._device), self._network)
        answers = [self._postprocessing(case) for case in decollate_batch(batch)]
        return [
            prediction_of(case, answer, self.spec, source=image)
            for image, case, answer in zip(images, cases, answers, strict=True)
        ]


def prediction_of(
    case: Mapping[Any, Any], answer: Mapping[Any, Any], spec: DatasetSpec, *, source: ImageLike | None = None
) -> Prediction:
    """What the parts of inference.json have made of a case.

    Args:
        case: after ``preprocessing``: ``image`` on the network's grid and ``image_meta_dict``.
        answer: after ``postprocessing``: ``pred`` and ``probability`` on the image's own grid.
        spec: what the network was trained for.
        source: the image, as it was given.
    """
    grid = grid_of(case["image_meta_dict"], spec)
    mask = grid.kind.as_shown(answer["pred"].cpu().numpy())
    probabilities = grid.kind.as_shown(answer["probability"].cpu().numpy())[-len(spec.classes) :]
    return Prediction(
        mask=mask if spec.task == "multilabel" else mask[0],
        probabilities=probabilities,
        uncertainty=float(answer["uncertainty"]),
        classes=spec.classes,
        grid=grid,
        flagged=answer.get("flagged"),
        reason=answer.get("reason", ""),
        predicted_dice=answer.get("predicted_dice", {}),
        mask_numbers=answer.get("mask_numbers", ()),
        description=answer.get("description", {}),
        task=spec.task,
        network_image=torch.as_tensor(case["image"]).as_subclass(Tensor).cpu(),
        source=source,
        spec=spec,
    )
