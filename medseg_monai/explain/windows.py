"""A map of a whole image: of a photograph at once, of a volume window by window, as its logits are made."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.precision import PrecisionInferer
from medseg_monai.explain.maps import ClassMap, Method, explain
from medseg_monai.inference.windows import SlidingWindow


def explain_case(
    network: nn.Module,
    image: Tensor,
    *,
    channel: int,
    region: Tensor,
    method: Method,
    layer: str | None,
    spec: DatasetSpec,
    logits: Tensor,
) -> ClassMap:
    """`explain` for a whole image: a photograph at once; a volume window by window, the maps blended as logits are.

    Args:
        network, image, channel, region, method, layer: as in `explain`.
        spec: the data set; see ``spec.window``.
        logits: (K, *S), the network's answer for the image, from which the score is computed.
    """
    if spec.window is None:
        return explain(network, image, channel=channel, region=region, method=method, layer=layer)
    share = region / region.sum()
    notes: set[str] = set()

    def of_window(window: Tensor) -> Tensor:
        part = window[0, -1]
        if method != "cam" and not part.any():
            return torch.zeros_like(window[:, :1])
        # each window's score is its part of the mean: windows that contain more of the region weigh more
        everywhere = torch.ones_like(part) if method == "cam" else part
        found = explain(network, window[:, :-1], channel=channel, region=everywhere, method=method, layer=layer)
        if found.note:
            notes.add(found.note)
        return found.values[None, None] * (1 if method == "cam" else part.sum())

    window = SlidingWindow(
        PrecisionInferer("fp32", image.device), spec.window, half_above_bytes=2**62, pass_over_empty=False
    )
    values = window(torch.cat([image, share[None, None]], dim=1), of_window)[0, 0]
    score = float((logits[channel].to(share).float() * share).sum())
    return ClassMap(values, score, "" if values.any() else "; ".join(sorted(notes)))
