r"""How the chains of an aligned network grow with the clock of their mode: one law for each number of layers.

With one residual ``e = s - b`` a mode, ``dΘ/dt = e``, a chain of rate c follows

- L = 1: ``dκ/dΘ = c``, any start;
- L = 2: ``dk/dΘ = c a``, ``da/dΘ = c k`` for the hidden vectors ``k = A_1 h_0`` and ``a = B^H u``, any start;
- L >= 3: ``dκ/dΘ = c κ^{L-1}`` from a balanced start, every layer mapping a unit vector h_{l-1} to κ h_l and back.

A law gives the clock of each mode, and at positions of the clocks Θ, the responses b and the changes of the layers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form.balanced_clocks import BalancedClocks, balanced_clocks
from lineardyn.closed_form.chains import Chains, ModeChains, Numbers, refuse_misaligned
from lineardyn.closed_form.clock_quadrature import ScalarClock, build_clock, build_deep_clock, build_linear_clock
from lineardyn.closed_form.frequency_sets import NEGLIGIBLE

__all__ = ["Growth", "growth_of"]

Floats = NDArray[np.float64]
Pairs = list[tuple[Numbers, Numbers]]

_NEVER = 1e-290  # a chain of 1/Θ_f below this stays as it is within the times of float64


class Growth(ABC):
    """The law of one network: ``d`` (n,) is d_α of each chain's mode."""

    def __init__(self, chains: Chains, d: Floats) -> None:
        self.chains, self.d = chains, d
        self.scale = d * chains.weight * chains.rate

    @abstractmethod
    def clock(self, mine: NDArray[np.bool_], s: float) -> ScalarClock:
        """The clock of the mode whose chains are ``mine``."""

    @abstractmethod
    def responses(self, position: Floats) -> Floats:
        """What each chain adds to b, (..., n), at positions (..., n)."""

    @abstractmethod
    def changes(self, position: Floats) -> Pairs:
        """Left and right factors of what is added to each layer."""

    def theta(self, position: Floats, mine: NDArray[np.bool_]) -> Floats:
        """Θ at positions of one mode's clock."""
        return position

    def fast_clocks(self, live: NDArray[np.int64], s: Floats) -> BalancedClocks | None:
        """The clocks of the modes ``live``, of singular values s, where the compiled pass covers them."""
        return None


class LinearGrowth(Growth):
    """One layer: each chain's coefficient ``κ = u^T B h_0`` moves by cΘ."""

    def __init__(self, chains: Chains, d: Floats) -> None:
        super().__init__(chains, d)
        image = _apply(chains.layers[0], chains.first)
        self.start = (chains.last * image).sum(axis=-1)
        rest = image - chains.last * self.start[:, None]
        what = "its outputs have a part of size {:.3g} outside the direction u of that mode"
        refuse_misaligned(chains, 0, np.linalg.norm(rest, axis=-1), NEGLIGIBLE * chains.largest, what)

    def clock(self, mine: NDArray[np.bool_], s: float) -> ScalarClock:
        rate = float((self.scale * self.chains.rate)[mine].sum())
        return build_linear_clock((s - float((self.scale * self.start.real)[mine].sum())) / rate, rate)

    def responses(self, position: Floats) -> Floats:
        terms: Floats = self.scale * (self.start.real + self.chains.rate * position)
        return terms

    def changes(self, position: Floats) -> Pairs:
        return [((self.chains.rate * position)[..., None] * self.chains.last, self.chains.first)]


