"""`medseg export`: trained weights as a file for another runtime, kept only if its answers equal torch's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import medseg_monai
from medseg_monai.bundle.trained import Trained, load_weights
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.agreement import MIN_DICE, Agreement, agreement
from medseg_monai.engines.convert import INPUT, OUTPUT, SUFFIXES, Format, axis_names, convert, network_size
from medseg_monai.export.exported import open_exported
from medseg_monai.files.writing import write_whole
from medseg_monai.grids.kinds import kind_of

MAX_LOGIT_DIFFERENCE = 1e-3
"""Share of the largest logit: both sides compute in float32, so a larger difference is not rounding but a wrong export."""
SAMPLES = 4


@dataclass(frozen=True)
class Parity:
    """The comparison of an exported file's answers with torch's in float32. Written to ``<file>.parity.json``.

    Attributes:
        file: name of the exported file.
        format: its format.
        network: name of the network.
        samples: what was compared: ``images`` given by the user, or ``generated``.
        images: number of images.
        max_abs_logit_difference: over all of them.
        max_abs_logit: the largest logit, the scale of the difference.
        mask_dice: Dice of the masks of all images together, for the class with the lowest.
        foreground: whether any mask had foreground; if not, only the logits are meaningful.
        dynamic_batch: whether another batch size gave torch's answer too.
        dynamic_size: whether another image size did.
        versions: versions of the packages that wrote and ran the file.
    """

    file: str
    format: Format
    network: str
    samples: str
    images: int
    max_abs_logit_difference: float
    max_abs_logit: float
    mask_dice: float
    foreground: bool
    dynamic_batch: bool
    dynamic_size: bool
    versions: dict[str, str]

    @property
    def holds(self) -> bool:
        """Whether the file may replace the network."""
        within = self.max_abs_logit_difference <= MAX_LOGIT_DIFFERENCE * max(1.0, self.max_abs_logit)
        return within and self.mask_dice >= MIN_DICE  # False for NaN too

    def __str__(self) -> str:
        free = [name for name, is_free in (("batch", self.dynamic_batch), ("size", self.dynamic_size)) if is_free]
        return (
            f"{self.format}: logits within {self.max_abs_logit_difference:.1e} (largest {self.max_abs_logit:.3g}), "
            f"mask Dice {self.mask_dice:.5f} on {self.images} {self.samples}, free: {', '.join(free) or 'nothing'}"
        )


def export(
    trained: Trained,
    network: nn.Module,
    file: Path,
    fmt: Format,
    *,
    images: Sequence[Tensor] | None = None,
) -> Parity:
    """Write `network` to `file`, with `trained` inside, and the parity report beside it.

    Args:
        trained: what the weights are for.
        network: with these weights.
        file: the file to write; OpenVINO's weights go beside it, with the suffix ``.bin``.
        fmt: the format.
        images: (C, *S), the network's inputs, all of one size, to compare answers on; by default generated ones.

    Raises:
        ValueError: the file does not have its format's suffix, or its answers differ from torch's: then nothing is written.
    """
    if file.suffix != SUFFIXES[fmt]:
        raise ValueError(f"{file}: a {fmt} file must end in {SUFFIXES[fmt]}")
    network = network.cpu().float().eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    # on the same file system, so that it can be moved in one step
    with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
        part = Path(folder) / file.name
        convert(network, trained.dataset, part, fmt, facts=facts(trained))
        try:
            parity = compare(network, trained.dataset, part, fmt, images=images)
        except (ImportError, ValueError):  # their messages already say what to do
            raise
        except Exception as error:  # each runtime has its own errors for files or images that it cannot use
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{file} was not written, because it does not run: {reason}") from error
        if not parity.holds:
            raise ValueError(f"{file} was not written, because its answers differ from torch's: {parity}")
        for written in sorted(Path(folder).iterdir()):  # .bin before .xml, which needs it
            written.replace(file.with_name(written.name))
    write_whole(parity_file(file), (json.dumps(asdict(parity), indent=2) + "\n").encode())
    return parity


def trained_network(weights: Path, options: Mapping[str, Any] | None = None) -> tuple[Trained, nn.Module]:
    """The network of a weights file with its weights, and what it was trained for.

    Args:
        weights: ``model.pt`` with ``spec.json`` beside it.
        options: arguments of the network for inference (``inference_depth``); they are added to the returned spec.

    Raises:
        ValueError: the network does not have the argument, or cannot use its value.
    """
    trained = Trained.read(weights.parent)
    trained = replace(trained, architecture={**trained.architecture, **(options or {})})
    try:
        network = trained.build_network()
    except TypeError as error:
        raise ValueError(str(error).replace("__init__() ", "")) from error
    return trained, load_weights(network, weights).eval()


def parity_file(file: Path) -> Path:
    """The file of the report on `file`."""
    return file.with_name(f"{file.name}.parity.json")


def facts(trained: Trained) -> dict[str, str]:
    """The facts inside an exported file, as JSON texts by name.

    ``spec``: spec.json, from which this package builds everything. ``metadata``: the same for use without this package: class names,
    the input's axes, channels, size and normalisation, and how logits become a mask.
    """
    spec = trained.dataset
    content: dict[str, Any] = {
        "made_by": f"medseg-monai {medseg_monai.__version__}",
        "network": str(trained.architecture["_target_"]).rpartition(".")[2],
        "task": spec.task,
        "classes": list(spec.classes),
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "axes": ["batch", "channel", *axis_names(spec)],
            "channels": list(spec.channels),
            "size": spec.size,
            "spacing_mm": spec.spacing_mm,
            "aspect": spec.aspect,
            "intensity": spec.intensity.to_dict(),
        },
        "output": {
            "name": OUTPUT,
            "channels": [*(["background"] if spec.task == "multiclass" else []), *spec.classes],
            "activation": "softmax" if spec.task == "multiclass" else "sigmoid",
            "mask": "argmax" if spec.task == "multiclass" else "probability > 0.5",
            "cleaning": None if trained.cleaning is None else trained.cleaning.to_dict(),
        },
        "notice": "Research software, not a medical device. Not for diagnosis.",
    }
    return {"spec": json.dumps(trained.to_dict()), "metadata": json.dumps(content)}


def compare(
    network: nn.Module, spec: DatasetSpec, file: Path, fmt: Format, *, images: Sequence[Tensor] | None = None
) -> Parity:
    """Run the file and the network on the same images, one at a time, then with another batch size and at another image size."""
    samples = list(images) if images else generated_images(spec, network_size(spec))
    run = open_exported(file, fmt)
    expected, found = _answers(network, samples), [run(image[None]) for image in samples]
    agreed: Agreement | None = None
    for ours, theirs in zip(expected, found, strict=True):
        one = agreement(ours, theirs, task=spec.task)
        agreed = one if agreed is None else agreed + one
    if agreed is None:
        raise ValueError("there are no images to compare answers on")
    # 5/8 plus a few pixels: not a multiple of any stride
    other = [side * 5 // 8 + 3 for side in network_size(spec)]
    return Parity(
        file=file.name,
        format=fmt,
        network=type(network).__name__,
        samples="images" if images else "generated images",
        images=len(samples),
        max_abs_logit_difference=max(
            float((ours - theirs).abs().max()) for ours, theirs in zip(expected, found, strict=True)
        ),
        max_abs_logit=max(float(ours.abs().max()) for ours in expected),
        mask_dice=agreed.dice,
        foreground=agreed.says_something,
        dynamic_batch=_same(network, run, torch.stack([samples[0]] * 3)),
        dynamic_size=_same(network, run, torch.stack(generated_images(spec, other)[:1])),
        versions={"medseg-monai": medseg_monai.__version__, **{name: version(name) for name in _runtime(fmt)}},
    )


def _runtime(fmt: Format) -> tuple[str, ...]:
    return {"onnx": ("torch", "onnx", "onnxruntime"), "openvino": ("torch", "openvino")}.get(fmt, ("torch",))


def _answers(network: nn.Module, images: Sequence[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return [network(image[None]) for image in images]


def _same(network: nn.Module, run: Callable[[Tensor], Tensor], images: Tensor) -> bool:
    """Whether the file accepts images of this shape and gives the network's answer."""
    with torch.no_grad():
        expected = network(images)
    try:
        found = run(images)
    except Exception:  # each runtime has its own errors for shapes that it cannot use
        return False
    tolerance = MAX_LOGIT_DIFFERENCE * max(1.0, float(expected.abs().max()))
    return found.shape == expected.shape and bool((found - expected).abs().max() <= tolerance)


