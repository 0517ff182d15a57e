"""What all sites of a federated training have in common; everything else is each site's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import write_whole

AGREEMENT_FILE = "agreement.json"
SAME_EVERYWHERE = ("task", "classes", "channels", "spatial_dims", "spacing_mm", "aspect", "intensity", "slice_stride")
"""What the network's weights depend on; names, descriptions and the numbers in label files may differ."""
NOT_SHARED = ("dataset_dir", "output_dir", "cache_dir", "device", "resume", "plan_file", "tracking")
"""Keys of train.json that only a site itself can decide."""


@dataclass(frozen=True)
class Agreement:
    """What all sites have in common.

    Args:
        bundle: name of the bundle, which each site has installed.
        spec: of the data set, without cases.
        settings: values of keys of ``train.json``: ``size``, ``lr``, ``batch_size``, ``architecture#features``. They are data, never code.
        rounds: how often the sites' networks are averaged.
        epochs: passes of a site over its own cases in each round.

    Raises:
        ValueError: a number is below 1, or a setting is for a site to decide.
    """

    bundle: str
    spec: DatasetSpec
    settings: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 5
    epochs: int = 1

    def __post_init__(self) -> None:
        for key in ("rounds", "epochs"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{key}: expected a whole number of 1 or more, got {value!r}")
        if own := [key for key in self.settings if key in NOT_SHARED]:
            raise ValueError(f"{own[0]} is for each site to decide: leave it out of what all agree on")

    def check(self, spec: DatasetSpec) -> None:
        """Refuse a site's data set that the network would not fit, or would see otherwise than the others' do.

        Raises:
            ValueError: it differs; the message names the first difference.
        """
        keys = SAME_EVERYWHERE if "size" in self.settings else (*SAME_EVERYWHERE, "size")
        for key in keys:
            ours, agreed = getattr(spec, key), getattr(self.spec, key)
            if key == "spacing_mm" and key in self.settings:
                continue
            if ours != agreed:
                raise ValueError(
                    f"{key} of {spec.name} is {_shown(ours)}, but {_shown(agreed)} is agreed: "
                    "all sites need the same in dataset.json"
                )

    def write(self, folder: Path) -> None:
        """Write ``agreement.json``."""
        content = {**vars(self), "spec": self.spec.to_dict(), "settings": dict(self.settings)}
        write_whole(folder / AGREEMENT_FILE, json.dumps(content, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Agreement:
        """Read ``agreement.json``.

        Raises:
            OSError, ValueError: it cannot be read, or is not such a file.
        """
        file = folder / AGREEMENT_FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{**content, "spec": DatasetSpec.from_dict(content["spec"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} does not say what the sites agree on: {error}") from error


def _shown(value: object) -> str:
    if value is None or value == ():
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