class HyperbolicGrowth(Growth):
    r"""Two layers: ``k + a`` grows as e^{cΘ}, ``k - a`` fades as e^{-cΘ}."""

    def __init__(self, chains: Chains, d: Floats) -> None:
        super().__init__(chains, d)
        first, second = chains.layers
        k = _apply(first, chains.first)
        a = _apply(np.swapaxes(second, -1, -2).conj(), chains.last)
        self._check(k, a, second)
        self.plus, self.grows = self._above_noise(k + a)
        self.minus, self.fades = self._above_noise(k - a)

    def _check(self, k: Numbers, a: Numbers, second: Numbers) -> None:
        """Other outputs must not see k or a: their own part of B then stays as it is."""
        chains = self.chains
        rest = second - chains.last[:, :, None] * a.conj()[:, None, :]
        if np.linalg.norm(rest) > NEGLIGIBLE * chains.largest:  # else there is nothing that could be seen
            misfit = np.maximum(*(_lengths(_apply(rest, x).real) for x in (k, a))) / _larger(k, a)
            what = (
                "a part of size {:.3g} outside the direction u of that mode meets its hidden unit, "
                "expected A_γf = 0 for all other γ"
            )
            refuse_misaligned(chains, 1, misfit, NEGLIGIBLE * chains.largest, what)
        if isinstance(chains, ModeChains):  # all modes share the first layer's hidden units
            products = np.abs(k @ k.conj().T)
            np.fill_diagonal(products, 0.0)
            misfit = products.max(axis=1, initial=0.0) / _larger(k, a)
            what = "W_1 v has a part of size {:.3g} along that of another mode, expected hidden vectors at right angles"
            refuse_misaligned(chains, 0, misfit, NEGLIGIBLE * chains.largest, what)

    def _above_noise(self, vectors: Numbers) -> tuple[Numbers, Floats]:
        """The vectors, 0 where only round-off, and their squared lengths."""
        lengths = _lengths(vectors)
        clear = lengths > self.chains.noise
        return vectors * clear[:, None], lengths**2 * clear

    def clock(self, mine: NDArray[np.bool_], s: float) -> ScalarClock:
        with np.errstate(divide="ignore"):
            log_scale = np.log(0.25 * self.scale[mine])
            log_p, log_n = (log_scale + np.log(x[mine]) for x in (self.grows, self.fades))
        return build_clock(self.chains.rate[mine], log_p, log_n, s)

    def fast_clocks(self, live: NDArray[np.int64], s: Floats) -> BalancedClocks | None:
        if (self.fades > 1e-20 * self.grows).any():  # less is round-off, and no part of b in float64
            return None
        with np.errstate(divide="ignore"):
            log_p = np.log(0.25 * self.scale * self.grows)
        return balanced_clocks(self.chains.rate, log_p, np.searchsorted(live, self.chains.mode), s)

    def responses(self, position: Floats) -> Floats:
        plus, minus = self._factors(position)
        terms: Floats = 0.25 * self.scale * (self.grows * plus**2 - self.fades * minus**2)
        return terms

    def changes(self, position: Floats) -> Pairs:
        plus, minus = self._factors(position)
        grown, faded = 0.5 * self.plus * (plus - 1.0)[..., None], 0.5 * self.minus * (minus - 1.0)[..., None]
        return [(grown + faded, self.chains.first), (self.chains.last, grown - faded)]

    def _factors(self, position: Floats) -> tuple[Floats, Floats]:
        """e^{cΘ} and e^{-cΘ}; 1 where their coefficient is 0, so that 0·inf never occurs."""
        exponent = self.chains.rate * position
        return (
            np.exp(np.where(self.grows == 0.0, 0.0, exponent)),
            np.exp(np.where(self.fades == 0.0, 0.0, -exponent)),
        )


