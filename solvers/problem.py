r"""The problem in the predictor that training a deep linear CNN with weight decay solves.

.. math:: \min_{\hat v,\; \mathrm{rank}\, \hat v_f \le c} \; \frac1N \sum \|y - \sum_f \hat v_f \hat x_f\|^2
          + μ \sum_f \|\hat v_f\|_{S_p}^p, \qquad p = 2/L, \quad μ = λ L P^{-(L-1)/L}

has the same minimum as ``(1/N) Σ‖y - f(x)‖² + λ Σ_l ‖w_l‖²`` over the weights of L layers of hidden widths ≥ c
[Godfrey et al. theorem 4.9, corrected: printed without ``P^{-(L-1)/L}``].
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_count, check_number, shown
from solvers._coordinate_kernels import jump_points
from solvers.coordinates import Coordinates
from solvers.penalties import penalty_power, penalty_weight, thresholds
from solvers.predictors import ROUND_OFF
from solvers.quadratic import Quadratic, quadratic

__all__ = ["RegularizedProblem", "check_problem"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
ASYMMETRY = 1e-10
"""Largest part of a predictor that breaks ``v̂_{f*} = conj(v̂_f)``, relative to its norm."""
POWERS = (1e-120, 1e120)
"""Of images and targets, between which no square of a product of both leaves the range of floats."""


@dataclass(frozen=True, eq=False)
class RegularizedProblem:
    r"""Least squares with the penalty that weight decay λ on L layers amounts to.

    Parameters
    ----------
    moments : SecondMoments
        Statistics of the data, in any form.
    depth : int
        L ≥ 1, the number of layers: ridge (1), lasso or nuclear norm (2), non-convex (3 on).
    lam : float
        λ > 0, the weight decay of ``(1/N) Σ‖y - f(x)‖² + λ Σ_l ‖w_l‖²``.
    rank : int, optional
        c ≥ 1, the narrowest hidden layer: every v̂_f has at most this rank. None, or c ≥ min(C, K): no constraint.

    Raises
    ------
    ArgumentError
        λ or depth not positive, rank 0, a rank below min(C, K) at depth 1 (there is no hidden layer), a Σ^xx with a
        negative eigenvalue, images or targets whose mean power is not within 1e±120 (targets may be 0).

    Notes
    -----
    Godfrey et al. theorem 4.9, corrected in theory section 3. In the coordinates of
    :class:`solvers.coordinates.Coordinates` the objective is ``⟨‖y‖²⟩ + 2 h(V)``,
    ``h = ½⟨VG, V⟩ - ⟨c, V⟩ + Σ_b u_b ‖Z_b‖_p^p``, with one block a pair of conjugate frequencies.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> problem = RegularizedProblem(moments, depth=2, lam=0.01)
    >>> problem.power, problem.mu  # p = 2/L, and λ·2/√P
    (1.0, 0.005)
    """

    moments: SecondMoments
    depth: int = field(kw_only=True)
    lam: float = field(kw_only=True)
    rank: int | None = field(kw_only=True, default=None)

    def __post_init__(self) -> None:
        if not isinstance(self.moments, SecondMoments):
            raise ArgumentError(
                f"moments is a {type(self.moments).__name__}, expected SecondMoments: make them with "
                f"SecondMoments.from_data(images, targets)"
            )
        object.__setattr__(self, "depth", check_count("depth", self.depth))
        object.__setattr__(self, "lam", check_number("lam", self.lam, minimum=0.0, strict=True))
        if self.rank is not None:
            object.__setattr__(self, "rank", check_count("rank", self.rank))
            if self.depth == 1 and self.bounds_rank:
                raise ArgumentError(
                    f"rank is {self.rank} at depth 1, expected None: a single layer has no hidden width that bounds it"
                )
        self._check_scale()
        self.quadratic.check_semidefinite()

    def _check_scale(self) -> None:
        """Squares of what is too large are infinite, of what is too small 0: nothing would be learned, silently."""
        low, high = POWERS
        for name, sign, power in (
            ("images", "x", self.moments.image_power),
            ("targets", "y", self.moments.target_power),
        ):
            if not (low <= power <= high or (power == 0.0 and name == "targets")):
                raise ArgumentError(
                    f"moments have {name} of power ⟨‖{sign}‖²⟩ = {power:.3g}, expected between {low:g} and {high:g}: "
                    f"choose another unit for the {name}"
                )

    @property
    def n_outputs(self) -> int:
        """K."""
        return self.moments.n_outputs

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.moments.image_shape

    @property
    def predictor_shape(self) -> tuple[int, int, int, int]:
        """(H, W, K, C)."""
        channels, height, width = self.image_shape
        return height, width, self.n_outputs, channels

    @property
    def power(self) -> float:
        """p = 2/L."""
        return penalty_power(self.depth)

    @property
    def mu(self) -> float:
        """μ = λ L P^{-(L-1)/L}."""
        return self.lam * self.penalty_scale

    @property
    def penalty_scale(self) -> float:
        """μ/λ = L P^{-(L-1)/L}."""
        height, width = self.image_shape[1:]
        return penalty_weight(1.0, depth=self.depth, n_pixels=height * width)

    @property
    def max_rank(self) -> int:
        """Largest rank that a v̂_f may have."""
        full = min(self.n_outputs, self.image_shape[0])
        return full if self.rank is None else min(full, self.rank)

    @property
    def bounds_rank(self) -> bool:
        """Whether the rank constraint excludes anything."""
        return self.max_rank < min(self.n_outputs, self.image_shape[0])

    @property
    def convex(self) -> bool:
        """Depth 1 or 2, and the rank not bounded."""
        return self.depth <= 2 and not self.bounds_rank

    @cached_property
    def quadratic(self) -> Quadratic:
        """The loss in real coordinates; shared by all problems on these moments."""
        return quadratic(self.moments)

    @property
    def coordinates(self) -> Coordinates:
        """Of the columns of real predictors V (K, D)."""
        return self.quadratic.coordinates

    @cached_property
    def thresholds(self) -> Floats:
        """``(F,)``: u_b, the penalty of each block in h; see :func:`solvers.penalties.thresholds`."""
        return thresholds(self.mu, ~self.coordinates.paired, depth=self.depth)

    @cached_property
    def jumps(self) -> Floats:
        """``(F,)``: the norm of ``Z_b - slope_b/ℓ_b`` up to which coordinate descent sends block b to zero."""
        jumps = np.empty_like(self.thresholds)
        jump_points(self.quadratic.curvatures, self.thresholds, self.depth, jumps)
        return jumps

    def with_lam(self, lam: float) -> RegularizedProblem:
        """The same problem at another λ."""
        return replace(self, lam=lam)

    def with_depth(self, depth: int) -> RegularizedProblem:
        """The same problem at another depth."""
        return replace(self, depth=depth)

    def objective(self, predictor: ArrayLike) -> float:
        """``(1/N) Σ‖y - f(x)‖² + μ Σ_f ‖v̂_f‖_{S_p}^p`` of a predictor ``(H, W, K, C)``."""
        return self.loss(predictor) + self.penalty(predictor)

    def loss(self, predictor: ArrayLike) -> float:
        """``(1/N) Σ‖y - f(x)‖²``."""
        return self.quadratic.loss(self.pack(predictor))

    def penalty(self, predictor: ArrayLike) -> float:
        """``μ Σ_f ‖v̂_f‖_{S_p}^p``, λ included: what ``λ Σ_l ‖w_l‖²`` is at least."""
        return self.penalty_of(self.pack(predictor))

    def penalty_of(self, values: Floats) -> float:
        """The same of coordinates ``(K, D)``."""
        return 2.0 * self.half_penalty(values)

    def half_penalty(self, values: Floats) -> float:
        """``Σ_b u_b ‖Z_b‖_p^p``, the penalty in h."""
        singular = self.coordinates.singular_values(values)
        if self.depth == 2:  # the commonest, where round-off does not count
            return float(self.thresholds @ singular.sum(axis=1))
        singular[singular <= ROUND_OFF * singular.max(axis=1, keepdims=True)] = 0.0
        return float(self.thresholds @ (singular**self.power).sum(axis=1))

    def half_objective(self, values: Floats, slope: Floats) -> float:
        """``h(V) = ½⟨VG, V⟩ - ⟨c, V⟩ + Σ_b u_b ‖Z_b‖_p^p`` where ``slope = VG - c`` is known; the objective is
        ``⟨‖y‖²⟩ + 2h``.
        """
        return 0.5 * float(np.vdot(values, slope - self.quadratic.cross)) + self.half_penalty(values)

    def half_gap(self, values: Floats, slope: Floats) -> float:
        """h minus a lower bound of its minimum, at depths 1 and 2 without a rank constraint.

        At depth 1 h is strongly convex, and ``‖gradient‖²/2λ`` bounds the difference. At depth 2, with residual
        ``ρ = y - Vx``, the point ``t ρ`` is dual feasible where ``|t| ‖slope_b‖ ≤ u_b`` in every block, and bounds
        h + ½⟨‖y‖²⟩ by ``t⟨y, ρ⟩ - ½t²⟨‖ρ‖²⟩``.
        """
        if self.depth == 1:
            gradient = slope + self.lam * values
            return 0.5 * float(np.vdot(gradient, gradient)) / self.lam
        cross, power = self.quadratic.cross, self.quadratic.target_power
        steepest = float((self.coordinates.singular_values(slope).max(axis=1) / self.thresholds).max())
        square = power + float(np.vdot(values, slope - cross))
        product = power - float(np.vdot(cross, values))
        return norm_gap(square, product, self.half_penalty(values), steepest)

    def objective_of(self, values: Floats) -> float:
        """The objective of coordinates ``(K, D)``."""
        return self.quadratic.loss(values) + self.penalty_of(values)

    def pack(self, predictor: ArrayLike, *, name: str = "predictor") -> Floats:
        """Coordinates ``(K, D)`` of a predictor ``(H, W, K, C)``, which must be that of a real function."""
        spectrum = np.asarray(predictor)
        if spectrum.shape != self.predictor_shape or spectrum.dtype.kind not in "biufc":
            raise ArgumentError(
                f"{name} has shape {spectrum.shape} and dtype {spectrum.dtype}, expected numbers "
                f"{self.predictor_shape}: (H, W, K, C) of the moments"
            )
        if not np.isfinite(spectrum).all():
            raise ArgumentError(f"{name} holds NaN or infinity, expected finite numbers: remove or replace them")
        values = self.coordinates.pack(spectrum.astype(np.complex128))
        off = float(np.linalg.norm(spectrum - self.coordinates.unpack(values)))
        if off > ASYMMETRY * max(float(np.linalg.norm(spectrum)), np.finfo(float).tiny):
            raise ArgumentError(
                f"{name} breaks the conjugate symmetry v̂[f*] = conj(v̂[f]) by {off:.3g}, expected that of a real "
                f"function: transform a real predictor w with conj(fft2(w, norm='ortho'))"
            )
        return values

    def unpack(self, values: Floats) -> Complexes:
        """The predictor ``(H, W, K, C)`` of coordinates ``(K, D)``."""
        return self.coordinates.unpack(values)


def norm_gap(square: float, product: float, half_penalty: float, steepest: float) -> float:
    """:meth:`RegularizedProblem.half_gap` at depth 2 of ``⟨‖ρ‖²⟩``, ``⟨y, ρ⟩`` and the largest ``‖slope_b‖/u_b``."""
    feasible = 1.0 / steepest if steepest > 0 else np.inf
    curved = max(square, np.finfo(float).tiny)  # the residual of an interpolation is round-off, of either sign
    scale = min(max(product / curved, -feasible), feasible)
    return 0.5 * square + half_penalty - (scale * product - 0.5 * scale**2 * curved)


def check_problem(problem: RegularizedProblem) -> None:
    """Refuse what is no problem, before one of its attributes is read."""
    if not isinstance(problem, RegularizedProblem):
        raise ArgumentError(
            f"problem is {shown(problem)}, expected a RegularizedProblem: make one with "
            f"RegularizedProblem(moments, depth=2, lam=0.01)"
        )
