"""Explanations of many cases: a map per class and method on the image's own grid, a panel per case, one table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.explain.checks import Checks, CheckSettings, remove_checks
from medseg_monai.explain.files import Explanation, map_file, write_explanations, write_map
from medseg_monai.explain.layers import LayerError, find_layer
from medseg_monai.explain.maps import DEFAULT_LAYERS, METHODS, ClassMap, Method, heat
from medseg_monai.explain.regions import Region
from medseg_monai.explain.windows import explain_case
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.explanations import ClassView, MapView, explanation_panel
from medseg_monai.files.writing import DiskFullError
from medseg_monai.grids import Grid, grid_of
from medseg_monai.grids.truth import read_shown, read_truth
from medseg_monai.inference.cases import UNUSABLE, CaseStream
from medseg_monai.program.messages import did_you_mean
from medseg_monai.report.evaluation import REPORT_FILE

logger = logging.getLogger(__name__)

PANEL = "_explain.png"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MapSettings:
    """What to explain.

    Attributes:
        classes: names; empty for those that are present in the region.
        methods: from `medseg_monai.explain.maps.METHODS`.
        layers: names; empty for each method's default.
        region: text for `Region.parse`.

    Raises:
        ValueError: a method is unknown.
    """

    classes: tuple[str, ...] = ()
    methods: tuple[Method, ...] = ("cam", "gradcam")
    layers: tuple[str, ...] = ()
    region: str = "predicted"

    def __post_init__(self) -> None:
        for key in ("classes", "methods", "layers"):
            value = getattr(self, key)
            object.__setattr__(self, key, (value,) if isinstance(value, str) else tuple(value or ()))
        for method in self.methods:
            if method not in METHODS:
                raise ValueError(f"unknown method {method!r}{did_you_mean(method, METHODS)}")

    def pairs(self) -> list[tuple[Method, str]]:
        """Each method with each of its layers: CAM and occlusion have only one."""
        return [
            (method, layer)
            for method in self.methods
            for layer in (self.layers if self.layers and method.startswith("gradcam") else [DEFAULT_LAYERS[method]])
        ]


@dataclass(frozen=True)
class AnsweredCase:
    """A case with what is known of it while it is explained.

    Attributes:
        case: with the paths that ``image`` and ``label`` have.
        grid: its own and the network's.
        image: (1, C, *s), as the network takes it.
        logits: (K, *s).
        predicted: bool (classes, *S), on the image's own grid.
        truth: likewise, or None.
    """

    case: Mapping[str, Any]
    grid: Grid
    image: Tensor
    logits: Tensor
    predicted: Mask
    truth: Mask | None


class ExplainCases:
    """Explain case after case; one that cannot be used is put aside as in prediction.

    Args:
        dataset: cases as the network takes them.
        network: trained, in eval mode.
        inferer: runs it on a whole image.
        postprocessing: from logits to the mask on the image's own grid.
        spec: the data set.
        folder: where maps, panels and the table go.
        device: where the network runs.
        settings: what is to be explained.
        check: whether maps are checked; a `CheckSettings`, or None.

    Attributes:
        rows: of the table, so far.
    """

    def __init__(
        self,
        dataset: CaseStream,
        *,
        network: nn.Module,
        inferer: Inferer,
        postprocessing: Any,
        spec: DatasetSpec,
        folder: str | Path,
        device: torch.device | str,
        settings: MapSettings,
        check: CheckSettings | None = None,
    ) -> None:
        self.dataset = dataset
        self.network = network.eval()
        self.inferer = inferer
        self.postprocessing = postprocessing
        self.spec = spec
        self.folder = Path(folder)
        self.device = device
        self.settings = settings
        self.region = Region.parse(settings.region, spatial_dims=spec.spatial_dims)
        for (
            name
        ) in settings.layers:  # a layer that is not there is a mistake even if nothing is found that it could explain
            find_layer(network, name)
        self.channels = channels_of(settings.classes or spec.classes, spec)
        self.rows: list[Explanation] = []
        self.checks = None if check is None else Checks(network, inferer, spec, check)
        self._cases = {case["id"]: case for case in dataset.data}

    def run(self) -> None:
        """Explain every case and write the table.

        Raises:
            LayerError: this network has no such layer.
        """
        try:
            for item in self.dataset:
                self._explain_one(item)
        except BaseException:  # Ctrl-C, a full disk …: finished explanations keep their rows
            with suppress(OSError):
                write_explanations(self.folder, self.rows)
            raise
        (self.folder / REPORT_FILE).unlink(missing_ok=True)  # an earlier run's, as its checks are
        write_explanations(self.folder, self.rows)
        if self.checks is None:
            remove_checks(self.folder)
        else:
            self.checks.write(self.folder)

    def _explain_one(self, item: Mapping[str, Any]) -> None:
        """A case's maps, panel and rows; or it is put aside, and has none."""
        done = len(self.rows)
        try:
            answered = self.look_at(item)
            self.draw(answered, [self.explain_class(answered, name) for name in self.channels])
        except (LayerError, DiskFullError):
            raise
        except UNUSABLE as error:
            del self.rows[done:]
            self.dataset.set_aside(self._cases[item["id"]], error)

    def look_at(self, item: Mapping[str, Any]) -> AnsweredCase:
        """The network's answer for a loaded case, and the truth if the case names it."""
        case, meta = self._cases[item["id"]], item["image_meta_dict"]
        image = item["image"][None].to(self.device)
        with torch.no_grad():
            logits = self.inferer(image, self.network)[0]
        answer = self.postprocessing({"pred": logits, "image_meta_dict": meta})
        grid = grid_of(meta, self.spec)
        return AnsweredCase(
            case=case,
            grid=grid,
            image=image,
            logits=logits,
            predicted=class_masks(answer["pred"].cpu().numpy(), len(self.spec.classes)),
            truth=self._truth(case, grid),
        )

    def _truth(self, case: Mapping[str, Any], grid: Grid) -> Mask | None:
        if not case.get("label"):
            return None
        label, _ = split_ignored(read_truth(case, grid, self.spec))
        return class_masks(label, len(self.spec.classes))

    def explain_class(self, answered: AnsweredCase, name: str) -> ClassView:
        """Maps of one class, written and noted in the table; and how to draw them."""
        index = self.spec.classes.index(name)
        truth = None if answered.truth is None else answered.truth[index]
        size = answered.grid.own_shape
        mask = self.region.mask(answered.case, self.spec, size=size, predicted=answered.predicted[index], truth=truth)
        weights = answered.grid.to_network(mask).to(self.device)
        views: list[MapView] = []
        maps: dict[tuple[Method, str], Tensor] = {}
        for method, layer in self.settings.pairs():
            found, values, row = self._map(answered, name, mask, weights, method, layer)
            self.rows.append(row)
            views.append(MapView(f"{LABELS[method]}\n{layer}", values, row.note))
            if found is not None and not row.note:
                maps[method, layer] = found.values
        if self.checks is not None and maps:
            self._check(answered, name, weights, maps)
        region = None if self.region.kind in ("predicted", "truth", "image") else mask
        return ClassView(name, index, answered.predicted[index], truth, region, views)

    def _map(
        self, answered: AnsweredCase, name: str, mask: Mask, weights: Tensor, method: Method, layer: str
    ) -> tuple[ClassMap | None, NDArray[np.float32] | None, Explanation]:
        """A map, its heat on the image's own grid, which is written to its file (None without a region), and its row."""
        case_id, pixels = str(answered.case["id"]), int(mask.sum())
        row = {"case": case_id, "class_name": name, "layer": layer, "method": method, "region": self.settings.region}
        if not weights.any():
            note = EMPTY.get(self.region.kind, "the region is empty").format(name)
            logger.warning("%s: %s: no map: %s", case_id, name, note)
            return None, None, Explanation(**row, score=None, note=note, region_pixels=pixels, heat_inside=None, map="")  # type: ignore[arg-type]
        found = self._explain(self.network, answered, name, weights, method, layer)
        scaled, flat = heat(answered.grid.restore(found.values.cpu()[None], outside=None)[0])
        note = found.note or flat
        if note:
            logger.warning("%s: %s: the %s map is empty: %s", case_id, name, method, note)
        values: NDArray[np.float32] = scaled.numpy()
        file = self.folder / map_file(case_id, method, layer, name, self.spec)
        write_map(values, file, answered.grid.geometry)
        inside = float(values[mask].sum() / values.sum()) if values.any() else None
        done = {**row, "score": found.score, "note": note, "region_pixels": pixels, "heat_inside": inside}
        return found, values, Explanation(**done, map=file.relative_to(self.folder).as_posix())  # type: ignore[arg-type]

    def _explain(
        self, network: nn.Module, answered: AnsweredCase, name: str, weights: Tensor, method: Method, layer: str
    ) -> ClassMap:
        return explain_case(
            network, answered.image, channel=self.channels[name], region=weights, method=method, layer=layer,
            spec=self.spec, logits=answered.logits,
        )  # fmt: skip

    def _check(
        self, answered: AnsweredCase, name: str, weights: Tensor, maps: Mapping[tuple[Method, str], Tensor]
    ) -> None:
        """Check maps, all on the network's grid."""
        keys = {f"{LABELS[method]} at {layer}": (method, layer) for method, layer in maps}

        def explain_with(network: nn.Module, key: str) -> ClassMap:
            return self._explain(network, answered, name, weights, *keys[key])

        assert self.checks is not None
        self.checks.examine(
            str(answered.case["id"]), name, image=answered.image, channel=self.channels[name], region=weights,
            maps={key: maps[pair] for key, pair in keys.items()}, explain_with=explain_with,
        )  # fmt: skip

    def draw(self, answered: AnsweredCase, views: Sequence[ClassView]) -> None:
        """The case's panel: a row for each class that has a map, or one that says why there is none."""
        picture = read_shown(answered.case, self.spec)
        shown = [view for view in views if any(m.heat is not None for m in view.maps)] or list(views[:1])
        figure = explanation_panel(picture.image, shown, affine=picture.affine, colour=picture.colour)
        save_figure(figure, self.folder / f"{answered.case['id']}{PANEL}")


LABELS: dict[Method, str] = {"cam": "CAM", "gradcam": "Grad-CAM", "gradcampp": "Grad-CAM++", "occlusion": "occlusion"}
EMPTY = {"predicted": "{} is not predicted here", "truth": "{} is not in the truth here"}


def channels_of(classes: Iterable[str], spec: DatasetSpec) -> dict[str, int]:
    """The logits' channel of each class.

    Raises:
        ValueError: no such class; the background of exclusive classes is not a class.
    """
    channels = {}
    for name in classes:
        if name == "background":
            raise ValueError("class 'background': the background cannot be explained; name one of the classes")
        if name not in spec.classes:
            raise ValueError(f"unknown class {name!r}{did_you_mean(name, spec.classes)}")
        channels[name] = spec.classes.index(name) + (spec.task == "multiclass")
    return channels
