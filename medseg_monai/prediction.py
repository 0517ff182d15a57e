"""What was found in one image, and what to make of it: pictures, outlines, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.clicks import Box, Click, correct
from medseg_monai.clicks.seen import SeenVolume
from medseg_monai.dataset.cases import main_file
from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.formats.geojson import feature_collection
from medseg_monai.formats.polygons import Polygon, polygons
from medseg_monai.grids import Grid
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.truth import read_shown
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.images.given import ImageLike, as_file
from medseg_monai.quality.gaussian import Description
from medseg_monai.quality.mask_numbers import MaskNumbers
from medseg_monai.quality.usual import found_sizes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from medseg_monai.figures.cases import CaseView

LOOK = "a person should look at this"


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
        description: what the image, and of a photograph the outline, look like, see `medseg_monai.quality.flagging.describe_case`.
        task: how classes relate, as in dataset.json.
        network_image: (C, *s) as the network saw it, on its own grid; None if it is not known.
        clicks: by which it was corrected, all of them.
        box: likewise.
        original: what the network found, before any correction; None if this is it.
        source: what was segmented, as it was given: a path, several, a picture or an array.
        spec: what the network was trained for.
    """

    mask: NDArray[np.uint8]
    probabilities: NDArray[np.floating[Any]]
    uncertainty: float
    classes: tuple[str, ...]
    grid: Grid = field(compare=False, repr=False)
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
    source: ImageLike | None = field(default=None, compare=False, repr=False)
    spec: DatasetSpec | None = field(default=None, compare=False, repr=False)

    @property
    def geometry(self) -> Geometry | None:
        """Where a volume lies in the patient; of a photograph None."""
        return self.grid.geometry

    @property
    def name(self) -> str:
        """The image's file name; "" for a picture or an array."""
        return Path(self._file()).name

    def sizes(self) -> dict[str, float]:
        """`medseg_monai.quality.usual.found_sizes` of the mask."""
        return found_sizes(self.mask, self.classes, self.grid.sides_mm)

    @cached_property
    def image(self) -> NDArray[np.float32] | None:
        """(C, *S) on the image's own grid, of the network's brightness and sharpness; None if it is not known."""
        if self.network_image is None:
            return None
        return self.grid.kind.as_shown(self.grid.restore(self.network_image).numpy())

    def _to_compare(self) -> NDArray[np.float32] | SeenVolume | None:
        """What clicks compare pixels by: the image, of a volume as the network saw it, which need not be restored as a whole."""
        if isinstance(self.grid, VolumeGrid) and self.network_image is not None:
            return SeenVolume(self.grid, self.network_image)
        return self.image

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
            image=original._to_compare(),
            spacing=self.grid.spacing,
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

    def pixels(self) -> dict[str, int]:
        """Pixels (of a volume voxels) of each class."""
        planes = class_masks(self._label(), len(self.classes))
        return {name: int(np.count_nonzero(plane)) for name, plane in zip(self.classes, planes, strict=True)}

    def overlay(self) -> Image.Image:
        """The image with each class tinted and outlined, as `medseg predict --overlays` draws it.

        Returns:
            A picture of the image's own size; of a volume the axial slice with most of the mask.

        Raises:
            ValueError: the prediction does not know its image.
        """
        from medseg_monai.outputs.predictions import WRITERS

        spec = self._spec()
        with as_file(self._source()) as file:
            picture = WRITERS[spec.spatial_dims].drawn(self.as_case(main_file(file)), self._label(), spec)
        return Image.fromarray(picture)

    def polygons(self) -> dict[str, list[Polygon]]:
        """The outlines of each class in a photograph, with their holes, along the edges of pixels: x to the right, y downwards.

        Raises:
            ValueError: it is a volume.
        """
        planes = class_masks(self._photo_label("polygons"), len(self.classes))
        return {name: polygons(plane) for name, plane in zip(self.classes, planes, strict=True)}

    def to_geojson(self) -> dict[str, Any]:
        """What `medseg predict --format geojson` writes, as QuPath reads it: a feature for each connected part of each class.

        Raises:
            ValueError: it is a volume.
        """
        return feature_collection(self._photo_label("GeoJSON"), self._spec())

    def plot(self) -> Figure:
        """A matplotlib figure: the image, and the image with the mask; of a volume axial slices with the mask.

        Raises:
            ValueError: the prediction does not know its image.
        """
        from medseg_monai.figures.cases import image_and_mask

        return image_and_mask(self.view(), classes=self.classes)

    def save(self, path: str | Path) -> list[Path]:
        """Write the mask as `medseg predict` does, whole or not at all; the suffix decides the format.

        Args:
            path: ``.png`` or ``.geojson`` for a photograph; ``.nii.gz``, ``.seg.nrrd``, ``.mha`` for a volume, and ``.dcm`` (DICOM-SEG)
                if it came from a DICOM series. Overlapping classes get a file each, ``<stem>_<class>``, where a file holds one class.

        Returns:
            The files written.

        Raises:
            ValueError: the suffix is none of these.
        """
        from medseg_monai.outputs.predictions import WRITERS

        spec = self._spec()
        return WRITERS[spec.spatial_dims].save(
            self.as_case(self._file()),
            self._label(),
            Path(path),
            spec,
            predicted_dice=self.predicted_dice,
            reason=self.reason,
        )

    def as_case(self, image: str) -> dict[str, Any]:
        """The image as a loaded case, for writers: its file and its grid."""
        return {"image_meta_dict": {"filename_or_obj": image, **self.grid.meta()}}

    def _label(self) -> NDArray[np.uint8]:
        """The mask in the order of networks: (1, W, H) or (classes, W, H), of volumes (1, I, J, K) or (classes, I, J, K)."""
        planes = self.mask if self.task == "multilabel" else self.mask[None]
        return self.grid.kind.as_shown(planes)  # its own inverse

    def _photo_label(self, what: str) -> NDArray[np.uint8]:
        if self.geometry is not None:
            raise ValueError(f"{what}: for masks of photographs; this is a volume's: save it as .nii.gz")
        return self._label()

    def _file(self) -> str:
        """The image's path; "" for a picture or an array."""
        return main_file(self.source) if isinstance(self.source, (str, Path, list, tuple)) else ""

    def _source(self) -> ImageLike:
        if self.source is None:
            raise ValueError("this prediction does not know its image: make it with a Predictor")
        return self.source

    def _spec(self) -> DatasetSpec:
        if self.spec is None:
            raise ValueError("this prediction does not know what its network was trained for: make it with a Predictor")
        return self.spec

    def view(self) -> CaseView:
        """For figures: the image and the mask.

        Raises:
            ValueError: the prediction does not know its image.
        """
        from medseg_monai.figures.cases import CaseView

        spec, label = self._spec(), self._label()
        found = class_masks(label, len(self.classes))
        with as_file(self._source()) as file:
            shown = read_shown({"image": file}, spec, in_colour=True)
        return CaseView(shown.image, found, found[:0], title=self._title(), affine=shown.affine, colour=shown.colour)

    def _title(self) -> str:
        return ", ".join(part for part in (self.name, LOOK if self.flagged else "") if part)

    def _repr_html_(self) -> str:
        """The picture and the numbers, for a notebook."""
        from medseg_monai.report.notebook import Shown, Table, card, case_uri

        pixels = self.pixels()
        columns = ["", self.grid.kind.elements, self.grid.kind.relative_size]
        sizes = [f"{self.grid.relative_size(n):.2f}" for n in pixels.values()]
        dices = [f"{self.predicted_dice[name]:.2f}" if name in self.predicted_dice else "–" for name in pixels]
        rows = [[name, f"{n:,}", *rest] for (name, n), *rest in zip(pixels.items(), sizes, dices, strict=True)]
        shown = [] if self.source is None or self.spec is None else [Shown(case_uri(self.view()))]
        return card(
            self.name or "Prediction",
            subtitle="" if any(pixels.values()) else "nothing was found",
            alarms=[f"{LOOK}: {self.reason}" if self.reason else LOOK] if self.flagged else [],
            pictures=shown,
            tables=[Table([*columns, "predicted Dice"], rows)],
            facts={
                "uncertainty": round(self.uncertainty, 3),
                "flagged": "not known (medseg review)" if self.flagged is None else self.flagged,
            },
        )
