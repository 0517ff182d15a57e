"""8-bit integers for a 2D network by OpenVINO and NNCF: how much faster, how far its masks move, and what that costs in Jaccard.

    pip install nncf 'medseg-monai[openvino]'
    python benchmarks/quantised.py DATASET_DIR --bundle unet --weights fast

Post-training quantisation, calibrated on training pictures. **whole**: every layer that NNCF can quantise. **guarded**: NNCF's accuracy
control gives back to float32 the layers that cost most, until the masks of the validation pictures agree with float32's (mean Dice at
least 0.999, which this project asks of every engine). Times are of the network alone, one picture, one thread; Jaccard is of the test
split on the stored photographs' own grid, with the difference paired by case.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import score
from accuracy_report import estimate_of, machine
from numpy.typing import NDArray

from medseg_monai.bundle.paths import find_bundle, find_weights
from medseg_monai.bundle.trained import Trained, load_weights
from medseg_monai.dataset import read_dataset
from medseg_monai.files.markdown import markdown_table
from medseg_monai.grids import grid_of
from medseg_monai.transforms import Pipeline, load, normalise

AGREEMENT = 0.999
Logits = NDArray[np.float32]
Case = dict[str, Any]


def agreement(expected: Iterable[Logits], found: Iterable[Logits]) -> float:
    """Mean Dice of the masks of logits; 1 where both are empty."""
    values = []
    for one, other in zip(expected, found, strict=True):
        both, total = ((one > 0) & (other > 0)).sum(), (one > 0).sum() + (other > 0).sum()
        values.append(2 * both / total if total else 1.0)
    return float(np.mean(values))


def answers_of(model: Any, pictures: Sequence[Logits]) -> list[Logits]:
    """Logits of each picture."""
    request = model.create_infer_request()
    return [request.infer([picture])[0].copy() for picture in pictures]


def milliseconds(model: Any, picture: Logits, repeats: int) -> float:
    """Processor time of one picture: the median."""
    request, taken = model.create_infer_request(), []
    for _ in range(repeats):
        began = time.process_time()
        request.infer([picture])
        taken.append(time.process_time() - began)
    return 1000 * float(np.median(taken))


def quantised(
    model: Any, calibration: Sequence[Logits], guard: Sequence[Logits], compiled: Callable[[Any], Any]
) -> dict[str, Any]:
    """The model in 8 bits, whole and, if there are pictures to guard, guarded."""
    import nncf

    data = nncf.Dataset(calibration)
    common: dict[str, Any] = {"preset": nncf.QuantizationPreset.MIXED, "subset_size": len(calibration)}
    whole = {"whole": nncf.quantize(model, data, fast_bias_correction=False, **common)}
    if not guard:
        return whole
    expected = answers_of(compiled(model), guard)

    def close(candidate: Any, pictures: Iterable[Any]) -> tuple[float, None]:
        return agreement(expected, (candidate([picture])[0] for picture in pictures)), None

    guarded = nncf.quantize_with_accuracy_control(
        model, data, nncf.Dataset(guard), close, max_drop=1 - AGREEMENT, drop_type=nncf.DropType.ABSOLUTE, **common
    )
    return {**whole, "guarded": guarded}


def jaccards(
    cases: Sequence[Case], loaded: Sequence[Case], answers: Sequence[Logits], trained: Trained
) -> NDArray[np.float64]:
    """Of each case, on its own grid."""
    masks = []
    for case, logits in zip(loaded, answers, strict=True):
        grid = grid_of(case["image_meta_dict"], trained.dataset)
        shares = grid.restore(torch.from_numpy(logits[0]).sigmoid())
        masks.append((shares[0] > 0.5).numpy().T)
    return np.array([one.jaccard for one in score(cases, masks)])


def main() -> None:
    """Quantise, time, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path, help="folder with dataset.json")
    parser.add_argument("--bundle", default="unet")
    parser.add_argument("--weights", default="fast")
    parser.add_argument("--calibration", type=int, default=128, help="training pictures for calibration")
    parser.add_argument("--whole", action="store_true", help="not guarded, which takes many minutes")
    parser.add_argument("--cases", type=int, help="validation and test cases; default: all")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    import openvino as ov

    file = find_weights(find_bundle(options.bundle), options.weights)
    trained = Trained.read(file.parent)
    network = load_weights(trained.build_network(), file).eval()
    read, dataset = (
        Pipeline([load(trained.dataset, keys=("image",)), normalise(trained.dataset)]),
        read_dataset(options.dataset),
    )

    def loaded(split: str, count: int | None) -> list[Case]:
        return [read(case) for case in dataset.cases(split)[:count]]

    def pictures(of: Sequence[Case]) -> list[Logits]:
        return [case["image"][None].numpy() for case in of]

    test = loaded("test", options.cases)
    given = pictures(test)
    plain = ov.convert_model(network, example_input=torch.from_numpy(given[0]), input=list(given[0].shape))
    core, settings = ov.Core(), {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}

    def compiled(model: Any) -> Any:
        return core.compile_model(model, "CPU", settings)

    calibration, guard = (
        pictures(loaded("training", options.calibration)),
        [] if options.whole else pictures(loaded("validation", options.cases)),
    )
    models = {"float32": compiled(plain)}
    models |= {name: compiled(model) for name, model in quantised(plain, calibration, guard, compiled).items()}
    answers = {name: answers_of(model, given) for name, model in models.items()}
    scores = {
        name: jaccards(dataset.cases("test")[: options.cases], test, found, trained) for name, found in answers.items()
    }
    rows = [
        [
            name,
            f"{milliseconds(model, given[0], 50):.1f}",
            f"{agreement(answers['float32'], answers[name]):.4f}",
            f"{estimate_of(scores[name])}",
            "" if name == "float32" else f"{estimate_of(scores[name] - scores['float32'])}",
        ]
        for name, model in models.items()
    ]
    print(f"{machine()}, openvino {ov.__version__}, {len(test)} test cases\n")
    print("\n".join(markdown_table(["", "ms", "mask Dice with float32", "Jaccard", "minus float32"], rows)))


if __name__ == "__main__":
    main()
