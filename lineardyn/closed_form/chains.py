r"""The start of a network, seen along the modes: chains of vectors that each layer maps to the next.

At a frequency f of mode α (a fully connected network: in mode α itself) the image is ``h_0 ∝ q_αf`` (``v_α``) and the
output ``h_L = u_α``; what the first layers make of the one, and the last layers of the other, is all that moves as
long as the residual is diagonal. Each chain has the rate ``c_f = P^{(L-1)/2} ‖q_αf‖`` (1) and stands for its
conjugate too (``weight`` 2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.frequency_sets import frequency_owner, mode_spectra
from lineardyn.errors import ArgumentError
from lineardyn.fourier import HalfSpectrum, half_spectrum
from lineardyn.networks import LinearCNN

if TYPE_CHECKING:
    from lineardyn.modes import Modes
    from lineardyn.networks import LinearNetwork

__all__ = ["REMEDY", "Chains", "FrequencyChains", "ModeChains", "chains_of"]

Floats = NDArray[np.float64]
Numbers = NDArray[Any]

REMEDY = "use gradient_flow, which integrates any statistics and any start"
_ROUND_OFF = 8 * np.finfo(np.float64).eps  # of a spectrum computed from pixels, relative to its largest entry


@dataclass(frozen=True)
class Chains(ABC):
    """n chains: the ``mode`` of each, ``rate``, ``weight``, ``first`` = h_0 (n, C), ``last`` = h_L (n, K), and the
    layers as matrices (n, out, in), of size at most ``largest``.
    """

    start: list[Floats]
    mode: NDArray[np.int64]
    rate: Floats
    weight: Floats
    first: Numbers
    last: Numbers
    layers: list[Numbers]
    largest: float

    @property
    def depth(self) -> int:
        """L."""
        return len(self.layers)

    @property
    def noise(self) -> float:
        """What round-off may leave of a number that is 0."""
        return float(_ROUND_OFF * self.largest)

    @abstractmethod
    def place(self, index: int) -> str:
        """Where a chain is, in words."""

    @abstractmethod
    def changes(self, pairs: Sequence[tuple[Numbers, Numbers]]) -> list[Floats]:
        """Of each layer in pixel space, where chain n changes by left (..., n, out) times right (..., n, in)^H."""


@dataclass(frozen=True)
class FrequencyChains(Chains):
    """Of a convolutional network: one chain a frequency of the half spectrum, ``moving`` (n,).

    ``conjugate`` (L,): layers whose matrix is ``conj(ŵ)``, the last one and kernels that correlate.
    """

    half: HalfSpectrum
    moving: NDArray[np.int64]
    conjugate: tuple[bool, ...]

    def place(self, index: int) -> str:
        position = divmod(int(self.half.indices[self.moving[index]]), self.half.shape[1])
        return f"at frequency {position}, which belongs to mode {self.mode[index]},"

    def changes(self, pairs: Sequence[tuple[Numbers, Numbers]]) -> list[Floats]:
        return [self._pixels(*pair, conjugate=c) for pair, c in zip(pairs, self.conjugate, strict=True)]

    def _pixels(self, left: Numbers, right: Numbers, *, conjugate: bool) -> Floats:
        rows, columns = np.swapaxes(left, -1, -2), np.swapaxes(right, -1, -2).conj()
        product = rows[..., :, None, :] * columns[..., None, :, :]  # (..., out, in, n)
        packed = np.zeros((*product.shape[:-1], 2, self.half.size))
        packed[..., 0, self.moving] = product.real
        packed[..., 1, self.moving] = product.imag if conjugate else -product.imag
        return np.moveaxis(self.half.unpack_images(packed), -3, -1)


@dataclass(frozen=True)
class ModeChains(Chains):
    """Of a fully connected network: one chain a mode."""

    def place(self, index: int) -> str:
        return f"in mode {self.mode[index]}"

    def changes(self, pairs: Sequence[tuple[Numbers, Numbers]]) -> list[Floats]:
        # left and right share their leading axes, or one has none
        return [np.swapaxes(left, -1, -2) @ right for left, right in pairs]


def chains_of(modes: Modes, network: LinearNetwork, weights: Sequence[ArrayLike]) -> FrequencyChains | ModeChains:
    """The chains of a checked network; raises ArgumentError where two modes share a frequency."""
    start = [w.copy() for w in network.check_weights(weights)]
    if not isinstance(network, LinearCNN):
        return _of_modes(modes, start)
    correlates = network.convention == "correlation"
    return _of_frequencies(modes, start, (*[correlates] * (len(start) - 1), True))


def _of_frequencies(modes: Modes, start: list[Floats], conjugate: tuple[bool, ...]) -> FrequencyChains:
    half = half_spectrum(modes.image_shape[1:])
    q, sizes = mode_spectra(modes)
    owner = frequency_owner(modes, sizes, REMEDY)
    moving = np.flatnonzero(owner >= 0)
    mode = owner[moving]
    size = sizes[mode, moving]
    spectra = [_spectrum(half, w) for w in start]
    layers = [(a if c else a.conj()).take(moving, axis=-1) for a, c in zip(spectra, conjugate, strict=True)]
    return FrequencyChains(
        start=start,
        mode=mode,
        rate=(half.shape[0] * half.shape[1]) ** (0.5 * (len(start) - 1)) * size,
        weight=half.weights[moving],
        first=q[mode, :, moving] / size[:, None],
        last=np.asarray(modes.u, dtype=np.float64).take(mode, axis=1).T,
        layers=[a.transpose(2, 0, 1) for a in layers],
        largest=max(float(np.abs(a).max()) for a in spectra),
        half=half,
        moving=moving,
        conjugate=conjugate,
    )


def _spectrum(half: HalfSpectrum, kernel: Floats) -> NDArray[np.complex128]:
    """``conj(ŵ)`` on the half spectrum, (out, in, F)."""
    packed = half.pack_images(np.ascontiguousarray(kernel.transpose(0, 3, 1, 2)))
    spectrum = np.empty((*packed.shape[:2], half.size), dtype=np.complex128)
    spectrum.real, spectrum.imag = packed[:, :, 0], packed[:, :, 1]
    return spectrum


def _of_modes(modes: Modes, start: list[Floats]) -> ModeChains:
    live = np.flatnonzero(~np.asarray(modes.null, dtype=bool))
    n = len(live)
    return ModeChains(
        start=start,
        mode=live,
        rate=np.ones(n),
        weight=np.ones(n),
        first=np.asarray(modes.v, dtype=np.float64)[live].reshape(n, -1),
        last=np.ascontiguousarray(np.asarray(modes.u, dtype=np.float64)[:, live].T),
        layers=[np.broadcast_to(w, (n, *w.shape)) for w in start],
        largest=max(float(np.linalg.norm(w, axis=1).max()) for w in start),
    )


def refuse_misaligned(chains: Chains, layer: int, misfit: Floats, allowed: Floats | float, what: str) -> None:
    """Raise for the worst chain whose ``misfit`` (n,) is above what is ``allowed``."""
    bad = np.flatnonzero(misfit > allowed)
    if len(bad):
        worst = int(bad[np.argmax(misfit[bad])])
        raise ArgumentError(
            f"weights[{layer}] is not aligned with the modes: {chains.place(worst)} {what.format(misfit[worst])}: "
            f"start from network.init_balanced, or {REMEDY}"
        )
