"""Where bundles and their weights are. Needs neither torch nor MONAI, so a mistyped name is reported at once.

Bundles come with the program: in the repository, or inside the installed package. Those in ``./bundles`` take precedence. The program's
own are never written to, except in its repository: what they train goes to ``./models/<bundle>``.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import medseg_monai
from medseg_monai.program.messages import did_you_mean, nearest_path
from medseg_monai.training.folder import SPEC_FILE, WEIGHTS_FILE, recover

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind

BUNDLES, MODELS = "bundles", "models"
PLAIN = "plain"
"""The encoder that a network brings along itself."""
_TRAIN_CONFIG = Path("configs") / "train.json"


def program_bundles() -> Path:
    """The folder of the bundles that come with the program: in the installed package, or beside it in the repository."""
    package = Path(medseg_monai.__file__).resolve().parent
    return package / BUNDLES if (package / BUNDLES).is_dir() else package.parent / BUNDLES


def list_bundles() -> list[Path]:
    """Every bundle's folder, by name: those in ``./bundles``, and the program's that have other names.

    Raises:
        FileNotFoundError: there are none.
    """
    found: dict[str, Path] = {}
    for folder in (Path(BUNDLES), program_bundles()):
        for config in folder.glob(f"*/{_TRAIN_CONFIG.as_posix()}"):
            found.setdefault(config.parent.parent.name, config.parent.parent)
    if not found:
        raise FileNotFoundError(f"no bundles found, in ./{BUNDLES} or with the program: reinstall medseg-monai")
    return [found[name] for name in sorted(found)]


def find_bundle(name: str | Path) -> Path:
    """The folder of a bundle given by name (``unetpp``, or as people write it: ``U-Net++``) or by path.

    Raises:
        FileNotFoundError: the bundle does not exist; the message names the nearest one.
    """
    as_path = Path(name)
    return as_path if (as_path / _TRAIN_CONFIG).is_file() else named_bundle(str(name))


def named_bundle(name: str) -> Path:
    """The folder of a bundle by its name alone, as files say it.

    A bundle's configs are code, and a path in a stranger's file is not to run any.

    Raises:
        FileNotFoundError: there is no bundle of that name in ``./bundles`` or with the program; the message names the nearest one.
    """
    bundles = {bundle.name: bundle for bundle in list_bundles()}
    plain = {plain_name(bundle): bundle for bundle in bundles}
    known = name if name in bundles else plain.get(plain_name(name))
    if known is None:
        kind = "a folder" if Path(name).is_dir() else "a file" if Path(name).is_file() else ""
        what = f"'{name}' is {kind}, not a bundle: name a bundle first" if kind else f"no bundle '{name}'"
        raise FileNotFoundError(f"{what}{did_you_mean(name, list(bundles))}")
    return bundles[known]


def plain_name(name: str) -> str:
    """A network's name without case, punctuation and variants of plus and 3D: equal for different spellings of the same name.

    >>> {plain_name(name) for name in ("unetpp", "U-Net++", "UNet++", "unet_plus_plus")}
    {'unetplusplus'}
    >>> plain_name("3D U-Net") == plain_name("unet3d"), plain_name("DeepLabV3+") == plain_name("deeplabv3plus")
    (True, True)
    """
    text = re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "plus"))
    text = re.sub(r"pp$", "plusplus", text)
    return re.sub(r"^3d(.+)", r"\g<1>3d", text)


def demo_kind(bundle_root: str | Path) -> Kind:
    """The kind of generated data that a bundle takes if no data set is named, see `medseg_monai.prepare.demo.demo_spec`."""
    kind: Kind = json.loads((Path(bundle_root) / _TRAIN_CONFIG).read_text(encoding="utf-8"))["demo"]
    return kind


def dataset_of(weights_file: Path) -> str | None:
    """The name of the data set that weights were trained on, as far as the spec.json beside them tells."""
    try:
        return str(json.loads((weights_file.parent / SPEC_FILE).read_text(encoding="utf-8"))["dataset"]["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return None  # what is wrong with the file is said by who reads all of it


def encoder_of(weights_file: Path) -> str | None:
    """The encoder of timm's in the network that weights are of, as far as the spec.json beside them tells; None for a plain one."""
    try:
        architecture = json.loads((weights_file.parent / SPEC_FILE).read_text(encoding="utf-8"))["architecture"]
        network = architecture.get("member", architecture)  # of an ensemble
        encoder = str(network.get("encoder", PLAIN))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # what is wrong with the file is said by who reads all of it
    return None if encoder == PLAIN else encoder


