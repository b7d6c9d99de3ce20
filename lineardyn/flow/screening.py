"""Which frequencies matter to a stabilised method, and room for those that do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.flow.arguments import KernelArguments, aligned

__all__ = ["Screening", "can_screen"]

Floats = NDArray[np.float64]


def can_screen(arguments: KernelArguments) -> bool:
    """Whether the network is P's (one channel in, one hidden, a dense layer) and its statistics have few rows."""
    sizes = arguments.sizes
    return bool(arguments.conv and arguments.few and len(sizes) == 3 and sizes[0] == sizes[1] == 1)


@dataclass(frozen=True)
class Screening:
    """See ``_screened_kernels.advance_screened``.

    ``scale`` is the largest coefficient of Σ^yx, ``threshold`` the significance above which a frequency is active at
    first: rtol times the largest coefficient of the learned predictor. It falls where passive frequencies turn out to
    matter.
    """

    buffers: Floats
    stages: Floats
    screen: Floats
    index: NDArray[np.int64]
    residuals: Floats
    work: Floats
    threshold: float
    scale: float

    @classmethod
    def of(cls, arguments: KernelArguments, stages: Floats, rtol: float) -> Screening:
        """Every frequency passive; ``stages (10, n)`` is room that is taken over."""
        outputs, terms = arguments.target.shape
        n = arguments.weights.size // 2
        spectra = arguments.rows.reshape(terms, 2, n)
        screen = aligned((6, n))
        screen[0], screen[1] = 1.0, np.hypot(spectra[:, 0], spectra[:, 1]).max(axis=0)
        live = arguments.gain > 0.0
        largest = np.abs(arguments.target[:, live] / arguments.gain[live]).max(initial=0.0)
        return cls(
            buffers=aligned((5, max(stages.shape[1], terms * 2 * n))),
            stages=stages.reshape(-1),
            screen=screen,
            index=np.zeros(n, dtype=np.int64),
            residuals=np.zeros((5, outputs, terms)),
            work=aligned(((2 * outputs + 16) * n + (outputs + 3) * terms + 8,)),
            threshold=rtol * float(largest),
            scale=float(np.abs(arguments.target).max()),
        )

    def gather(self, y: Floats, n_active: int) -> None:
        """Refresh the compact state of the active frequencies after a change of ``y`` between steps."""
        padded, n = max(8, -(-n_active // 8) * 8), self.index.size
        spectra = y.reshape(-1, n)
        compact = self.buffers[2, : len(spectra) * padded].reshape(-1, padded)
        compact[:, :n_active] = spectra[:, self.index[:n_active]]

    @property
    def moving(self) -> list[NDArray[Any]]:
        """What a step changes, but for scratch."""
        return [self.buffers, self.stages, self.screen, self.index, self.residuals]

    def copy(self) -> Screening:
        """One that moves by itself; scratch is shared."""
        buffers, stages, screen = (aligned(a.shape) for a in (self.buffers, self.stages, self.screen))
        buffers[...], stages[...], screen[...] = self.buffers, self.stages, self.screen
        index, residuals = self.index.copy(), self.residuals.copy()
        return replace(self, buffers=buffers, stages=stages, screen=screen, index=index, residuals=residuals)
