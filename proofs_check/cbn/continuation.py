r"""Deep networks trained from shallower ones, and how their norm grows with the depth.

::

    ‖θ_L‖²  ≈  L R0 + R1 + R2/L

From a random start deep networks with weight decay stop at a plateau or keep dimensions that they do not need. One
identity layer more, ``Ŵ_ω = m_ω^{-1} I``, leaves the function as it is, and training from there removes what the layer
holds too much [theory, section 4; new].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.progress import progress_bar
from lineardyn.validation import Rng, as_generator, check_array, check_count, check_number, shown
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.training import TrainedCyclic, train_cyclic

__all__ = ["DepthFit", "fit_depths", "train_depths"]

Floats = NDArray[np.float64]

ATTEMPTS = 3
"""With a quarter of the learning rate each, if the objective ends above where it began."""


@dataclass(frozen=True)
class DepthFit:
    """``slope L + intercept + remainder/L`` by least squares; ``residual`` is the largest deviation, absolute."""

    slope: float
    intercept: float
    remainder: float
    residual: float

    def at(self, depth: int) -> float:
        """Its value."""
        count = check_count("depth", depth)
        return count * self.slope + self.intercept + self.remainder / count


def fit_depths(depths: Sequence[int], norms: ArrayLike) -> DepthFit:
    r"""Fit ``‖θ_L‖² = L R0 + R1 + R2/L`` by least squares: three numbers, to be held against :func:`cost_expansion`.

    Parameters
    ----------
    depths : list of int
        At least three, all different.
    norms : array (len(depths),)
        ``‖θ‖²``, operator convention.

    Raises
    ------
    ArgumentError
        For fewer than three depths, equal ones, or another number of norms.

    Notes
    -----
    The expansion goes on with ``O(1/L²)``: fitted to the exact cost at small depths the three numbers are off by that.

    Examples
    --------
    >>> import numpy as np
    >>> depths = np.arange(3, 9)
    >>> fit = fit_depths(depths, 3.0 * depths - 1.0 + 2.0 / depths)
    >>> round(fit.slope, 9), round(fit.intercept, 9), round(fit.remainder, 9), fit.residual < 1e-9
    (3.0, -1.0, 2.0, True)
    """
    counts = np.array(_checked_depths(depths, least=3), dtype=np.float64)
    values = check_array("norms", norms, shape=(len(counts),), why="one norm for each depth")
    columns = np.stack([counts, np.ones_like(counts), 1.0 / counts], axis=1)
    found = np.linalg.lstsq(columns, values, rcond=None)[0]
    slope, intercept, remainder = (float(number) for number in found)
    return DepthFit(slope, intercept, remainder, residual=float(np.abs(columns @ found - values).max()))


def train_depths(
    target: CyclicCNN | Callable[[Floats], ArrayLike] | ArrayLike,
    *,
    images: ArrayLike,
    depths: Sequence[int],
    width: int,
    weight_decay: float,
    rng: Rng,
    n_starts: int = 1,
    pooling: ArrayLike | None = None,
    slope: float = 0.0,
    anneal: float = 10.0,
    learning_rate: float = 0.005,
    n_first: int = 1500,
    n_steps: int = 300,
    n_polish: int = 20,
    progress: bool = False,
) -> list[TrainedCyclic]:
    r"""Train networks of growing depth, each from the one before with identity layers in its middle.

    At each depth Adam and L-BFGS with ``anneal · λ``, which decides which dimensions stay, then L-BFGS with λ; at the
    smallest, from random starts, ``anneal² · λ`` before that.

    Parameters
    ----------
    target, images, pooling
        As in :func:`train_cyclic`.
    depths : list of int
        Increasing, 2 to 24. Small steps: what many layers bring with them at once may cost more than the target.
    width : int
        Of all hidden layers.
    weight_decay
        λ at the end. The fit pulls the trained map below its target by about ``λ/⟨|x̂_ω|²⟩`` where that is 1.
    rng
        Of the random starts.
    n_starts
        At the smallest depth; the network of the smallest objective goes on.
    slope
        0, the ReLU, or 1, the linear network (:func:`deepen`).
    anneal
        Of the weight decay, at least 1.
    learning_rate
        Of Adam; four times that at the smallest depth.
    n_first, n_steps, n_polish
        Steps of Adam at the smallest depth and at the others, and of L-BFGS with λ; a quarter of it after Adam.
    progress
        Show a bar.

    Returns
    -------
    list of TrainedCyclic
        One for each depth.

    Raises
    ------
    ArgumentError
        For arguments that do not fit.
    LineardynError
        If PyTorch is not installed.

    Notes
    -----
    For a linear target f of blocks ``Â_ω ⪰ 0`` on images whose constant part dominates, such that all ``A^{l/L} x`` are
    positive, the network that attains T1 never meets the kink of the ReLU: ``R ≤ R_lin``. Without pooling A1 at one
    image in the interior gives ``R ≥ R_lin``: the ReLU network's cost is exactly T1's, ``R0`` the rank and ``R1 = 2
    Σ log s_i``. With pooling the same follows from A2, for networks that have no kink at one constant image.

    Examples
    --------
    The mean of three positive pixels, ``‖θ‖² ≈ L``::

        x = np.random.default_rng(0).uniform(0.5, 1.5, (20, 1, 3))
        y = np.broadcast_to(x.mean(axis=-1, keepdims=True), x.shape)
        found = train_depths(y, images=x, depths=range(2, 7), width=2, weight_decay=1e-4, rng=0)
        fit_depths(range(2, 7), [trained.norm for trained in found])
    """
    counts = _checked_depths(depths, least=1)
    starts, ratio = check_count("n_starts", n_starts), check_number("anneal", anneal, minimum=1.0)
    rate = check_number("learning_rate", learning_rate, minimum=0.0, strict=True)
    first, later, polish = (
        check_count(name, n) for name, n in (("n_first", n_first), ("n_steps", n_steps), ("n_polish", n_polish))
    )
    if slope not in (0, 1):
        raise ArgumentError(f"slope is {shown(slope)}, expected 0 or 1: an identity layer needs σ(σ(z)) = σ(z)")
    decay, generator = check_number("weight_decay", weight_decay, minimum=0.0), as_generator(rng)
    same = {"images": images, "widths": check_count("width", width), "pooling": pooling, "slope": slope}

    def trained(depth: int, start: CyclicCNN | None) -> TrainedCyclic:
        settings: dict[str, Any] = {**same, "depth": depth, "rng": generator}
        rough = {**settings, "n_polish": -(-polish // 4)}
        if start is None:
            start = train_cyclic(
                target, weight_decay=ratio**2 * decay, learning_rate=4 * rate, n_steps=first, **rough
            ).network
            start = train_cyclic(
                target, weight_decay=ratio * decay, learning_rate=4 * rate, n_steps=first, start=start, **rough
            ).network
        else:
            start = _descended(target, start, rate, weight_decay=ratio * decay, n_steps=later, **rough)
        return train_cyclic(target, weight_decay=decay, start=start, method="lbfgs", n_steps=polish, **settings)

    with progress_bar("train", starts + len(counts) - 1, shown=progress) as tell:

        def told(result: TrainedCyclic, done: int) -> TrainedCyclic:
            if tell is not None:
                tell(float(done))
            return result

        drawn = [told(trained(counts[0], None), i + 1) for i in range(starts)]
        found = [min(drawn, key=lambda result: result.objective)]
        for i, depth in enumerate(counts[1:]):
            found.append(told(trained(depth, found[-1].network), starts + i + 1))
    return found


def _descended(target: Any, start: CyclicCNN, rate: float, **settings: Any) -> CyclicCNN:
    """Where Adam and L-BFGS lead from ``start``: a step that throws a deep network far out is tried again, smaller."""
    for attempt in range(ATTEMPTS):
        result = train_cyclic(target, start=start, learning_rate=rate / 4**attempt, **settings)
        if result.objective <= result.history["objective"][0]:
            return result.network
    return start


def _checked_depths(depths: Sequence[int], *, least: int) -> list[int]:
    if isinstance(depths, str) or not hasattr(depths, "__len__") or len(depths) < least:
        raise ArgumentError(f"depths is {shown(depths)}, expected at least {least} integers, increasing")
    counts = [check_count(f"depths[{i}]", depth) for i, depth in enumerate(depths)]
    if any(b <= a for a, b in pairwise(counts)):
        raise ArgumentError(f"depths is {shown(depths)}, expected integers that increase")
    return counts
