"""Which frequencies matter to RKC, and room for those that do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.flow import _kernels
from lineardyn.flow.arguments import KernelArguments, aligned

__all__ = ["Screening", "can_screen"]

Floats = NDArray[np.float64]


def can_screen(arguments: KernelArguments) -> bool:
    """Whether the network is P's (one channel in, one hidden, a dense layer) and its statistics have few rows."""
    sizes, few = arguments.sizes, _kernels.FEW
    small = not arguments.dense and sizes[-1] <= few and arguments.gain.size <= few
    return bool(arguments.conv and len(sizes) == 3 and sizes[0] == sizes[1] == 1 and small)


@dataclass(frozen=True)
class Screening:
    """See ``_screened_kernels.advance_screened``.

    ``scale`` is the largest coefficient of Σ^yx, ``threshold`` the significance above which a frequency is active at
    first: rtol times the largest coefficient of the learned predictor. It falls where passive frequencies turn out to
    matter.
    """

    buffers: Floats
    screen: Floats
    index: NDArray[np.int64]
    residuals: Floats
    work: Floats
    threshold: float
    scale: float

    @classmethod
    def of(cls, arguments: KernelArguments, size: int, rtol: float) -> Screening:
        """Room for states of ``size`` numbers; every frequency passive."""
        outputs, terms = arguments.target.shape
        n = arguments.weights.size // 2
        spectra = arguments.rows.reshape(terms, 2, n)
        screen = aligned((6, n))
        screen[0], screen[1] = 1.0, np.hypot(spectra[:, 0], spectra[:, 1]).max(axis=0)
        live = arguments.gain > 0.0
        largest = np.abs(arguments.target[:, live] / arguments.gain[live]).max(initial=0.0)
        return cls(
            buffers=aligned((11, max(size, terms * 2 * n))),
            screen=screen,
            index=np.zeros(n, dtype=np.int64),
            residuals=np.zeros((5, outputs, terms)),
            work=aligned(((2 * outputs + 16) * n + (outputs + 3) * terms + 8,)),
            threshold=rtol * float(largest),
            scale=float(np.abs(arguments.target).max()),
        )

    @property
    def moving(self) -> list[NDArray[Any]]:
        """What a step changes, but for scratch."""
        return [self.buffers, self.screen, self.index, self.residuals]

    def copy(self) -> Screening:
        """One that moves by itself; scratch is shared."""
        buffers, screen = aligned(self.buffers.shape), aligned(self.screen.shape)
        buffers[...], screen[...] = self.buffers, self.screen
        return replace(self, buffers=buffers, screen=screen, index=self.index.copy(), residuals=self.residuals.copy())
