"""`medseg_monai.export`: trained weights as a file for another runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import Assignments, FilePath, as_path, check_there, image_paths, parsed, text
from medseg_monai.api.results import save_as

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.export.export import Parity


@dataclass(frozen=True)
class ExportedWeights:
    """A file for another runtime whose answers equal torch's.

    Attributes:
        file: that was written; OpenVINO's weights lie beside it as ``.bin``.
        weights: that are in it.
        parity: the comparison with torch.
        notes: what was warned of.
    """

    file: Path
    weights: Path
    parity: Parity = field(repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def report(self) -> Path:
        """The comparison as JSON."""
        from medseg_monai.export.export import parity_file

        return parity_file(self.file)

    @property
    def files(self) -> list[Path]:
        """All files that belong to it."""
        return [file for file in (self.file, self.file.with_suffix(".bin")) if file.is_file()]

    def plot(self) -> Figure:
        """A matplotlib figure: how far the file's answers are from torch's, beside what is allowed."""
        from medseg_monai.engines.agreement import MIN_DICE
        from medseg_monai.export.export import MAX_LOGIT_DIFFERENCE
        from medseg_monai.figures.findings import within_limits

        found = self.parity
        allowed = MAX_LOGIT_DIFFERENCE * max(1.0, found.max_abs_logit)
        return within_limits(
            {
                "logits": (found.max_abs_logit_difference, allowed),
                "masks: 1 - Dice": (1 - found.mask_dice, 1 - MIN_DICE),
            }
        )

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …), the comparison (``.json``) or a copy of the file, if it is only one.

        Raises:
            ValueError: the suffix is none of these.
        """
        alone = {self.file.suffix: self.file} if len(self.files) == 1 else {}
        return save_as(path, {".json": self.report, **alone}, self.plot)

    def _repr_html_(self) -> str:
        """The file and the comparison, for a notebook."""
        from medseg_monai.report.notebook import Shown, card, figure_uri

        found = self.parity
        free = [name for name, is_free in (("batch", found.dynamic_batch), ("size", found.dynamic_size)) if is_free]
        return card(
            f"{found.network} as {found.format}",
            subtitle=f"compared with torch on {found.images} {found.samples}, which says nothing about accuracy",
            alarms=[] if found.foreground else ["no mask had foreground: only the logits were compared"],
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            facts={
                "files": ", ".join(map(str, self.files)),
                "size": f"{sum(file.stat().st_size for file in self.files) / 2**20:.1f} MB",
                "may vary": ", ".join(free) or "nothing",
                "weights": str(self.weights),
            },
            notes=self.notes,
        )


def export(
    bundle: FilePath,
    *,
    out: FilePath | None = None,
    fmt: str | None = None,
    weights: FilePath | None = None,
    samples: FilePath | Sequence[FilePath] | ImageDataset | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> ExportedWeights:
    """Write trained weights as a file for another runtime, with their spec inside; refused if the outputs differ.

    Args:
        bundle: its name or folder.
        out: file to write: ``.ts`` (default: BUNDLE.ts), ``.onnx``, ``.xml`` (with .bin) or ``.pt2``.
        fmt: ``torchscript``, ``onnx``, ``openvino`` or ``torch-export``; default: by `out`.
        weights: file, folder, or the data set's name.
        samples: images, folders of images, or cases, to compare the outputs on; default: generated ones.
        verbose: show log lines.
        assignments: an argument of the network for inference (``inference_depth``).

    Raises:
        FileNotFoundError: no such bundle, weights or samples.
        ValueError: an unknown format, a suffix that is not the format's, or answers that differ from torch's.
    """
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, target = find_bundle(bundle), as_path(out)
    file, overrides, compared = find_weights(folder, text(weights)), parsed(assignments), image_paths(samples)
    check_there(*compared)
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.engines.convert import FORMATS, SUFFIXES
    from medseg_monai.export.export import export as export_network
    from medseg_monai.export.export import sample_images, trained_network
    from medseg_monai.export.exported import format_of
    from medseg_monai.program.messages import did_you_mean

    chosen = next((known for known in FORMATS if known == fmt), None) if fmt else format_of(target or Path("x.ts"))
    if chosen is None:
        raise ValueError(f"unknown format {fmt!r}{did_you_mean(fmt or '', FORMATS)}")
    target = target or Path(f"{folder.resolve().name}{SUFFIXES[chosen]}")
    with noting(verbose) as messages:
        trained, network = trained_network(file, overrides)
        images = sample_images(trained.dataset, compared) if compared else None
        parity = export_network(trained, network, target, chosen, images=images)
    return ExportedWeights(target, file, parity, notes_of(messages))
