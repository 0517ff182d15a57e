"""The plan file: what a training is to do and why, as YAML that a person can read and change.

It is data: whatever it holds becomes values, and none of it is run.
"""

from __future__ import annotations

import html
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from medseg_monai.files.handwritten import read_handwritten
from medseg_monai.files.writing import readable, write_whole
from medseg_monai.program.messages import refuse_unknown_keys

WIDTH = 110
REASONS_FOR = "reasons"


@dataclass(frozen=True)
class Plan:
    """What a training is to do. ``None`` leaves a knob as the data set or the bundle has it.

    Attributes:
        bundle: name or folder.
        dataset_dir: folder of the data set.
        size, spacing_mm: of the network's input, and of the grid of volumes.
        architecture: arguments of the network that differ from the bundle's own.
        batch_size, max_epochs, lr, weight_average, augmentation, foreground, patches_per_case, empty_fraction, class_balance,
            val_interval: knobs of ``train.json``.
        minutes: that it takes, about; None if that is not known.
        most_minutes: that it may take, once it is planned: if it turns out slower, it goes through fewer epochs; None for any time.
        changed_epochs: at the end of an epoch, so many in all: where a run was made shorter, or as long again. Who follows the plan does
            the same, whatever the clock says.
        memory_gb: that it takes, about.
        reasons: by the name of a knob; ``about`` holds lines for the head of the file.
    """

    bundle: str = ""
    _: KW_ONLY
    dataset_dir: str = ""
    size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    architecture: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    max_epochs: int | None = None
    lr: float | None = None
    weight_average: float | None = None
    augmentation: float | str | Mapping[str, float] | None = None
    foreground: float | None = None
    patches_per_case: int | None = None
    empty_fraction: float | None = None
    class_balance: float | None = None
    val_interval: int | None = None
    minutes: float | None = None
    most_minutes: float | None = None
    changed_epochs: tuple[tuple[int, int], ...] = ()
    memory_gb: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Refuse values of another kind."""
        for key, check in _CHECKS.items():
            value = getattr(self, key)
            if value is not None and (problem := check(value)) is not None:
                raise ValueError(f"{key}: {problem} is expected, got {value!r}")
        for key in ("size", "spacing_mm"):
            value = getattr(self, key)
            object.__setattr__(self, key, None if value is None else tuple(value))
        object.__setattr__(self, "changed_epochs", tuple((at, epochs) for at, epochs in self.changed_epochs))

    def knob(self, name: str, default: Any) -> Any:
        """What the plan says of a knob, or the default."""
        value = getattr(self, name)
        return default if value is None else value

    def with_values(self, values: Mapping[str, Any]) -> Plan:
        """The plan with other values, whose old reasons fall away."""
        reasons = {key: reason for key, reason in self.reasons.items() if key not in values}
        return replace(self, **dict(values), reasons=reasons)

    def to_yaml(self) -> str:
        """The file's text: each key below its reason."""
        lines = [f"# {_printable(line)}" for line in self.reasons.get("about", "").splitlines()]
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == REASONS_FOR or value in (None, "", {}, ()):
                continue
            lines += ["", *_comment(self.reasons.get(item.name, ""))]
            inner = None if isinstance(value, Mapping | tuple) else False  # None: lists on one line
            text = yaml.safe_dump({item.name: _plain(value)}, default_flow_style=inner, sort_keys=False, width=1000)
            lines += text.splitlines()
        return "\n".join(lines) + "\n"

    def write(self, file: Path) -> None:
        """Write the file, whole or not at all."""
        write_whole(file, readable(self.to_yaml()))

    def save(self, file: str | Path) -> Path:
        """`write`, as other results are saved; returns the file."""
        self.write(Path(file))
        return Path(file)

    def _repr_html_(self) -> str:
        """The file's text, for a notebook."""
        return f"<pre>{html.escape(readable(self.to_yaml()))}</pre>"


KEYS = tuple(item.name for item in fields(Plan) if item.name not in (REASONS_FOR, "_"))
KNOBS = (
    "size",
    "spacing_mm",
    "batch_size",
    "max_epochs",
    "lr",
    "weight_average",
    "augmentation",
    "foreground",
    "patches_per_case",
    "empty_fraction",
    "class_balance",
    "val_interval",
)
"""What of a plan are keys of ``train.json``."""