def default_root(name: str) -> str:
    """A bundle's folder as seen by its own configs: a config does not know where it is, only where it is run.

    Returns:
        ``.`` if this is run inside the bundle, else its place in ``./bundles``, else that of the program's bundle of this name.
    """
    if Path("configs/metadata.json").is_file():
        return "."
    here, with_program = Path(BUNDLES) / name, program_bundles() / name
    return str(with_program if with_program.is_dir() and not here.is_dir() else here)


def belongs_to_program(bundle_root: str | Path) -> bool:
    """Whether a bundle is one that came with the program, seen from outside the program's repository."""
    bundles = program_bundles()
    inside_package = bundles.parent == Path(medseg_monai.__file__).resolve().parent
    at_home = not inside_package and Path.cwd().resolve().is_relative_to(bundles.parent)
    return Path(bundle_root).resolve().parent == bundles and not at_home


def models_folder(bundle_root: str | Path) -> Path:
    """The folder for what a bundle trains: its own ``models``, or ``./models/<bundle>`` for one that came with the program."""
    root = Path(bundle_root)
    return Path(MODELS) / root.resolve().name if belongs_to_program(root) else root / MODELS


def find_weights(
    bundle_root: str | Path,
    weights: str | Path | None = None,
    *,
    dataset: str | None = None,
    choose: str = "choose one with --weights",
) -> Path:
    """The weights file to use.

    Args:
        bundle_root: the bundle's folder.
        weights: a file, a folder with ``model.pt``, or the name of a data set the bundle was trained on. By default the weights
            trained on `dataset`, else those that the bundle ships, else those of its only training.
        dataset: name of the data set at hand, if there is one.
        choose: what the user is told to do if there are several.

    Raises:
        FileNotFoundError: there are none, or several and none was named.
    """
    places = _model_places(bundle_root)
    if weights:
        folders = [Path(weights), *(place / weights for place in places)]
        candidates = [Path(weights), *(folder / WEIGHTS_FILE for folder in folders)]
        for path in candidates:
            recover(path.parent)
        found = [path for path in candidates if path.is_file()]
        if not found:
            looked = " and ".join(map(str, places))
            trainings = list(_trainings(bundle_root))
            raise FileNotFoundError(
                f"no weights '{weights}': neither a file, nor a folder with {WEIGHTS_FILE}, nor in {looked}"
                + (nearest_path(weights) or (did_you_mean(weights, trainings) if trainings else ""))
            )
        return found[0]
    for place in places:
        for folder in place.glob("*/"):
            recover(folder)
    preferred = [place / dataset / WEIGHTS_FILE for place in places] if dataset else []
    for path in (*preferred, *(place / WEIGHTS_FILE for place in places)):
        if path.is_file():
            return path
    trained = _trainings(bundle_root)
    if len(trained) == 1:
        return next(iter(trained.values()))
    if not trained:
        raise FileNotFoundError(
            f"{bundle_root} has no trained weights yet: run `medseg train {Path(bundle_root).name}` first"
        )
    raise FileNotFoundError(f"{bundle_root} has several trained weights ({', '.join(trained)}): {choose}")


