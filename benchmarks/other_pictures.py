"""Pictures of other kinds than dermoscopy, to try on whether a network's answer to them is flagged: generated ones, photographs that come
with scikit-image, scikit-learn and matplotlib, folders of pictures, and what becomes of dermoscopy when a colour channel goes wrong.

    python benchmarks/other_pictures.py BUNDLE DATASET_DIR [NAME=FOLDER ...] [--weights WEIGHTS] [--most 24]

prints how many of each kind are flagged and why, and how many of the test split's photographs. Kinds with a star played no part when the
numbers that describe a picture were found, but were seen when ways to combine them were compared; name those with a dagger that were not
seen before all was fixed.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from painted_lesions import flat_lesion, noisy_lesion, smooth_lesion, textured_lesion
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from medseg_monai.bundle.paths import find_bundle, find_weights
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import read_dataset
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.prepare.abdomen import Patient, draw_abdomen
from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.prepare.shapes import fractal_noise

COUNT = 12
SIZE = (384, 288)
WORDS = (
    "patient",
    "history",
    "referral",
    "clinic",
    "biopsy",
    "margin",
    "diameter",
    "report",
    "letter",
    "date",
    "signed",
)
PHOTOGRAPHS = [
    "skimage/data/astronaut.png",
    "skimage/data/coffee.png",
    "skimage/data/chelsea.png",
    "skimage/data/rocket.jpg",
    "skimage/data/camera.png",
    "skimage/data/motorcycle_left.png",
    "skimage/data/hubble_deep_field.jpg",
    "skimage/data/gravel.png",
    "skimage/data/grass.png",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif"}
OTHER_MEDICAL = [
    "skimage/data/ihc.png",
    "skimage/data/retina.jpg",
    "skimage/data/microaneurysms.png",
    "skimage/data/cell.png",
    "skimage/data/phantom.png",
]

Random = np.random.Generator
Kind = Callable[[Random], Image.Image]


def document(rng: Random) -> Image.Image:
    """A page of words."""
    picture = Image.new("RGB", (600, 800), tuple(int(v) for v in rng.integers(235, 256, 3)))
    draw, size = ImageDraw.Draw(picture), int(rng.integers(14, 26))
    font = ImageFont.load_default(size)
    for y in range(40, 740, int(size * 1.6)):
        if rng.random() < 0.9:
            draw.text((40, y), " ".join(rng.choice(WORDS, 14))[: 1000 // size], fill=(20, 20, 30), font=font)
    return picture


def plot(rng: Random) -> Image.Image:
    """Axes, a grid and curves or bars on white."""
    picture = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((60, 30, 610, 430), outline="black", width=2)
    for step in range(1, 6):
        draw.line((60, 30 + 66 * step, 610, 30 + 66 * step), fill=(220, 220, 220))
    for _ in range(int(rng.integers(1, 4))):
        colour = tuple(int(v) for v in rng.integers(0, 200, 3))
        heights = np.clip(230 + 40 * rng.standard_normal(40).cumsum() / 2, 40, 425)
        if rng.random() < 0.3:
            for number, height in enumerate(heights[::4]):
                draw.rectangle((70 + 54 * number, height, 100 + 54 * number, 430), fill=colour)
        else:
            draw.line([(60 + 14 * n, float(h)) for n, h in enumerate(heights)], fill=colour, width=3)
    draw.text((250, 445), "follow-up (months)", fill="black", font=ImageFont.load_default(18))
    return picture


def screenshot(rng: Random) -> Image.Image:
    """Windows with title bars, buttons and text; light or dark."""
    dark = rng.random() < 0.5
    picture = Image.new("RGB", (1024, 640), (40, 44, 52) if dark else (222, 226, 232))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        x, y = int(rng.integers(0, 500)), int(rng.integers(0, 300))
        right, bottom = x + int(rng.integers(300, 520)), y + int(rng.integers(200, 330))
        draw.rectangle((x, y, right, bottom), fill=(60, 64, 72) if dark else (250, 250, 250), outline=(90, 90, 90))
        draw.rectangle((x, y, right, y + 28), fill=tuple(int(v) for v in rng.integers(40, 220, 3)))
        for line in range(y + 40, bottom - 20, 22):
            draw.text((x + 12, line), " ".join(rng.choice(WORDS, 6)), fill=(190, 190, 190) if dark else (30, 30, 30))
    return picture


def drawing(rng: Random) -> Image.Image:
    """A lesion drawn by this project."""
    return Image.fromarray(draw_dermoscopy(rng, SIZE)[0])


def gradient(rng: Random) -> Image.Image:
    """One colour that becomes another."""
    along = np.linspace(0, 1, SIZE[0])[None, :, None] * np.ones((SIZE[1], 1, 1))
    if rng.random() < 0.5:
        along = (
            along[:, ::-1]
            if rng.random() < 0.5
            else np.linspace(0, 1, SIZE[1])[:, None, None] * np.ones((1, SIZE[0], 1))
        )
    first, second = rng.uniform(0, 255, (2, 3))
    return _picture(first + (second - first) * along)


def noise(rng: Random) -> Image.Image:
    """White or cloudy noise, grey or in colours."""
    channels = 3 if rng.random() < 0.5 else 1
    planes = [
        rng.standard_normal(SIZE[::-1]) if rng.random() < 0.5 else fractal_noise(rng, SIZE, int(rng.integers(2, 12)))
        for _ in range(channels)
    ]
    return _picture(128 + rng.uniform(20, 70) * np.stack([*planes, *planes[:1] * (3 - channels)], axis=-1))


def single_colour(rng: Random) -> Image.Image:
    """A cap left on the lens: one colour, with a camera's noise half of the time."""
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.7 else np.full(3, rng.choice([0, 255]))
    return _picture(colour + rng.choice([0, 3]) * rng.standard_normal((*SIZE[::-1], 3)))