def sample_images(spec: DatasetSpec, sources: Sequence[str | Path]) -> list[Tensor]:
    """The first images in files and folders, as network inputs, to compare answers on.

    Raises:
        FileNotFoundError, ValueError: there are none, or one cannot be read.
    """
    from medseg_monai.inference.cases import find_cases
    from medseg_monai.transforms import Pipeline, load, normalise

    read = Pipeline([load(spec, keys=("image",)), normalise(spec)])
    return [torch.as_tensor(read(case)["image"]) for case in find_cases(list(sources), spec=spec)[: 2 * SAMPLES]]


def generated_images(spec: DatasetSpec, size: Sequence[int], *, n: int = SAMPLES) -> list[Tensor]:
    """Smooth random spots on a smooth background, about as bright and varied as normalised images: (C, *size) each.

    Noise would suffice for the logits, but networks find nothing in it, and two empty masks always agree.
    """
    generator = torch.Generator().manual_seed(0)
    mode = kind_of(spec).interpolation
    images = []
    for _ in range(n):
        image = torch.zeros(spec.in_channels, *size)
        for cells in (2, 4, 8, 32):  # from broad to fine, and weaker
            coarse = torch.randn(1, spec.in_channels, *[cells] * spec.spatial_dims, generator=generator)
            image += F.interpolate(coarse, size=tuple(size), mode=mode, align_corners=False)[0] * 2 / cells**0.5
        images.append(image)
    return images
