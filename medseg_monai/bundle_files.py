"""Where bundles and their weights lie. Needs neither torch nor MONAI, so that a mistyped name is told at once."""

from __future__ import annotations

from pathlib import Path

from medseg_monai.spec import did_you_mean
from medseg_monai.training.folder import WEIGHTS_FILE, recover


def bundles_folder() -> Path:
    """The folder that holds the bundles: ``./bundles``, else the one beside the package."""
    for folder in (Path("bundles"), Path(__file__).resolve().parent.parent / "bundles"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("no bundles/ folder here or beside the package: run this from the repository's root")


def list_bundles() -> list[Path]:
    """Every bundle's folder, by name."""
    return sorted(path.parent.parent for path in bundles_folder().glob("*/configs/train.json"))


def find_bundle(name: str | Path) -> Path:
    """The folder of a bundle given by name (``unetpp``) or by path.

    Raises:
        FileNotFoundError: no such bundle; names the nearest one.
    """
    as_path = Path(name)
    if (as_path / "configs" / "train.json").is_file():
        return as_path
    names = [bundle.name for bundle in list_bundles()]
    if str(name) in names:
        return bundles_folder() / name
    raise FileNotFoundError(f"no bundle '{name}'{did_you_mean(name, names)}")


def find_weights(bundle_root: str | Path, weights: str | Path | None = None, *, dataset: str | None = None) -> Path:
    """The weights file to use.

    Args:
        bundle_root: the bundle's folder.
        weights: a file, a folder with ``model.pt``, or the name of a data set the bundle was trained on. By default the weights
            trained on `dataset`, else those that the bundle ships, else those of its only training.
        dataset: name of the data set at hand, if there is one.

    Raises:
        FileNotFoundError: there are none, or several and none was named.
    """
    models = Path(bundle_root) / "models"
    if weights:
        candidates = [Path(weights), Path(weights) / WEIGHTS_FILE, models / weights / WEIGHTS_FILE]
        for path in candidates:
            recover(path.parent)
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise FileNotFoundError(
                f"no weights '{weights}': neither a file, nor a folder with {WEIGHTS_FILE}, nor in {models}"
            )
        return found[0]
    for folder in models.glob("*/"):
        recover(folder)
    preferred = [models / dataset / WEIGHTS_FILE] if dataset else []
    for path in (*preferred, models / WEIGHTS_FILE):
        if path.is_file():
            return path
    trained = sorted(models.glob(f"*/{WEIGHTS_FILE}"))
    if len(trained) == 1:
        return trained[0]
    if not trained:
        raise FileNotFoundError(
            f"{bundle_root} has no trained weights yet: run `medseg train {Path(bundle_root).name}` first"
        )
    names = ", ".join(path.parent.name for path in trained)
    raise FileNotFoundError(f"{bundle_root} has several trained weights ({names}): say which with --weights")


def trained_on(bundle_root: Path) -> list[str]:
    """Names of the data sets that a bundle has weights of; ``shipped weights`` first, if it came with some."""
    models = bundle_root / "models"
    shipped = ["shipped weights"] if (models / WEIGHTS_FILE).is_file() else []
    return shipped + sorted(path.parent.name for path in models.glob(f"*/{WEIGHTS_FILE}"))
