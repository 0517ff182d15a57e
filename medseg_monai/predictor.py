"""Prediction from Python: a bundle's inference.json on one image at a time, with the same parts and so the same pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data.utils import decollate_batch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import overridden
from medseg_monai.clicks import Box, Click, correct
from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.grids import Grid, grid_of
from medseg_monai.grids.geometry import Geometry
from medseg_monai.inference.inferer import cases_at_once
from medseg_monai.quality.familiarity import Description
from medseg_monai.quality.mask_numbers import MaskNumbers
from medseg_monai.quality.usual import found_sizes
from medseg_monai.transforms.batches import collate

ImageLike: TypeAlias = "str | Path | Sequence[str | Path] | Image.Image | NDArray[Any]"


@dataclass(frozen=True)
class Prediction:
    """What was found in one image, on its own grid.

    Attributes:
        mask: uint8. For a photograph (H, W), with several overlapping classes (classes, H, W); for a volume (I, J, K) or (classes, I,
            J, K). 1 for the class, or class numbers for exclusive classes.
        probabilities: for each foreground class: (classes, H, W) float32, or (classes, I, J, K); calibrated if that was learnt.
        uncertainty: one number, `medseg_monai.inference.uncertainty.uncertainty`.
        classes: their names.
        grid: the image's own grid and the network's.
        flagged: whether a person should look at it; None if that is unknown (`medseg review`).
        reason: why, in words; "" if it is not flagged.
        predicted_dice: class -> the Dice that its mask is likely to have; empty if that was not learnt (`medseg review`).
        mask_numbers: of each class, see `medseg_monai.quality.mask_numbers.MaskNumbers`.
        task: how classes relate, as in dataset.json.
        network_image: (C, *s) as the network saw it, on its own grid; None if it is not known.
        clicks: by which it was corrected, all of them.
        box: likewise.
        original: what the network found, before any correction; None if this is it.
        description: what the picture and the outline look like, see `medseg_monai.quality.descriptor.describe`; empty for volumes.
    """

    mask: NDArray[np.uint8]
    probabilities: NDArray[np.floating[Any]]
    uncertainty: float
    classes: tuple[str, ...]
    grid: Grid | None = field(default=None, compare=False, repr=False)
    flagged: bool | None = None
    reason: str = ""
    predicted_dice: Mapping[str, float] = field(default_factory=dict)
    mask_numbers: Sequence[MaskNumbers] = field(default=(), compare=False, repr=False)
    description: Description = field(default_factory=dict, compare=False, repr=False)
    task: Task = "binary"
    network_image: Tensor | None = field(default=None, compare=False, repr=False)
    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    original: Prediction | None = field(default=None, compare=False, repr=False)

    @property
    def geometry(self) -> Geometry | None:
        """Where a volume lies in the patient; of a photograph None."""
        return None if self.grid is None else self.grid.geometry

    def sizes(self) -> dict[str, float]:
        """`medseg_monai.quality.usual.found_sizes` of the mask."""
        voxel_mm = () if self.geometry is None else self.geometry.spacing_mm
        return found_sizes(self.mask, self.classes, voxel_mm)

    @cached_property
    def image(self) -> NDArray[np.float32] | None:
        """(C, *S) on the image's own grid, of the network's brightness and sharpness; None if it is not known."""
        if self.network_image is None or self.grid is None:
            return None
        return self.grid.as_shown(self.grid.restore(self.network_image).numpy())

    def correct(self, clicks: Sequence[Click] = (), *, box: Box | None = None) -> Prediction:
        """What is found after a person has judged some pixels: `medseg_monai.clicks.correct`.

        Clicks accumulate: ``found.correct([a]).correct([b])`` is ``found.correct([a, b])``. To undo, correct `original` by fewer.

        Args:
            clicks: further pixels or voxels that are right or wrong.
            box: what a class just fits into; it replaces an earlier one.

        Returns:
            A new prediction. What `medseg review` says of the network's mask (`flagged`, `reason`, `predicted_dice` …) is not true of one
            that a person has changed, and is left out.

        Raises:
            ValueError: a click or the box is outside the image, of an unknown class, or contradicts another.

        Example::

            found = Predictor("unetpp")("photograph.jpg")
            better = found.correct([Click(120, 340, inside=True), Click(20, 30, inside=False)])
        """
        original, every, last_box = self.original or self, (*self.clicks, *clicks), box or self.box
        corrected = correct(
            original.mask,
            original.probabilities,
            every,
            classes=self.classes,
            task=self.task,
            image=original.image,
            spacing=None if self.geometry is None else self.geometry.spacing_mm,
            box=last_box,
        )
        return replace(
            original,
            mask=corrected.mask,
            probabilities=corrected.probabilities,
            clicks=every,
            box=last_box,
            original=original,
            flagged=None,
            reason="",
            predicted_dice={},
            mask_numbers=(),
            description={},
        )


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

    def batches(self, images: Iterable[ImageLike], *, size: int = 1) -> Iterator[Prediction]:
        """Segment images in batches of `size` (volumes one by one)."""
        size = cases_at_once(self.spec, size)
        waiting: list[dict[Any, Any]] = []
        for image in images:
            waiting.append(self._read(image))
            if len(waiting) == size:
                yield from self._predicted(waiting)
                waiting = []
        if waiting:
            yield from self._predicted(waiting)

    def _read(self, image: ImageLike) -> dict[str, Any]:
        """The case as the network takes it."""
        if isinstance(image, (str, Path, Sequence)):
            files = str(image) if isinstance(image, (str, Path)) else [str(file) for file in image]
            case: dict[str, Any] = self._preprocessing({"image": files})
            return case
        if self.spec.spatial_dims == 3:
            raise TypeError(f"got a {type(image).__name__}; for volumes pass a path, because their grid is in the file")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "image.png"  # so it is processed exactly like a file
            _as_picture(image).save(file, compress_level=0, exif=_exif(image))
            case = self._preprocessing({"image": str(file)})
        return case

    def _predicted(self, cases: Sequence[dict[Any, Any]]) -> list[Prediction]:
        batch = collate(cases)
        with torch.no_grad():
            batch["pred"] = self._inferer(batch["image"].to(self._device), self._network)
        answers = [self._postprocessing(case) for case in decollate_batch(batch)]
        return [prediction_of(case, answer, self.spec) for case, answer in zip(cases, answers, strict=True)]


def prediction_of(case: Mapping[Any, Any], answer: Mapping[Any, Any], spec: DatasetSpec) -> Prediction:
    """What the parts of inference.json have made of a case.

    Args:
        case: after ``preprocessing``: ``image`` on the network's grid and ``image_meta_dict``.
        answer: after ``postprocessing``: ``pred`` and ``probability`` on the image's own grid.
        spec: what the network was trained for.
    """
    grid = grid_of(case["image_meta_dict"], spec)
    mask = grid.as_shown(answer["pred"].cpu().numpy())
    probabilities = grid.as_shown(answer["probability"].cpu().numpy())[-len(spec.classes) :]
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
    )


def _as_picture(image: Image.Image | NDArray[Any]) -> Image.Image:
    if isinstance(image, Image.Image):
        return _as_png_holds(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"got a {type(image).__name__}; pass a path, a PIL image or an array (H, W[, 3])")
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"got an array {image.shape} of {image.dtype}; expected (H, W) or (H, W, 3) of uint8")
    if image.dtype == np.uint16 and image.ndim == 3:
        raise ValueError("got an array of 16-bit colours; 16 bits are supported only for grey pictures")
    return Image.fromarray(image)


def _as_png_holds(picture: Image.Image) -> Image.Image:
    """The picture, its colours as RGB if PNG does not support their kind (CMYK, YCbCr …), as files are read."""
    if picture.mode == "F":
        raise ValueError("got a picture of floating-point pixels; expected 8- or 16-bit grey, or 8-bit colours")
    known = ("1", "L", "LA", "P", "RGB", "RGBA", "I")
    return picture if picture.mode in known or picture.mode.startswith("I;16") else picture.convert("RGB")


def _exif(image: Image.Image | NDArray[Any]) -> Image.Exif | bytes:
    return image.getexif() if isinstance(image, Image.Image) else b""