def read_plan(file: str | Path) -> Plan:
    """Read a plan file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is not such a file, or has an unknown key or a wrong value; one line says which.
    """
    path = Path(file)
    try:
        content = read_handwritten(path)
        if not isinstance(content, Mapping):
            raise ValueError("expected a mapping of keys (write one with `medseg plan`)")
        refuse_unknown_keys({str(key): value for key, value in content.items()}, KEYS)
        return Plan(**content, reasons=_reasons(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise FileNotFoundError(f"no such plan: {path}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; a plan file is expected") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def _reasons(text: str) -> dict[str, str]:
    """The comments of a plan's text by the key that they stand above, as `Plan.to_yaml` writes them; those at its head are ``about``."""
    reasons: dict[str, str] = {}
    comment: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
            continue
        key = line.split(":")[0]
        if comment and not line and not reasons:
            reasons["about"] = "\n".join(comment)
        elif comment and key in KEYS:
            reasons[key] = " ".join(comment)
        comment = []
    return reasons


def check_architecture(plan: Plan, network: type) -> None:
    """Refuse arguments that the network does not have.

    Raises:
        ValueError: names the nearest right one.
    """
    known = [name for name in inspect.signature(network).parameters if name not in ("in_channels", "out_channels")]
    refuse_unknown_keys(plan.architecture, known, f"plan: architecture of {network.__name__}")


def _comment(text: str) -> list[str]:
    """A text as comment lines."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) > WIDTH:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return [f"# {_printable(part)}" for part in [*lines, line] if part]


def _printable(text: str) -> str:
    """Without characters that YAML does not take even in comments: names of classes may hold them."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _plain(value: Any) -> Any:
    """What YAML's safe writer takes."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return None if good else "a whole number of 1 or more"


def _above_zero(value: object) -> str | None:
    return None if _is_number(value) and value > 0 else "a number above 0"  # type: ignore[operator]


def _share(value: object) -> str | None:
    return None if _is_number(value) and 0 <= value < 1 else "a number from 0 to below 1"  # type: ignore[operator]


def _up_to_one(value: object) -> str | None:
    return None if _is_number(value) and 0 <= value <= 1 else "a number from 0 to 1"  # type: ignore[operator]


def _sides(value: object) -> str | None:
    good = isinstance(value, Sequence) and len(value) in (2, 3) and all(_whole(side) is None for side in value)
    return None if good else "a list of 2 or 3 whole numbers, [width, height] or [R, A, S]"


def _spacing(value: object) -> str | None:
    good = isinstance(value, Sequence) and len(value) in (2, 3) and all(_above_zero(side) is None for side in value)
    return None if good else "a list of 2 or 3 numbers above 0, in mm"


def _changes(value: object) -> str | None:
    """Pairs (at the end of this epoch, so many in all), each of which changes something before the run ends."""
    problem = "a list of pairs, [at the end of this epoch, so many in all]"
    if not isinstance(value, Sequence) or isinstance(value, str):
        return problem
    for pair in value:
        if not isinstance(pair, Sequence) or len(pair) != 2 or any(_whole(number) for number in pair):
            return problem
    pairs = [(int(at), int(epochs)) for at, epochs in value]
    changes = all(earlier < later < was != now for (earlier, was), (later, now) in pairwise(pairs))
    return None if changes and all(at <= epochs for at, epochs in pairs) else f"{problem}, one after the other,"


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else "a text"


def _strength(value: object) -> str | None:
    if isinstance(value, Mapping):
        return (
            None if all(isinstance(key, str) and _is_number(item) for key, item in value.items()) else "numbers by name"
        )
    if value is False:  # what YAML makes of `--set augmentation=off`
        return None
    good = isinstance(value, str) or (_is_number(value) and value >= 0)  # type: ignore[operator]
    return None if good else "a strength of 0 or more, the name of one, or numbers by name"


def _arguments(value: object) -> str | None:
    good = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    return None if good and "_target_" not in value else "a mapping of the network's arguments"  # type: ignore[operator]


_CHECKS = {
    "bundle": _text,
    "dataset_dir": _text,
    "size": _sides,
    "spacing_mm": _spacing,
    "architecture": _arguments,
    "batch_size": _whole,
    "max_epochs": _whole,
    "lr": _above_zero,
    "weight_average": _share,
    "augmentation": _strength,
    "foreground": _up_to_one,
    "patches_per_case": _whole,
    "empty_fraction": _share,
    "class_balance": _up_to_one,
    "val_interval": _whole,
    "minutes": _above_zero,
    "most_minutes": _above_zero,
    "changed_epochs": _changes,
    "memory_gb": _above_zero,
}