def sticker(rng: Random) -> Image.Image:
    """A coloured disc on skin without a lesion: a marker, a ruler's end, a plaster."""
    skin = np.array([205, 160, 135]) * rng.uniform(0.75, 1.1) + rng.normal(0, 6, 3)
    pixels = skin + 5 * fractal_noise(rng, SIZE, 4)[..., None] + 3 * rng.standard_normal((*SIZE[::-1], 1))
    picture = _picture(pixels).resize((2 * SIZE[0], 2 * SIZE[1]))
    radius, x, y = int(rng.integers(70, 190)), int(rng.integers(280, 490)), int(rng.integers(200, 370))
    colour = tuple(
        int(v) for v in Image.new("HSV", (1, 1), (int(rng.integers(0, 256)), 200, 210)).convert("RGB").getpixel((0, 0))
    )
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(1)).resize(SIZE)


def skin_sticker(rng: Random) -> Image.Image:
    """A disc of a skin's colour on skin of another shade."""
    picture = np.asarray(sticker(rng)).astype(float)
    skin = np.median(picture.reshape(-1, 3), axis=0)
    off = np.abs(picture - skin).sum(axis=-1) > 60
    picture[off] = skin * rng.uniform(0.6, 0.85)
    return _picture(picture).filter(ImageFilter.GaussianBlur(0.7))


def mr_slice(rng: Random) -> Image.Image:
    """An abdomen drawn like MR, grey."""
    pixels, _ = draw_abdomen(Patient.draw(rng), float(rng.uniform(0.1, 0.9)), SIZE)
    scaled = pixels.astype(float) * 255 / max(1.0, float(np.percentile(pixels, 99)))
    return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


GENERATED: dict[str, Kind] = {
    "document": document,
    "plot": plot,
    "screenshot": screenshot,
    "drawn lesion": drawing,
    "gradient": gradient,
    "noise": noise,
    "single colour": single_colour,
    "coloured disc on skin": sticker,
    "skin-coloured disc": skin_sticker,
    "drawn MR slice": mr_slice,
}
HELD_OUT: dict[str, Kind] = {
    "lesion painted smooth*": smooth_lesion,
    "lesion painted with noise*": noisy_lesion,
    "lesion painted with texture*": textured_lesion,
    "lesion drawn flat*": flat_lesion,
}
SPOILT: dict[str, Callable[[Image.Image], Image.Image]] = {
    "dermoscopy, grey": lambda picture: picture.convert("L"),
    "dermoscopy, inverted": ImageOps.invert,
    "dermoscopy, red and blue swapped": lambda picture: Image.merge("RGB", picture.split()[::-1]),
}


