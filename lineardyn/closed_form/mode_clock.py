"""Data whose modes move one by one: every weight at every time, at any depth, from one scalar clock a mode."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.arguments import check_time
from lineardyn.closed_form.balanced_clocks import BalancedClocks
from lineardyn.closed_form.chains import REMEDY, FrequencyChains, chains_of
from lineardyn.closed_form.clock_quadrature import ScalarClock, position_at
from lineardyn.closed_form.frequency_sets import NEGLIGIBLE, check_modes, mode_spectra
from lineardyn.closed_form.growth import growth_of
from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from lineardyn.validation import check_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineardyn.modes import Modes
    from lineardyn.networks import LinearNetwork

__all__ = ["ModeClock"]

Floats = NDArray[np.float64]


class ModeClock:
    r"""Exact gradient flow of a linear network of any depth along modes that do not meet: one clock Θ_α a mode.

    A convolutional network needs modes without common frequency, F_α those of mode α; a fully connected one needs
    nothing of the kind. Every frequency f has the rate ``c_f = P^{(L-1)/2} ‖q_αf‖`` (fully connected: one chain a mode,
    c = 1) and follows the clock of its mode,

    .. math:: \dot Θ_α = s_α - b_α(Θ_α), \qquad Θ_α(0) = 0,

    so that however many frequencies a mode has, one quadrature t(Θ) gives them all. b_α is an increasing function of
    Θ_α; its only root ``b = s`` is the end of learning, found without integration.

    Two layers: only the hidden vectors ``k_f = A_1 q_αf/‖q_αf‖`` and ``a_f = (u_α^T B_f)^H`` move,

    .. math:: k_f = k_f(0)\cosh c_fΘ + a_f(0)\sinh c_fΘ, \qquad a_f = a_f(0)\cosh c_fΘ + k_f(0)\sinh c_fΘ

    .. math:: b_α = d_α \sum_{f∈F_α} c_f\,\mathrm{Re}(a_f^H k_f)

    balanced or not, small or not, below or above s.

    L >= 3 layers, balanced start, each layer of singular value κ_f along the chain of f:

    .. math:: κ_f^{2-L} = κ_f(0)^{2-L} - (L-2)\,c_f Θ, \qquad b_α = d_α \sum_{f∈F_α} c_f κ_f^L

    κ_f would be infinite at a finite Θ; learning ends before. One layer: ``κ_f = κ_f(0) + c_f Θ``, an exponential.

    Parameters
    ----------
    modes : Modes
        Of coherent classes: Σ^xx = V D Vᵀ.
    network : LinearCNN or LinearFCN
        Any depth and widths.
    weights : list of ndarray
        The state at t = 0, in pixel space, layer 1 first; as ``network.init_balanced`` gives it, or any that is
        aligned: other outputs do not see what moves (two layers, one hidden channel: ``A_γf = 0`` for γ ≠ α on F_α,
        or in quadrature with κ_f and A_αf).

    Raises
    ------
    ArgumentError
        If two modes share a frequency (convolutional), if the start is not aligned, or deeper than two layers not
        balanced (naming the frequency), if a null mode carries image power that couples to the rest, or if network,
        weights and modes do not fit. The remedy is :func:`lineardyn.gradient_flow`.

    Notes
    -----
    Time in learning rate × full-batch steps; scalar or any array of times >= 0 (any order, ``inf`` allowed). Relative
    accuracy about 1e-13. A two-layer mode with ``a_f(0) = -k_f(0)`` on all its frequencies is never learned: its
    weights go to 0; nor is a mode of zero weights. Components below the round-off of the weights' spectra (2e-15 of
    the largest) count as 0.

    Not covered, because no closed form is known: starts where other outputs see what moves (column α of the residual
    then turns, a system of K coupled equations for each mode; one frequency alone is solved by
    :func:`lineardyn.cosine_from_any_start`); unbalanced starts deeper than two layers (``κ_{l,f}² -
    κ_{l+1,f}²`` stays constant and one clock a mode remains, but each frequency has an elliptic integral of its own);
    weight decay with more than one frequency a mode (κ_f then depends on Θ and on t).

    Solves Pinson, Lenaerts, Ginis (2023), eq 15-16 and 23-24, in closed form up to a quadrature; the depths other than
    two, and the clock itself, are derived in this project.

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn.moments import SecondMoments
    >>> from lineardyn.networks import LinearCNN
    >>> bright = np.array([[4.0, 2.0, 0.0, 2.0]])  # a constant and a slow cosine ..
    >>> fast = np.array([[1.0, -1.0, 1.0, -1.0]])  # .. and the fastest one: no common frequency
    >>> moments = SecondMoments.from_data(np.stack([bright, fast])[:, None], np.eye(2))
    >>> network = LinearCNN((1, 1, 4), n_outputs=2)
    >>> start = network.init_balanced(moments, 0.01, rng=0)
    >>> clock = ModeClock(moments.modes(), network, start)
    >>> np.diagonal(clock.effective_singular_values([0.0, 2.0, np.inf]), axis1=1, axis2=2).round(3)
    array([[0.004, 0.   ],
           [2.449, 0.544],
           [2.449, 1.   ]])
    >>> clock.winners().tolist()  # the constant, not the cosine
    [[0, 0], [0, 2]]

    Four layers of two channels, and the order of learning:

    >>> deep = LinearCNN((1, 1, 4), widths=(2, 2, 2), n_outputs=2)
    >>> clock = ModeClock(moments.modes(), deep, deep.init_balanced(moments, 0.1, rng=0))
    >>> clock.learning_time(0.5).round(2), clock.learning_order()
    (array([3.04, 6.11]), array([0, 1]))
    """

    def __init__(self, modes: Modes, network: LinearNetwork, weights: Sequence[ArrayLike]) -> None:
        check_modes(modes)
        _check_network(modes, network)
        self.modes, self.network = modes, network
        self._chains = chains_of(modes, network, weights)
        self._check_null()
        self._live = np.flatnonzero(~np.asarray(modes.null, dtype=bool))
        self._s, d = np.asarray(modes.s, dtype=np.float64), np.asarray(modes.d, dtype=np.float64)
        for r in self._live[~((self._s > 0) & (d > 0))[self._live]]:
            raise ArgumentError(
                f"modes has s[{r}] = {self._s[r]:g}, d[{r}] = {d[r]:g}, expected both > 0: mark it null"
            )
        self._growth = growth_of(self._chains, d[self._chains.mode])

    @cached_property
    def _clocks(self) -> list[ScalarClock | None]:
        """Of each mode; None for null ones."""
        clocks: list[ScalarClock | None] = [None] * len(self._s)
        for r in self._live:
            clocks[r] = self._growth.clock(self._mine(r), float(self._s[r]))
        return clocks

    @cached_property
    def _fast(self) -> BalancedClocks | None:
        return self._growth.fast_clocks(self._live, self._s[self._live])

    def _mine(self, mode: Any) -> NDArray[np.bool_]:
        mine: NDArray[np.bool_] = self._chains.mode == mode
        return mine

    def _check_null(self) -> None:
        """A null mode with image power is frozen only if nothing it sees moves and it is seen as 0."""
        modes, chains = self.modes, self._chains
        power = np.asarray(modes.d, dtype=np.float64)
        for r in np.flatnonzero(np.asarray(modes.null, dtype=bool) & (power > 1e-12 * power.max(initial=0.0))):
            image = np.asarray(modes.v, dtype=np.float64)[r]
            if isinstance(chains, FrequencyChains):
                sizes = mode_spectra(modes)[1][r]
                meets = bool((sizes[chains.moving] > NEGLIGIBLE * sizes.max()).any())
                response = float(np.abs(self.network.predict(chains.start, image[None])).max())
                scale = self.network.n_pixels ** (0.5 * (chains.depth - 1))
                scale *= float(np.prod([np.linalg.norm(w) for w in chains.start]))
            else:
                meets, response = False, float(np.linalg.norm(chains.start[0] @ image.ravel()))
                scale = chains.largest
            if meets or response > NEGLIGIBLE * scale:
                raise ArgumentError(
                    f"modes.d[{r}] is {power[r]:.3g} although mode {r} is null (s = 0), expected images without power "
                    f"there, or weights that do not see it: {REMEDY}"
                )

    # -- the state at a time -------------------------------------------------------------------------------------

    def _positions(self, times: Floats) -> Floats:
        """Of each clock, (..., R); 0 for null modes."""
        learned = [r for r, clock in enumerate(self._clocks) if clock is not None]
        positions = np.zeros((times.size, len(self._clocks)))
        if learned:
            positions[:, learned] = position_at([c for c in self._clocks if c is not None], times.ravel())
        return positions.reshape(*times.shape, len(self._clocks))

    def theta(self, t: ArrayLike) -> Floats:
        """Clocks Θ_α, ``(R,)`` for a scalar time, ``(T, R)`` for a list.

        Two layers: ``ln(|κ_f|/|κ_f(0)|)/c_f`` for every f of the mode, from a balanced start. 0 for null modes; inf at
        t = inf for a mode that is never learned.
        """
        positions = self._positions(_check_times(t))
        for r in range(positions.shape[-1]):
            positions[..., r] = self._growth.theta(positions[..., r], self._mine(r))
        return positions

    def effective_singular_values(self, t: ArrayLike) -> Floats:
        """``B(t) = Uᵀ Σ^ŷx V``: diagonal ``(R, R)`` for a scalar time, ``(T, R, R)`` for a list; null modes 0."""
        times, r = _check_times(t), len(self._s)
        values = np.zeros((*times.shape, r, r))
        values[..., self._live, self._live] = self._responses(times)
        return values

    def _responses(self, times: Floats) -> Floats:
        """b of the modes that are not null, (..., live)."""
        if self._fast is not None:
            return self._fast.responses(times.ravel()).reshape(*times.shape, len(self._live))
        terms = self._growth.responses(self._positions(times)[..., self._chains.mode])
        sums: Floats = terms @ (self._chains.mode[:, None] == self._live)
        return sums

    def kernel_spectrum(self, t: ArrayLike) -> Floats:
        """``(Σ_o |ŵ_1|²)^½`` at every frequency and channel: ``(C, H, W)`` for a scalar time, ``(T, C, H, W)``."""
        return _spectrum_sizes(self.at(t)[0], self.network.image_shape)

    def at(self, t: ArrayLike) -> list[Floats]:
        """Weights in pixel space, layer 1 first; a list of times puts an axis ``T`` before each array's own."""
        positions = self._positions(_check_times(t))[..., self._chains.mode]
        changes = self._chains.changes(self._growth.changes(positions))
        start = np.asarray(t, dtype=np.float64) == 0.0
        still = [np.expand_dims(start, tuple(range(start.ndim, c.ndim))) for c in changes]
        weights = zip(self._chains.start, still, changes, strict=True)
        return [w0 + np.where(zero, 0.0, c) for w0, zero, c in weights]

    # -- the end, and when ---------------------------------------------------------------------------------------

    def winners(self) -> NDArray[np.int64]:
        """Frequency ``(u, v)`` with the largest ``|ŵ_1|`` (norm over channels) at t = ∞ in each mode: ``(R, 2)``.

        No integration: Θ(∞) is a root. Of f and its conjugate the one with the smaller flat index u·W + v is named;
        (-1, -1) for null modes and for modes that are never learned. Small starts make it the largest ‖q_αf‖ (three
        layers and more: the largest ``κ_f(0)^{L-2} ‖q_αf‖``), see :func:`lineardyn.winner_exponents`.

        Raises
        ------
        ArgumentError
            For a fully connected network, which has no frequencies.
        """
        chains = self._chains
        if not isinstance(chains, FrequencyChains):
            raise ArgumentError(f"network is {self.network}, expected a LinearCNN: frequencies compete in no other")
        size = np.linalg.norm(self.kernel_spectrum(np.inf), axis=0).ravel()[chains.half.indices[chains.moving]]
        found = np.full((len(self._clocks), 2), -1, dtype=np.int64)
        for r, clock in enumerate(self._clocks):
            if clock is not None and np.isfinite(clock.end):
                mine = np.flatnonzero(self._mine(r))
                best = mine[np.argmax(size[mine])]
                found[r] = divmod(int(chains.half.indices[chains.moving[best]]), chains.half.shape[1])
        return found

    def learning_time(self, fraction: float = 0.5) -> Floats:
        """First time ``(R,)`` at which ``b_α >= fraction·s_α``, 0 < fraction <= 1; inf if that never happens.

        0 for modes that start there; inf for null modes, for modes that are never learned and for fraction = 1.
        """
        share = check_number("fraction", fraction, minimum=0.0, strict=True, maximum=1.0)
        start = np.diagonal(self.effective_singular_values(0.0))
        times = np.full(len(self._clocks), np.inf)
        for r, clock in enumerate(self._clocks):
            if clock is None:
                continue
            s = float(self.modes.s[r])
            if start[r] >= share * s:
                times[r] = 0.0
            elif np.isfinite(clock.end) and share < 1.0:
                times[r] = clock.time_to_gap((1.0 - share) * s)
        return times

    def learning_order(self, fraction: float = 0.5) -> NDArray[np.int64]:
        """The modes that are learned, by their :meth:`learning_time`, first to last; ties in the order of s."""
        times = self.learning_time(fraction)
        order = np.argsort(times, kind="stable")
        return order[np.isfinite(times[order])]

    def stable_learning_rates(self) -> Floats:
        r"""Learning rates ``(R,)`` below which full-batch descent is stable at the end of each mode: ``2/λ_α``.

        ``λ_α = d_α Σ_f c_f² (|k_f|² + |a_f|²)`` (L >= 3: ``L d_α Σ_f c_f² κ_f^{2L-2}``) is the largest curvature of the
        loss there and the rate at which ``s - b`` decays; the network's limit is the smallest. inf for modes that are
        null or never learned, whose end is a saddle. One-sample steps, modes = classes: divide by K.

        Of a fully connected network this is the limit of each mode's own motion; modes share the hidden units, and a
        disturbance that mixes two of them may need a smaller rate: :func:`lineardyn.max_learning_rate`.
        """
        rates = [2.0 / c.rate if c is not None and np.isfinite(c.end) else np.inf for c in self._clocks]
        return np.array(rates)


def _spectrum_sizes(first: Floats, image_shape: tuple[int, int, int]) -> Floats:
    channels, height, width = image_shape
    if first.shape[-1] == channels and first.shape[-3:-1] == (height, width):  # (..., out, H, W, C)
        rows = np.moveaxis(first, -1, -3)
    else:
        rows = first.reshape(*first.shape[:-1], channels, height, width)
    spectrum: Floats = np.sqrt((np.abs(fft2(rows)) ** 2).sum(axis=-4))
    return spectrum


def _check_times(t: ArrayLike) -> Floats:
    times = check_time("t", t)
    if times.ndim > 1:
        raise ArgumentError(f"t has shape {times.shape}, expected one time or a list of times: use t.ravel()")
    return times


def _check_network(modes: Modes, network: Any) -> None:
    if not hasattr(network, "shapes") or not hasattr(network, "check_weights"):
        raise ArgumentError(f"network is a {type(network).__name__}, expected a LinearCNN or LinearFCN")
    for name in ("image_shape", "n_outputs"):
        if getattr(network, name) != getattr(modes, name):
            raise ArgumentError(
                f"network has {name} {getattr(network, name)}, expected {getattr(modes, name)}: that of the modes"
            )
