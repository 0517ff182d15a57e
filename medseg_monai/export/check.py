"""`medseg check`: the rules by which MONAI's model zoo accepts a bundle, each with what to do if it fails.

The rules are those of the zoo's own checks (Project-MONAI/model-zoo, ci/verify_bundle.py and CONTRIBUTING), done offline.
Two of them build the network that ``configs/inference.json`` describes: a config is code, so check only bundles that you trust.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser

from medseg_monai.bundle.literals import literal
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.trained import WEIGHTS_FILE, load_weights
from medseg_monai.export.metadata import metadata_mistakes, read_metadata
from medseg_monai.export.unpack import unpack

LARGEST_FILE = 25 * 1024 * 1024
LARGE_FILES = ("large_files.yml", "large_files.yaml", "large_files.json")
INFERENCE = ("configs/inference.json", "configs/inference.yaml")
WEIGHTS, SCRIPTED = Path("models") / WEIGHTS_FILE, Path("models/model.ts")


@dataclass(frozen=True)
class Rule:
    """A rule and whether the bundle meets it.

    Attributes:
        name: the requirement.
        problem: what is wrong and what to do; empty if the rule is met.
    """

    name: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is met."""
        return not self.problem

    def __str__(self) -> str:
        return f"ok      {self.name}" if self.ok else f"failed  {self.name}: {self.problem}"


def check_bundle(bundle: Path) -> list[Rule]:
    """Every rule, for a bundle's folder."""
    rules: dict[str, Callable[[Path], str]] = {
        "LICENSE": _licence,
        "docs/README.md, the model card": lambda root: _text(root, "docs/README.md", "write the model card"),
        "docs/data_license.txt": lambda root: _text(
            root, "docs/data_license.txt", "name the training data, its licence and its source"
        ),
        "configs/metadata.json follows MONAI's schema": _metadata,
        "version in changelog": _changelog,
        "inference config": _inference_config,
        "models/model.pt": _weights,
        "no file over 25 MB": _file_sizes,
        "network's input and output as in metadata.json": _network,
        "TorchScript": _torchscript,
    }
    return [Rule(name, _problem(rule, bundle)) for name, rule in rules.items()]


@contextmanager
def opened(bundle_or_zip: str | Path) -> Iterator[Path]:
    """The bundle's folder: given by name or path, or temporarily unpacked from a zip.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: the file is not a zip, is refused (`medseg_monai.export.unpack`), or contains no bundle.
    """
    path = Path(bundle_or_zip)
    if not path.is_file():
        yield find_bundle(bundle_or_zip)
        return
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a zip file")
    with tempfile.TemporaryDirectory() as folder:
        unpack(path, Path(folder))
        roots = [file.parent.parent for file in Path(folder).rglob("configs/metadata.json")]
        if not roots:
            raise ValueError(f"{path} contains no bundle: no configs/metadata.json in it")
        yield min(roots, key=lambda root: len(root.parts))


def _problem(rule: Callable[[Path], str], bundle: Path) -> str:
    """The rule's result; an error during the check is a problem too, in one line."""
    logging.disable(logging.INFO)  # MONAI lists every argument
    try:
        return rule(bundle)
    except Exception as error:  # somebody else's config can fail in any way
        while error.__cause__ is not None and isinstance(error, RuntimeError):
            error = error.__cause__  # type: ignore[assignment]  # MONAI wraps the original error
        text = str(error).strip() or type(error).__name__
        return text.splitlines()[-1]
    finally:
        logging.disable(logging.NOTSET)


def _text(root: Path, name: str, advice: str) -> str:
    path = root / name
    if not path.is_file():
        return f"it is missing: {advice}"
    return "" if path.read_text(encoding="utf-8", errors="replace").strip() else f"it is empty: {advice}"


def _licence(root: Path) -> str:
    return _text(root, "LICENSE", "put the licence of the bundle there, Apache-2.0 in the zoo")


def _metadata(root: Path) -> str:
    return "; ".join(metadata_mistakes(read_metadata(root)))


def _changelog(root: Path) -> str:
    content = read_metadata(root)
    version, changelog = content.get("version"), content.get("changelog", {})
    return "" if version in changelog else f"version {version} has no entry: describe its changes in metadata.json"


def _inference_config(root: Path) -> str:
    return "" if _config(root) else f"neither {' nor '.join(INFERENCE)}"


def _config(root: Path) -> Path | None:
    return next((root / name for name in INFERENCE if (root / name).is_file()), None)


def _weights(root: Path) -> str:
    if (root / WEIGHTS).is_file() or WEIGHTS.as_posix() in _elsewhere(root):
        return ""
    return f"there are none: `medseg package {root.name} --out {root.name}.zip` makes a bundle with its weights"


def _file_sizes(root: Path) -> str:
    large = [path for path in _shipped(root) if path.stat().st_size > LARGEST_FILE]
    if not large:
        return ""
    entries = [
        f"path {path.relative_to(root).as_posix()}, hash_type sha256, hash_val {_sha256(path)}" for path in large
    ]
    return (
        f"{', '.join(f'{path.relative_to(root)} ({path.stat().st_size / 2**20:.0f} MB)' for path in large)}: train a narrower "
        f"network, or upload the file and list it with its url in {LARGE_FILES[0]}: {'; '.join(entries)}"
    )


def _shipped(root: Path) -> list[Path]:
    """The bundle's files, without the trainings in models/<data set>/, which are not part of it."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [
        path
        for path in files
        if not ((relative := path.relative_to(root)).parts[0] == "models" and len(relative.parts) > 2)
    ]


def _elsewhere(root: Path) -> list[str]:
    """Paths of large files that are downloaded from the URLs in large_files.*."""
    for name in LARGE_FILES:
        if (root / name).is_file():
            content: Any = yaml.safe_load((root / name).read_text(encoding="utf-8"))
            return [str(entry["path"]) for entry in content["large_files"]]
    return []


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _network(root: Path) -> str:
    """MONAI's own check, on the smallest shapes that metadata.json allows and for which the coarsest map has two pixels."""
    from monai.bundle import verify_net_in_out

    config = _config(root)
    if config is None:
        return "configs/inference.json (or .yaml) is missing"
    verify_net_in_out(
        "network_def",
        meta_file=str(root / "configs" / "metadata.json"),
        config_file=str(config),
        device="cpu",
        n=2,
        bundle_root=literal(root),
    )
    return ""


def _torchscript(root: Path) -> str:
    """The network with its weights can be scripted, and models/model.ts, if it exists, gives the same answers."""
    if _config(root) is None or not (root / WEIGHTS).is_file():
        return "configs/inference.json or models/model.pt is missing"
    parser = ConfigParser()
    parser.read_config(str(_config(root)))
    parser["bundle_root"] = literal(root)
    network = load_weights(parser.get_parsed_content("network_def"), root / WEIGHTS).cpu().eval()
    image = _fake_image(root)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated in torch; the zoo still requires it
        expected = network(image)
        scripted = [torch.jit.script(network)]
        if (root / SCRIPTED).is_file():
            scripted.append(torch.jit.load(str(root / SCRIPTED), map_location="cpu").eval())  # type: ignore[no-untyped-call]
        for module in scripted:
            if not torch.allclose(module(image), expected, rtol=1e-3, atol=1e-4):
                return f"{SCRIPTED} gives other answers than {WEIGHTS}: export it again (`medseg export`)"
    return ""


def _fake_image(root: Path) -> torch.Tensor:
    image = read_metadata(root)["network_data_format"]["inputs"]["image"]
    shape = (1, image["num_channels"], *[64] * len(image["spatial_shape"]))
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))  # the same verdict each time