def other_pictures(
    dermoscopy: Sequence[Path], folders: Mapping[str, Path] = MappingProxyType({}), *, most: int = 24
) -> dict[str, list[Image.Image]]:
    """Kind -> pictures.

    Args:
        dermoscopy: photographs to spoil, at least `COUNT`.
        folders: further kinds, by name.
        most: pictures of each of these, evenly spaced in their order.
    """
    kinds = {
        name: [draw(np.random.default_rng([number, count])) for count in range(COUNT)]
        for number, (name, draw) in enumerate({**GENERATED, **HELD_OUT}.items())
    }
    kinds["photograph"] = _installed(PHOTOGRAPHS)
    kinds["microscope, fundus, phantom"] = _installed(OTHER_MEDICAL)
    for name, spoil in SPOILT.items():
        kinds[name] = [spoil(Image.open(path).convert("RGB")) for path in dermoscopy[:COUNT]]
    for name, folder in folders.items():
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        chosen = np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int))
        kinds[name] = [_opened(files[place]) for place in chosen]
    return {name: pictures for name, pictures in kinds.items() if pictures}


def _picture(pixels: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _installed(names: Sequence[str]) -> list[Image.Image]:
    """Those of the pictures whose package is installed."""
    found = []
    for name in names:
        package, _, rest = name.partition("/")
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin and (file := Path(spec.origin).parent / rest).is_file():
            found.append(Image.open(file).convert("RGB"))
    return found


def _opened(path: Path) -> Image.Image:
    """A picture of at most 1600 pixels a side, on white where it is transparent; of a scan of 16 bits the brightest percent is white."""
    picture = Image.open(path)
    if picture.mode in ("I", "F", "I;16"):
        values = np.asarray(picture).astype(float)
        return _picture(values * 255 / max(1.0, float(np.percentile(values, 99))))
    picture = picture.convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    shown.thumbnail((1600, 1600))
    return shown


def unusualness(found: Sequence[Prediction], trained: Trained) -> NDArray[np.floating]:
    """Of each picture."""
    known = trained.familiarity
    if known is None:
        raise ValueError("what is usual is not known for these weights: run medseg review first")
    return np.array([known.unusualness(one.description) for one in found])


def flagged_row(name: str, found: Sequence[Prediction], trained: Trained, limit: float) -> str:
    """A row of the table: pictures, those unlike (as flagged, and above a limit), doubtful masks that are not empty, all flagged."""
    unlike = [one.reason.startswith("unlike") for one in found]
    wrong = ["may be poor" in one.reason or "uncertain outline" in one.reason for one in found]
    counts = [
        sum(unlike),
        int((unusualness(found, trained) > limit).sum()),
        sum(wrong),
        sum(one.flagged is True for one in found),
    ]
    return f"| {name} | {len(found)} | {' | '.join(map(str, counts))} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("folders", nargs="*", metavar="NAME=FOLDER")
    parser.add_argument("--weights", help="as medseg predict takes them")
    parser.add_argument("--most", type=int, default=24, help="pictures of each folder")
    chosen = parser.parse_args()
    weights = find_weights(find_bundle(chosen.bundle), chosen.weights)
    predict, trained = Predictor(chosen.bundle, weights=weights), Trained.read(weights.parent)
    test = [Path(str(case["image"])) for case in read_dataset(chosen.dataset_dir).cases("test")]
    usual = [predict(picture) for picture in test]
    limit = float(np.quantile(unusualness(usual, trained), 0.95))
    print(
        "| pictures | number | unlike training's | unlike at 5 % false alarms | found, but perhaps poorly | flagged |"
    )
    print("|---|---|---|---|---|---|")
    print(flagged_row("dermoscopy, test", usual, trained, limit), flush=True)
    folders = {name: Path(folder) for name, _, folder in (given.partition("=") for given in chosen.folders)}
    others: dict[str, list[Prediction]] = {}
    for name, pictures in other_pictures(test[50:], folders, most=chosen.most).items():
        others[name] = [predict(picture) for picture in pictures]
        print(flagged_row(name, others[name], trained, limit), flush=True)
    for title, mark in (("all others, developed on", ""), ("all others*", "*"), ("all others†", "†")):
        found = [one for name, several in others.items() if name.strip("*†") + mark == name for one in several]
        if found:
            print(flagged_row(title, found, trained, limit))


if __name__ == "__main__":
    main()
