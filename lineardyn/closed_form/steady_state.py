"""The end of learning without integration, where a theorem gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.mode_clock import ModeClock
from lineardyn.errors import ArgumentError
from lineardyn.flow.arguments import kernel_arguments, right_hand_side
from lineardyn.networks import LinearCNN, LinearNetwork, Weights
from lineardyn.validation import check_network, check_number

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments

__all__ = ["SteadyState", "steady_state"]

Floats = NDArray[np.float64]
COHERENT = 1e-12
"""Largest defect of ``Σ^xx = V D Vᵀ``, relative to the trace: that of the modes form."""
UNSEEN = 1e-14
"""Directions with less than this share of the largest second moment, times their number, are not in the data."""
DEFINITE = 1e-10
"""Share of the largest eigenvalue of the balance that an eigenvalue must pass to have a sign."""


@dataclass(frozen=True, eq=False)
class SteadyState:
    """Where gradient flow from a given start ends, as t → ∞.

    Attributes
    ----------
    weights : list of arrays or None
        In pixel space, layer 1 first; None where the theorem gives the predictor only.
    predictor : (H, W, K, C) complex, or None
        v̂ on the full spectrum, as of ``LinearCNN.effective_predictor``; None where the data do not see all images: what
        the network makes of the others hangs on its path.
    effective_singular_values : (R, R)
        ``B = Uᵀ Σ^ŷx V``; rows and columns of null modes are 0.
    loss : float
        ``½⟨‖y - f(x)‖²⟩ + ½ weight_decay Σ_l ‖w_l‖²``.
    method : "critical start", "mode clock", "linear regression" or "least squares"
    reason : the theorem, in one sentence
    """

    weights: Weights | None
    predictor: NDArray[np.complex128] | None
    effective_singular_values: Floats
    loss: float
    method: str
    reason: str


def steady_state(
    network: LinearNetwork, moments: SecondMoments, weights: Sequence[ArrayLike], *, weight_decay: float = 0.0
) -> SteadyState:
    r"""``t → ∞`` of gradient flow from ``weights``, for the starts and data of which it is known.

    Parameters
    ----------
    network : LinearCNN or LinearFCN
    moments : SecondMoments
    weights : list of arrays
        The state at t = 0.
    weight_decay : float
        λ >= 0.

    Returns
    -------
    SteadyState

    Raises
    ------
    ArgumentError
        Where no theorem here applies: it says which conditions fail. Integrate instead, with ``Stationary`` as the end.

    Notes
    -----
    The first of these that applies; ``E = Σ^yx - v Σ^xx`` is the residual:

    - *critical start*: the gradient is exactly 0. Zero weights of two layers and more stay for ever, a saddle.
    - *linear regression*: one layer. ``w → Σ^yx (Σ^xx + λ)⁻¹``; for λ = 0 ``w → Σ^yx (Σ^xx)⁺ + w(0) N`` with the
      projection N on what no image has: that stays as it began.
    - *mode clock*: P's network, Σ^xx = V D Vᵀ, modes without common frequency, an aligned start, λ = 0 [theory section
      2.2]: weights by :class:`ModeClock`, which also knows modes that are never learned.
    - *least squares*: two layers, any data, λ = 0, a start that is unbalanced enough. ``Q_f = A A^H - B^H B`` is
      conserved at each frequency [theory section 1]. With C positive eigenvalues A keeps full column rank for ever,
      with K negative ones B keeps full row rank, and then ``‖∇ℒ‖² >= const·‖E_f‖²``. If this holds at frequencies on
      which the data have the rank that they have on all, the loss falls exponentially to that of least squares.
      Random weights with C + K hidden channels or more are so with probability 1; a fully connected layer is one
      frequency with C·H·W channels, of which those in the span of the data count. Smaller starts only take longer.
      P's network from a balanced start is *not* so: it can end at a saddle, as from 0.

    References
    ----------
    Pinson, Lenaerts, Ginis (2023), eq 23-24 (at the end of learning); Godfrey et al. (2022), §4 (conserved balance);
    Tarmoun et al. (2021), Min et al. (2021) (imbalance gives exponential convergence; here per frequency, this
    project).

    Examples
    --------
    >>> from lineardyn import LinearCNN, SecondMoments, pure_cosines, steady_state
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 2)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> end = steady_state(network, moments, network.init_balanced(moments, 1e-3, rng=0))
    >>> end.method, round(end.loss, 12), end.effective_singular_values.round(3) + 0.0
    ('mode clock', 0.0, array([[2.   , 0.   ],
           [0.   , 0.707]]))
    """
    check_network(network)
    network.check_moments(moments)
    decay = check_number("weight_decay", weight_decay, minimum=0.0)
    state = network.pack(weights)
    with np.errstate(over="ignore", invalid="ignore"):
        force = right_hand_side(kernel_arguments(network, moments, decay), state)
    if not force.any():
        reason = (
            "The gradient is exactly 0 at the start, where the flow stays for ever (a saddle, if it is not learned)."
        )
        return _from_weights(network, moments, network.unpack(state), decay, "critical start", reason)
    if network.depth == 1:
        return _linear_regression(network, moments, state, decay)
    failed = []
    for attempt in (_mode_clock, _least_squares):
        try:
            return attempt(network, moments, state, decay)
        except ArgumentError as error:
            failed.append(str(error))
    raise ArgumentError(
        f"weights have no known steady state ({'; '.join(failed)}), expected a case of which the end is a theorem: "
        f"integrate, with gradient_flow(.., events=[Stationary(terminal=True)])"
    )


def _from_weights(
    network: LinearNetwork, moments: SecondMoments, weights: Weights, decay: float, method: str, reason: str
) -> SteadyState:
    modes = moments.modes()
    kept = ~modes.null
    rows = moments.pack(modes.v[kept]) * moments.weights
    packed = network.predictors(network.pack(weights)[None])[0]
    values = np.zeros((len(modes.s), len(modes.s)))
    values[np.ix_(kept, kept)] = modes.u[:, kept].T @ (packed @ (moments.apply(rows) * moments.weights).T)
    loss = network.loss(weights, moments, weight_decay=decay)
    return SteadyState(weights, network.effective_predictor(weights), values, loss, method, reason)


# --- one layer -------------------------------------------------------------------------------------------------------


def _linear_regression(network: LinearNetwork, moments: SecondMoments, state: Floats, decay: float) -> SteadyState:
    """In coordinates times √weights, in which the metric is that of the pixels."""
    root = np.sqrt(moments.weights)
    powers, axes, target = _spectrum(moments)
    start = state.reshape(network.n_outputs, -1) * root
    seen = start @ axes.T
    end = (target @ axes.T) / (powers + decay)
    rest = 0.0 if decay > 0.0 else start - seen @ axes
    weights = network.unpack(((end @ axes + rest) / root).ravel())
    reason = (
        "One layer is linear regression: its flow is linear and ends at the ridge solution."
        if decay > 0.0
        else "One layer is linear regression: its flow ends at least squares, and stays as it began where no image is."
    )
    return _from_weights(network, moments, weights, decay, "linear regression", reason)


def _spectrum(moments: SecondMoments) -> tuple[Floats, Floats, Floats]:
    """Eigenvalues ``(m,)`` of Σ^xx that are not 0, their vectors ``(m, D)``, and Σ^yx ``(K, D)``, times √weights."""
    stats, root = moments.statistics, np.sqrt(moments.weights)
    if stats.dense:
        powers, vectors = np.linalg.eigh(root[:, None] * stats.matrix * root)
        axes, target = vectors.T, stats.target * root
        seen = powers > len(powers) * UNSEEN * powers.max()
    else:
        rows = stats.rows * root
        _, sizes, axes = np.linalg.svd(np.sqrt(stats.gain)[:, None] * rows, full_matrices=False)
        powers, target = sizes**2, stats.target @ rows
        seen = sizes > max(rows.shape) * UNSEEN * sizes.max()
    return powers[seen], axes[seen], target


# --- P's network, modes without common frequency ---------------------------------------------------------------------


def _mode_clock(network: LinearNetwork, moments: SecondMoments, state: Floats, decay: float) -> SteadyState:
    if decay > 0.0:
        raise ArgumentError(f"weight_decay is {decay:g}, and more layers than one have no closed form with it")
    if not isinstance(network, LinearCNN) or network.widths != (1,):
        raise ArgumentError("the clock of a mode needs a LinearCNN with widths=(1,)")
    modes = moments.modes()
    if not _is_coherent(moments):
        raise ArgumentError("the clock of a mode needs Σ^xx = V D Vᵀ, all images of a class equal")
    clock = ModeClock(modes, network, network.unpack(state))
    weights = clock.at(np.inf)
    never = [r for r in np.flatnonzero(~modes.null) if np.isinf(clock.theta(np.inf)[r])]
    reason = "Modes without common frequency move by one clock each, whose end is the root of s = b(Θ)."
    if never:
        reason += f" Never learned, by this start: {', '.join(f'mode {r}' for r in never)}."
    return _from_weights(network, moments, weights, decay, "mode clock", reason)


def _is_coherent(moments: SecondMoments) -> bool:
    if moments.form == "modes":
        return True
    modes = moments.modes()
    kept = ~modes.null
    rows = moments.pack(modes.v[kept])
    image = moments.apply(rows * moments.weights)
    off = np.sqrt((((image - modes.d[kept, None] * rows) ** 2) @ moments.weights).sum())
    return bool(max(off, abs(moments.image_power - modes.d[kept].sum())) <= COHERENT * moments.image_power)


# --- two layers, far from balanced -----------------------------------------------------------------------------------


def _least_squares(network: LinearNetwork, moments: SecondMoments, state: Floats, decay: float) -> SteadyState:
    if decay > 0.0 or network.depth != 2:
        raise ArgumentError("least squares is certain for two layers without weight decay only")
    powers, axes, target = _spectrum(moments)
    good = _good_coordinates(network, state, axes)
    sizes = np.linalg.svd(axes[:, good], compute_uv=False) if good.any() else np.zeros(1)
    if len(sizes) < len(axes) or sizes[-1] <= np.sqrt(UNSEEN):
        raise ArgumentError(
            f"the start is not unbalanced enough: the conserved A A^H - B^H B keeps a layer of full rank on "
            f"{int(good.sum())} of {len(good)} coordinates of the images, on which the data have not their whole rank"
        )
    modes = moments.modes()
    root = np.sqrt(moments.weights)
    best = ((target @ axes.T) / powers @ axes) / root
    predictor = None
    if len(axes) == int(np.prod(network.image_shape)):
        packed = best.reshape(network.n_outputs, network.image_shape[0], 2, -1)
        predictor = np.ascontiguousarray(network.half.unpack(packed).transpose(2, 3, 0, 1))
    reason = (
        "The start is so unbalanced that a layer keeps full rank for ever, by the conserved A A^H - B^H B: the loss "
        "falls exponentially to that of least squares."
    )
    values = np.diag(np.where(modes.null, 0.0, modes.s))
    return SteadyState(None, predictor, values, float(moments.losses(best[None])[0]), "least squares", reason)


def _good_coordinates(network: LinearNetwork, state: Floats, axes: Floats) -> NDArray[np.bool_]:
    """``(D,)``: packed coordinates of an image on which the gradient cannot vanish before the residual does."""
    c, k = network.image_shape[0], network.n_outputs
    first, last = network.unpack(state)
    if not isinstance(network, LinearCNN):
        seen = state[: network.offsets[1]].reshape(len(first), -1) * np.sqrt(network.state_weights[: axes.shape[1]])
        return np.full(axes.shape[1], bool(_keeps_rank(seen @ axes.T, last, len(axes), k)))
    parts = [state[a:b] for a, b in zip(network.offsets[:-1], network.offsets[1:], strict=True)]
    hidden, size = network.widths[0], network.half.size
    a, b = parts[0].reshape(hidden, c, 2, size), parts[1].reshape(k, hidden, 2, size)
    a, b = (np.moveaxis(z[:, :, 0] + 1j * z[:, :, 1], -1, 0) for z in (a, b))
    return np.tile(_keeps_rank(a, b, c, k), 2 * c)


def _keeps_rank(a: NDArray[np.inexact], b: NDArray[np.inexact], columns: int, rows: int) -> NDArray[np.bool_]:
    """Whether ``a a^H - b^H b`` has ``columns`` positive or ``rows`` negative eigenvalues, over leading axes."""
    a_h, b_h = np.swapaxes(a.conj(), -1, -2), np.swapaxes(b.conj(), -1, -2)
    values = np.linalg.eigvalsh(a @ a_h - b_h @ b)
    noise = DEFINITE * np.abs(values).max(axis=-1, keepdims=True, initial=0.0)
    good: NDArray[np.bool_] = ((values > noise).sum(axis=-1) >= columns) | ((values < -noise).sum(axis=-1) >= rows)
    return good
