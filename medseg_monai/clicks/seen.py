"""A volume's image as the network saw it, brought to a click's window without bringing all of it to the scan's own grid first.

Restoring is linear along each axis, and so is taking means over the window's coarser pixels: one matrix per axis does both. A scan of
512 x 512 x 200 voxels takes seconds to restore, and milliseconds this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from medseg_monai.clicks.window import Floats, Window
from medseg_monai.grids.resampling import resample

if TYPE_CHECKING:
    from medseg_monai.grids.volume import VolumeGrid


@dataclass(frozen=True)
class SeenVolume:
    """What stands for the image in `medseg_monai.clicks.correct`.

    Attributes:
        grid: the scan's own grid and the network's.
        values: (C, i, j, k) on the network's.
    """

    grid: VolumeGrid
    values: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, I, J, K) on the scan's own grid."""
        return len(self.values), *self.grid.own_shape

    def reduced(self, window: Window) -> Floats:
        """What `Window.reduced` makes of the restored image: (C, *window.shape), float32."""
        turn = self.grid.turn
        weights = [
            block_means(window.last[axis] - window.first[axis], window.shape[axis]) @ self._restoring(turned, window)
            for turned, axis in enumerate(turn.axes)
        ]
        means = resample(self.values.float(), weights)  # along RAS axes, each in its own direction
        order = [0, *(1 + turn.axes.index(axis) for axis in range(3))]
        found: Floats = np.ascontiguousarray(means.permute(order).numpy())
        return found

    def _restoring(self, turned: int, window: Window) -> Tensor:
        """(pixels of the window, network) weights along a turned axis; 0 beyond the part that the network saw."""
        axis, (first, last) = self.grid.turn.axes[turned], self.grid.box[turned]
        back = self.grid.weights_back(turned)
        whole = torch.zeros(self.grid.own_shape[axis], self.grid.network_shape[turned])
        whole[first:last] = torch.eye(last - first) if back is None else back
        if self.grid.turn.flipped[turned]:
            whole = whole.flip(0)
        return whole[window.first[axis] : window.last[axis]]


def block_means(count: int, wanted: int) -> Tensor:
    """(wanted, count) weights of the means that `torch.nn.functional.interpolate` takes with ``mode="area"``.

    >>> block_means(3, 2)
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.5000, 0.5000]])
    """
    weights = torch.zeros(wanted, count)
    for row in range(wanted):
        start, stop = row * count // wanted, -(-(row + 1) * count // wanted)
        weights[row, start:stop] = 1 / (stop - start)
    return weights