class PowerGrowth(Growth):
    """L >= 3 layers, balanced: ``κ^{2-L}`` falls linearly with Θ. The position is X of the quadrature's notes."""

    def __init__(self, chains: Chains, d: Floats) -> None:
        super().__init__(chains, d)
        self.kappa, self.vectors = _balanced_chain(chains)
        reach = (chains.depth - 2) * chains.rate * self.kappa ** (chains.depth - 2)  # 1/Θ_f
        self.reach = np.where(reach < _NEVER, 0.0, reach)
        leads = np.zeros(int(chains.mode.max(initial=-1)) + 1)
        np.maximum.at(leads, chains.mode, self.reach)
        lead = leads[chains.mode]
        self.share = self.reach / np.where(lead == 0.0, 1.0, lead)

    def clock(self, mine: NDArray[np.bool_], s: float) -> ScalarClock:
        alive = mine & (self.reach > 0.0)
        if not alive.any():  # nothing ever moves, and Θ = s t: the variable is Θ itself
            return build_clock(np.ones(1), np.array([-np.inf]), np.array([-np.inf]), s)
        log_b = np.log(self.scale[alive]) + self.chains.depth * np.log(self.kappa[alive])
        horizon = 1.0 / float(self.reach[alive].max())
        return build_deep_clock(self.share[alive], log_b, s, depth=self.chains.depth, horizon=horizon)

    def theta(self, position: Floats, mine: NDArray[np.bool_]) -> Floats:
        reach = float(self.reach[mine].max(initial=0.0))
        return position if reach == 0.0 else -np.expm1(-position) / reach

    def responses(self, position: Floats) -> Floats:
        return self.scale * (self.kappa * self._factors(position)) ** self.chains.depth

    def changes(self, position: Floats) -> Pairs:
        growth = (self.kappa * (self._factors(position) - 1.0))[..., None]
        h = self.vectors
        return [(growth * h[layer + 1], h[layer]) for layer in range(self.chains.depth)]

    def _factors(self, position: Floats) -> Floats:
        """κ/κ(0) = (1 - ρ + ρ e^{-X})^{-1/(L-2)}."""
        with np.errstate(divide="ignore"):
            log_share, log_rest = np.log(self.share), np.log1p(-self.share)
        still = self.share == 0.0
        fall = np.logaddexp(log_rest, np.where(still, -np.inf, log_share - np.where(still, 0.0, position)))
        factors: Floats = np.exp(-fall / (self.chains.depth - 2))
        return factors


def _balanced_chain(chains: Chains) -> tuple[Floats, list[Numbers]]:
    """The one singular value κ (n,) of all layers along each chain, and the unit vectors h_0, .., h_L."""
    vectors, sizes = [chains.first], []
    for layer in chains.layers:
        image = _apply(layer, vectors[-1])
        size = np.linalg.norm(image, axis=-1)
        vectors.append(image / np.where(size <= chains.noise, 1.0, size)[:, None])
        sizes.append(size)
    back = np.linalg.norm(_apply(np.swapaxes(chains.layers[-1], -1, -2).conj(), chains.last), axis=-1)
    still = (sizes[0] <= chains.noise) & (back <= chains.noise)
    kappa = np.where(still, 0.0, np.mean(sizes, axis=0))
    vectors[-1] = chains.last
    misfits = []
    for layer, below, above in zip(chains.layers, vectors[:-1], vectors[1:], strict=True):
        forth = _apply(layer, below) - kappa[:, None] * above
        returned = _apply(np.swapaxes(layer, -1, -2).conj(), above) - kappa[:, None] * below
        size = np.maximum(np.linalg.norm(forth, axis=-1), np.linalg.norm(returned, axis=-1))
        misfits.append(np.where(still, 0.0, size))
    # relative to each chain, for the power law knows no other scale
    allowed = NEGLIGIBLE * kappa + 4.0 * chains.noise
    worst = int(np.argmax([(m - allowed).max(initial=-np.inf) for m in misfits]))
    what = "it is {:.3g} away from a layer that maps one unit vector to κ times the next, and back, with one κ for all"
    refuse_misaligned(chains, worst, misfits[worst], allowed, what)
    return kappa, vectors


def _apply(matrices: Numbers, vectors: Numbers) -> Numbers:
    """(n, out, in) on (n, in)."""
    if matrices.shape[-1] == 1:
        return matrices[..., 0] * vectors
    product: Numbers = np.einsum("noi,ni->no", matrices, vectors)
    return product


def _lengths(vectors: Numbers) -> Floats:
    """(n,) of (n, i)."""
    squares = vectors.real**2 + vectors.imag**2 if np.iscomplexobj(vectors) else vectors**2
    lengths: Floats = np.sqrt(squares[:, 0] if squares.shape[1] == 1 else squares.sum(axis=1))
    return lengths


def _larger(k: Numbers, a: Numbers) -> Floats:
    """The larger length of each pair; 1 for a pair of zeros."""
    size: Floats = np.maximum(_lengths(k), _lengths(a))
    return np.where(size == 0.0, 1.0, size)


def growth_of(chains: Chains, d: Floats) -> Growth:
    """The law for the depth of the network."""
    law = {1: LinearGrowth, 2: HyperbolicGrowth}.get(chains.depth, PowerGrowth)
    return law(chains, d)
