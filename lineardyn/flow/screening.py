"""Which frequencies matter to a stabilised method, and room for those that do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.flow.arguments import KernelArguments, aligned, rooms

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
    def of(cls, arguments: KernelArguments, stages: Floats, rtol: float, room: Floats) -> Screening:
        """Every frequency passive; ``stages`` is taken over, and ``room`` as far as it goes."""
        outputs, terms = arguments.target.shape
        n = arguments.weights.size // 2
        spectra = arguments.rows.reshape(terms, 2, n)
        screen = aligned((6, n))
        screen[0], screen[1] = 1.0, 0.0
        for real, imaginary in spectra:
            np.maximum(screen[1], np.hypot(real, imaginary), out=screen[1])
        live = arguments.gain > 0.0
        sizes = (2 * stages.shape[1] + (terms + 1) * 2 * n, (2 * outputs + 16) * n + (outputs + 3) * terms + 8)
        buffers, work = rooms(room, sizes)
        largest = np.abs(arguments.target[:, live] / arguments.gain[live]).max(initial=0.0)
        return cls(
            buffers=buffers,
            stages=stages.reshape(-1),
            screen=screen,
            index=np.zeros(n, dtype=np.int64),
            residuals=np.zeros((5, outputs, terms)),
            work=work,
            threshold=rtol * float(largest),
            scale=float(np.abs(arguments.target).max()),
        )

    def gather(self, y: Floats, n_active: int) -> None:
        """Refresh the compact state of the active frequencies after a change of ``y`` between steps."""
        spectra = y.reshape(-1, self.index.size)
        compact = self.buffers[y.size :][: len(spectra) * _padded(n_active)].reshape(len(spectra), -1)
        compact[:, :n_active] = spectra[:, self.index[:n_active]]

    def spare(self, size: int, n_active: int) -> list[Floats]:
        """Vectors of that size that hold nothing between steps: the new state, and what is behind the compact stages.

        Those are nothing where the active frequencies must be chosen anew.
        """
        n_vectors = self.stages.size // size
        used = n_vectors * (size // self.index.size) * _padded(n_active) if n_active >= 0 else 0
        free = self.stages[used:]
        return [self.buffers[:size], *free[: free.size // size * size].reshape(-1, size)]

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


def _padded(n_active: int) -> int:
    """Frequencies of a compact spectrum, as ``_screened_kernels.advance_screened`` has them."""
    return max(8, -(-n_active // 8) * 8)