def find_named_weights(bundle_root: str | Path, weights: str | Path) -> Path:
    """The weights file of a training or of another bundle.

    Args:
        bundle_root: folder of the bundle to which a data set's name refers.
        weights: as `find_weights` takes them, or the name of a bundle: the weights that it ships, else those of its only training.

    Raises:
        FileNotFoundError: there are none, or the bundle has several.
    """
    try:
        return find_weights(bundle_root, weights)
    except FileNotFoundError as error:
        try:
            bundle = find_bundle(weights)
        except FileNotFoundError:
            raise FileNotFoundError(f"{error}, and no bundle has this name") from None
        example = next(iter(_trainings(bundle).values()), bundle).parent
        return find_weights(bundle, choose=f"name the folder of one instead of {weights}, {example} say")


def trained_on(bundle_root: Path) -> list[str]:
    """Names of the data sets for which a bundle has weights; ``shipped weights`` first, if it came with some."""
    shipped = any((place / WEIGHTS_FILE).is_file() for place in _model_places(bundle_root))
    return ["shipped weights"] * shipped + list(_trainings(bundle_root))


def other_trainings(bundle_root: str | Path, used: Path) -> list[str]:
    """The data sets that a bundle was trained on, but for the weights that are used."""
    return [name for name, file in _trainings(bundle_root).items() if file.resolve() != used.resolve()]


def folder_to_write(bundle_root: str | Path, weights: str | Path) -> Path:
    """Where results about weights are written: beside them, but never among the program's own files.

    For weights that came with the program it is the same place below ``./models/<bundle>``.
    """
    folder = Path(weights).parent
    shipped = Path(bundle_root).resolve() / MODELS
    if belongs_to_program(bundle_root) and folder.resolve().is_relative_to(shipped):
        return models_folder(bundle_root) / folder.resolve().relative_to(shipped)
    return folder


def weights_to_change(bundle_root: str | Path, weights: str | Path) -> Path:
    """The weights file whose ``spec.json`` may be changed: for weights that came with the program a copy, made if needed.

    From then on the copy takes precedence over the original.
    """
    file, folder = Path(weights), folder_to_write(bundle_root, weights)
    if folder.resolve() == file.parent.resolve():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    for name in (SPEC_FILE, file.name):  # the weights last: if they exist, so does their spec
        if not (folder / file.name).is_file():
            shutil.copyfile(file.parent / name, folder / name)
    return folder / file.name


def copy_bundle(name: str | Path, folder: Path | None = None) -> Path:
    """Copy a bundle, to be changed, to ``./bundles/<name>`` or to `folder`; return the copy's folder. Weights are copied too.

    Raises:
        FileNotFoundError: the bundle does not exist.
        FileExistsError: the folder already exists.
    """
    source = find_bundle(name)
    target = folder or Path(BUNDLES) / source.resolve().name
    if target.exists():
        raise FileExistsError(f"{target} already exists: name another folder with --out, or remove it")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*", "__pycache__", "previous", "eval"))
    return target


def _model_places(bundle_root: str | Path) -> list[Path]:
    """The folders of a bundle's weights, the user's first."""
    own, theirs = models_folder(bundle_root), Path(bundle_root) / MODELS
    return [theirs] if own == theirs else [own, theirs]


def _trainings(bundle_root: str | Path) -> dict[str, Path]:
    """The weights files by data set; the user's before the program's."""
    found: dict[str, Path] = {}
    for place in _model_places(bundle_root):
        for file in place.glob(f"*/{WEIGHTS_FILE}"):
            found.setdefault(file.parent.name, file)
    return dict(sorted(found.items()))


def evaluation_folder(bundle_root: str | Path, weights: str | Path | None, *, dataset: str, split: str) -> str:
    """Default folder for an evaluation's tables: beside the weights.

    Before the first training it is where they will be: MONAI's federated client asks a bundle that has no weights yet.
    """
    try:
        folder = folder_to_write(bundle_root, find_weights(bundle_root, weights, dataset=dataset))
    except FileNotFoundError:
        folder = models_folder(bundle_root) / dataset
    return str(folder / f"evaluation_{split}")
