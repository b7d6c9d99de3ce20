"""Any images whose modes share no frequency: every weight at every time, from one scalar clock a mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.arguments import check_time
from lineardyn.closed_form.clock_quadrature import ScalarClock, build_clock, theta_at
from lineardyn.closed_form.frequency_sets import NEGLIGIBLE, check_modes, frequency_owner, mode_spectra
from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2, half_spectrum, ifft2
from lineardyn.validation import check_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineardyn.modes import Modes
    from lineardyn.networks import LinearCNN

__all__ = ["ModeClock"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_REMEDY = "use gradient_flow, which integrates any statistics and any start"
_ROUND_OFF = 8 * np.finfo(np.float64).eps  # of a spectrum computed from pixels, relative to its largest entry


class ModeClock:
    r"""Exact gradient flow of a two-layer linear CNN with one hidden channel, for modes without common frequency.

    Let F_α be the frequencies of mode α and ``c_f = √P ‖q_αf‖``. Of the kernel at f only the component ``κ_f`` along
    ``conj(q_αf)/‖q_αf‖`` moves (over the C input channels; all of it for C = 1), of the dense layer only
    ``A_f = (Uᵀ conj(ŵ_2[f]))_α``; with ``a_f = conj(A_f)``

    .. math:: κ_f = κ_f(0)\cosh c_fΘ + a_f(0)\sinh c_fΘ, \qquad a_f = a_f(0)\cosh c_fΘ + κ_f(0)\sinh c_fΘ

    .. math:: \dot Θ_α = s_α - b_α(Θ_α), \qquad
              b_α = d_α \sum_{f∈F_α} c_f\,\mathrm{Re}(\bar a_f κ_f), \qquad Θ_α(0) = 0

    so that each mode has one clock Θ_α, however many frequencies; b_α is a strictly increasing function of it, and its
    only root ``b = s`` is the end of learning, found without integration. Modes move independently; frequencies
    in no mode never move. Balanced or not, small or not, below or above s: only ``A_γf = 0`` for γ ≠ α on F_α
    is needed.

    Parameters
    ----------
    modes : Modes
        Of coherent classes: Σ^xx = V D Vᵀ.
    network : LinearCNN
        With ``widths=(1,)``.
    weights : list of ndarray
        The state at t = 0: ``(1, H, W, C)`` and ``(K, H, W, 1)``, pixel space.

    Raises
    ------
    ArgumentError
        If two modes share a frequency, if the start is not aligned (naming the frequency), if a null mode carries
        image power that couples to the rest, or if network, weights and modes do not fit. The remedy is
        :func:`lineardyn.gradient_flow`.

    Notes
    -----
    Time in learning rate × full-batch steps; scalar or any array of times >= 0 (any order, ``inf`` allowed).
    Solves Pinson, Lenaerts, Ginis (2023), eq 15-16 and 23-24, in closed form up to a quadrature (this project).
    Relative accuracy about 1e-13. A mode with ``a_f(0) = -κ_f(0)`` on all its frequencies is never learned: its weights
    go to 0. Components below the round-off of the weights' spectra (2e-15 of the largest) count as 0.

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
    """

    def __init__(self, modes: Modes, network: LinearCNN, weights: Sequence[ArrayLike]) -> None:
        check_modes(modes)
        _check_network(modes, network)
        self.modes, self.network = modes, network
        self._start = [w.copy() for w in network.check_weights(weights)]
        self._half = half_spectrum(modes.image_shape[1:])
        self._read_spectra()
        self._check_null()
        self._clocks = [self._clock(r) for r in range(len(modes.s))]

    # -- the start in Fourier space ------------------------------------------------------------------------------

    def _read_spectra(self) -> None:
        modes, half = self.modes, self._half
        kernel, dense = self._start
        kappa = self._read(fft2(kernel[0].transpose(2, 0, 1)))
        rows = fft2(dense[..., 0]).conj()
        kappa, rows = (a.reshape(len(a), -1)[:, half.indices] for a in (kappa, rows))  # (C, F), (K, F)
        self._noise = _ROUND_OFF * float(max(np.abs(kappa).max(), np.abs(rows).max()))
        q, sizes = mode_spectra(modes)
        owner = frequency_owner(modes, sizes, _REMEDY)
        self._moving = np.flatnonzero(owner >= 0)
        self._mode = owner[self._moving]
        place = (self._mode, self._moving)
        size = sizes[place]
        q_own = q[self._mode, :, self._moving].T  # (C, F)
        self._c = np.sqrt(half.shape[0] * half.shape[1]) * size
        self._direction = q_own.conj() / size
        self._u = np.asarray(modes.u, dtype=np.float64)[:, self._mode]  # (K, F)
        along = (self._direction.conj() * kappa[:, self._moving]).sum(axis=0)
        amplitude = (self._u * rows[:, self._moving]).sum(axis=0)
        self._kappa_rest, self._rows_rest = kappa.copy(), rows.copy()
        self._kappa_rest[:, self._moving] -= self._direction * along
        if modes.image_shape[0] == 1:
            self._kappa_rest[:, self._moving] = 0.0  # one channel: nothing is left but round-off
        self._rows_rest[:, self._moving] -= self._u * amplitude
        self._check_aligned(rows)
        self._plus = self._above_noise(along + amplitude.conj())
        self._minus = self._above_noise(along - amplitude.conj())

    def _read(self, kernel: Complexes) -> Complexes:
        """From ŵ_1 to κ, and back: frameworks' kernels, which correlate, are the conjugate."""
        return kernel.conj() if self.network.convention == "correlation" else kernel

    def _above_noise(self, values: Complexes) -> Complexes:
        return np.where(np.abs(values) <= self._noise, 0.0, values)

    def _check_aligned(self, rows: Complexes) -> None:
        rest = np.sqrt((np.abs(self._rows_rest[:, self._moving]) ** 2).sum(axis=0))
        allowed = NEGLIGIBLE * self._noise / _ROUND_OFF
        bad = np.flatnonzero(rest > allowed)
        if not len(bad):
            return
        worst = int(bad[np.argmax(rest[bad])])
        f = int(self._moving[worst])
        position = divmod(int(self._half.indices[f]), self._half.shape[1])
        raise ArgumentError(
            f"weights[1] is not aligned with the modes: at frequency {position}, which belongs to mode "
            f"{self._mode[worst]}, it has a part of size {rest[worst]:.3g} outside the direction u of that mode (the "
            f"whole has {np.linalg.norm(rows[:, f]):.3g}), expected A_γf = 0 for all other γ: start from "
            f"network.init_balanced, or {_REMEDY}"
        )

    def _check_null(self) -> None:
        """A null mode with image power is frozen only if nothing it sees moves and it is seen as 0."""
        modes = self.modes
        null = np.asarray(modes.null, dtype=bool)
        power = np.asarray(modes.d, dtype=np.float64)
        q, sizes = mode_spectra(modes)
        for r in np.flatnonzero(null & (power > 1e-12 * power.max(initial=0.0))):
            seen = sizes[r] > NEGLIGIBLE * sizes[r].max()
            overlap = seen[self._moving].any()
            products = self._rows_rest * (self._kappa_rest * q[r]).sum(axis=0) * self._half.weights
            # rows_rest and kappa_rest are the whole weights where no mode moves them
            scale = NEGLIGIBLE * float(np.abs(products).sum()) + self._noise**2
            if overlap or np.abs(products[:, seen].real.sum(axis=1)).max() > scale:
                raise ArgumentError(
                    f"modes.d[{r}] is {power[r]:.3g} although mode {r} is null (s = 0), expected images without power "
                    f"there, or weights that do not see it: {_REMEDY}"
                )

    def _clock(self, mode: int) -> ScalarClock | None:
        """The clock of one mode; None for a null mode."""
        modes = self.modes
        if modes.null[mode]:
            return None
        mine = self._mode == mode
        s, d = float(modes.s[mode]), float(modes.d[mode])
        if not (s > 0 and d > 0):
            raise ArgumentError(f"modes has s[{mode}] = {s:g}, d[{mode}] = {d:g}, expected both > 0: mark it null")
        log_weight = np.log(0.25 * d * self._half.weights[self._moving[mine]] * self._c[mine])
        with np.errstate(divide="ignore"):
            log_p = log_weight + 2.0 * np.log(np.abs(self._plus[mine]))
            log_n = log_weight + 2.0 * np.log(np.abs(self._minus[mine]))
        return build_clock(self._c[mine], log_p, log_n, s)

    # -- the state at a time -------------------------------------------------------------------------------------

    def theta(self, t: ArrayLike) -> Floats:
        """Clocks Θ_α, ``(R,)`` for a scalar time, ``(T, R)`` for a list.

        ``ln(|κ_f|/|κ_f(0)|)/c_f`` for every f of the mode, from a balanced start. 0 for null modes; inf at t = inf for
        a mode that is never learned.
        """
        times = _check_times(t)
        learned = [r for r, clock in enumerate(self._clocks) if clock is not None]
        theta = np.zeros((times.size, len(self._clocks)))
        if learned:
            theta[:, learned] = theta_at([clock for clock in self._clocks if clock is not None], times.ravel())
        return theta.reshape(*times.shape, -1)

    def effective_singular_values(self, t: ArrayLike) -> Floats:
        """``B(t) = Uᵀ Σ^ŷx V``: diagonal ``(R, R)`` for a scalar time, ``(T, R, R)`` for a list; null modes 0."""
        theta = self.theta(t)
        plus, minus = self._factors(theta)
        weight = 0.25 * self._half.weights[self._moving] * self._c * np.asarray(self.modes.d)[self._mode]
        terms = weight * ((np.abs(self._plus) * plus) ** 2 - (np.abs(self._minus) * minus) ** 2)
        r = theta.shape[-1]
        values = np.zeros((*theta.shape, r))
        diagonal = np.arange(r)
        values[..., diagonal, diagonal] = terms @ np.eye(r)[self._mode]
        return values

    def kernel_spectrum(self, t: ArrayLike) -> Floats:
        """``|ŵ_1|`` at every frequency and channel: ``(C, H, W)`` for a scalar time, ``(T, C, H, W)`` for a list."""
        spectrum, _ = self._spectra(self.theta(t))
        return np.abs(self._unfold(spectrum))

    def at(self, t: ArrayLike) -> list[Floats]:
        """Weights in pixel space, layer 1 first; a list of times puts an axis ``T`` before each array's own."""
        kernel, dense = self._spectra(self.theta(t))
        first = ifft2(self._unfold(self._read(kernel))).real
        second = ifft2(self._unfold(dense.conj())).real
        weights = [np.moveaxis(first, -3, -1)[..., None, :, :, :], second[..., None]]
        start = np.asarray(t, dtype=np.float64) == 0.0
        return [np.where(start[..., None, None, None, None], w0, w) for w0, w in zip(self._start, weights, strict=True)]

    def winners(self) -> NDArray[np.int64]:
        """Frequency ``(u, v)`` with the largest ``|κ_f|`` (norm over channels) at t = ∞ in each mode: ``(R, 2)``.

        No integration: Θ(∞) is a root. Of f and its conjugate the one with the smaller flat index u·W + v is named;
        (-1, -1) for null modes and for modes that are never learned. Small starts make it the largest ‖q_αf‖:
        ``|κ_2/κ_1| ∝ σ^(1-‖q_2‖/‖q_1‖)`` as the scale σ of the start goes to 0.
        """
        spectrum, _ = self._spectra(self.theta(np.inf))
        size = np.linalg.norm(spectrum, axis=0)
        found = np.full((len(self._clocks), 2), -1, dtype=np.int64)
        for r, clock in enumerate(self._clocks):
            mine = self._moving[self._mode == r]
            if clock is not None and np.isfinite(clock.theta_end):
                found[r] = divmod(int(self._half.indices[mine[np.argmax(size[mine])]]), self._half.shape[1])
        return found

    def learning_time(self, fraction: float) -> Floats:
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
            elif np.isfinite(clock.theta_end) and share < 1.0:
                times[r] = clock.time_to_gap((1.0 - share) * s)
        return times

    def _factors(self, theta: Floats) -> tuple[Floats, Floats]:
        """e^{cΘ} and e^{-cΘ} for the moving frequencies; 1 where their coefficient is 0, so that 0·inf never occurs."""
        exponent = self._c * theta[..., self._mode]
        return (
            np.exp(np.where(self._plus == 0, 0.0, exponent)),
            np.exp(np.where(self._minus == 0, 0.0, -exponent)),
        )

    def _spectra(self, theta: Floats) -> tuple[Complexes, Complexes]:
        """Half spectra (..., C, F) of the kernel and (..., K, F) of conj(ŵ_2)."""
        plus, minus = self._factors(theta)
        grown, faded = 0.5 * self._plus * plus, 0.5 * self._minus * minus
        shape = theta.shape[:-1]
        kernel = np.broadcast_to(self._kappa_rest, (*shape, *self._kappa_rest.shape)).copy()
        rows = np.broadcast_to(self._rows_rest, (*shape, *self._rows_rest.shape)).copy()
        kernel[..., self._moving] += self._direction * (grown + faded)[..., None, :]
        rows[..., self._moving] += self._u * (grown - faded).conj()[..., None, :]
        return kernel, rows

    def _unfold(self, half: Complexes) -> Complexes:
        return self._half.unpack(np.stack([half.real, half.imag], axis=-2))


def _check_times(t: ArrayLike) -> Floats:
    times = check_time("t", t)
    if times.ndim > 1:
        raise ArgumentError(f"t has shape {times.shape}, expected one time or a list of times: use t.ravel()")
    return times


def _check_network(modes: Modes, network: Any) -> None:
    channels, height, width = modes.image_shape
    if not hasattr(network, "shapes") or not hasattr(network, "check_weights"):
        raise ArgumentError(f"network is a {type(network).__name__}, expected a LinearCNN with widths=(1,)")
    for name in ("image_shape", "n_outputs"):
        if getattr(network, name) != getattr(modes, name):
            raise ArgumentError(
                f"network has {name} {getattr(network, name)}, expected {getattr(modes, name)}: that of the modes"
            )
    if network.shapes != [(1, height, width, channels), (modes.n_outputs, height, width, 1)]:
        raise ArgumentError(
            f"network is {network}, expected a LinearCNN with widths=(1,): two layers, one hidden channel; for a fully "
            f"connected network use sigmoid with n_pixels=1, multiplicity=1, else {_REMEDY}"
        )
