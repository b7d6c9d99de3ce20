r"""The other side of theorem 4.9: the depth-L network itself, trained with weight decay from many starts.

Training runs on the factors at each frequency, of which one of each conjugate pair is kept, scaled so that
``Σ_l ‖w_l‖² = Σ_l ‖X_l‖²``: ``Z_b = κ_b X_L ⋯ X_1`` is the block of :class:`solvers.coordinates.Coordinates`, with
``κ_b = (P/m_b)^{(L-1)/2}``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, minres

from lineardyn.errors import ArgumentError
from lineardyn.networks import LinearCNN
from lineardyn.validation import Rng, as_generator, check_count
from solvers.closed_form.ridge import ridge
from solvers.factorization import factors, pack_layers, singular_vectors
from solvers.problem import RegularizedProblem, check_problem

__all__ = ["TrainedNetwork", "train_factorized"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
MEMORY = 20
"""Pairs of steps and gradients that L-BFGS keeps."""
MILD = 1e-3
"""λ of the ridge predictor that starts are made of, relative to the mean power of a coefficient."""
NUDGE = 1e-2
"""Noise on the factors of a start, relative to their mean size."""
NEGLIGIBLE = 1e-6
"""Singular values of the best below this part of the largest are on their way to zero."""
NEWTON_STEPS = 30
HALVINGS = 8
SMALL_GRADIENT = 1e-10
"""Norm of the gradient, relative to √(λ⟨‖y‖²⟩), that polishing goes for."""


@dataclass(frozen=True)
class TrainedNetwork:
    """The best of many trained networks: what :func:`train_factorized` returns.

    Attributes
    ----------
    weights : list
        Layer 1 first, those of ``LinearCNN(image_shape, widths=widths, n_outputs=K)``.
    predictor : (H, W, K, C)
        Its effective predictor.
    objective : float
        ``(1/N) Σ‖y - f(x)‖² + λ Σ_l ‖w_l‖²`` of these weights.
    objectives : (n_starts,)
        Of each start before the best is polished.
    gradient_norm : float
        Of the objective in the weights.
    n_evaluations : int
        Of the loss with its gradient.
    """

    weights: list[Floats]
    predictor: Complexes
    objective: float
    objectives: Floats
    gradient_norm: float
    n_evaluations: int


def train_factorized(
    problem: RegularizedProblem,
    widths: tuple[int, ...] | None = None,
    *,
    n_starts: int = 16,
    rng: Rng,
    max_iterations: int = 5000,
) -> TrainedNetwork:
    r"""Minimise ``(1/N) Σ‖y - f(x)‖² + λ Σ_l ‖w_l‖²`` over the weights of a linear CNN of the problem's depth.

    L-BFGS from each start, then Newton's method at the best. Three kinds of start take turns: factors of a mild ridge
    predictor with its singular values times random factors, independent normal weights of a random scale, and the best
    so far changed at a few frequencies. From depth 3 on ``v̂_f = 0`` is a local minimum for each f, which small starts
    fall into: the first two are up to 30 and 100 times larger than the ridge predictor, so that weight decay chooses.

    Parameters
    ----------
    problem
        Data, depth, λ and rank.
    widths
        ``(C_1, .., C_{L-1})`` whose narrowest layer allows the problem's rank and no more; None: the narrowest such.
    n_starts
        Networks trained. Few can miss the global minimum: at depth 4, twelve random ones did [theory section 3].
    rng
        A seed, or a numpy Generator.
    max_iterations
        Of L-BFGS, for each start.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    ArgumentError
        Another number of widths than the depth minus 1; a narrowest width that allows another rank than the problem.

    Notes
    -----
    Left side of Godfrey et al. theorem 4.9; the minimum equals that of the problem in the predictor [theory section 3].
    The gradient is numpy's: of an iteration it is a third to a half (125-185 µs of 390-510, 66 to 1152 unknowns, on a
    busy machine), the rest is scipy's L-BFGS; a compiled gradient alone would gain less than a factor of 1.7.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> from solvers import RegularizedProblem, solve, train_factorized
    >>> moments = SecondMoments.from_data(*natural_patches(3, 200, rng=0))
    >>> problem = RegularizedProblem(moments, depth=2, lam=0.01)
    >>> trained = train_factorized(problem, (3,), n_starts=4, rng=0)
    >>> bool(abs(trained.objective - solve(problem).objective) < 1e-7)
    True
    """
    check_problem(problem)
    n_starts, generator = check_count("n_starts", n_starts), as_generator(rng)
    iterations = check_count("max_iterations", max_iterations)
    training = Training(problem, _network(problem, widths))
    best, objectives = training.descend(training.start(0, None, generator), iterations), np.empty(n_starts)
    objectives[0] = training.value_and_gradient(best)[0]
    for i in range(1, n_starts):
        end = training.descend(training.start(i, best, generator), iterations)
        objectives[i] = training.value_and_gradient(end)[0]
        if objectives[i] < objectives[:i].min():
            best = end
    best = training.polish(best)
    value, gradient = training.value_and_gradient(best)
    weights = training.weights(best)
    return TrainedNetwork(
        weights=weights,
        predictor=training.network.effective_predictor(weights),
        objective=value,
        objectives=objectives,
        gradient_norm=float(np.linalg.norm(gradient)),
        n_evaluations=training.n_evaluations,
    )


def _network(problem: RegularizedProblem, widths: tuple[int, ...] | None) -> LinearCNN:
    hidden = (problem.max_rank,) * (problem.depth - 1) if widths is None else widths
    network = LinearCNN(problem.image_shape, widths=hidden, n_outputs=problem.n_outputs)
    if network.depth != problem.depth:
        raise ArgumentError(
            f"widths is {network.widths}, expected {problem.depth - 1} hidden widths: the problem is of depth "
            f"{problem.depth}"
        )
    if min(network.sizes) != problem.max_rank:
        raise ArgumentError(
            f"widths is {network.widths}, expected a narrowest layer for rank {problem.max_rank}, which the problem "
            f"allows: make the problem with rank={min(network.sizes)}, or change the widths"
        )
    return network


class Training:
    """The objective in the factors, as one real vector."""

    def __init__(self, problem: RegularizedProblem, network: LinearCNN) -> None:
        self.problem = problem
        self.network = network
        counts = network.half.weights
        self.constants = (network.n_pixels / counts) ** ((network.depth - 1) / 2)  # κ_b
        self.roots = np.sqrt(counts)[:, None, None]
        sizes = network.sizes
        self.shapes = [(len(counts), out, into) for into, out in itertools.pairwise(sizes)]
        self.cuts = np.cumsum([0] + [int(np.prod(shape)) for shape in self.shapes])
        self.n_evaluations = 0

    def split(self, x: Floats) -> list[Complexes]:
        """``X_1, .., X_L``."""
        values = x.view(np.complex128)
        return [values[a:b].reshape(s) for a, b, s in zip(self.cuts[:-1], self.cuts[1:], self.shapes, strict=True)]

    def join(self, layers: list[Complexes]) -> Floats:
        """Inverse of :meth:`split`."""
        return np.concatenate([layer.ravel() for layer in layers]).view(np.float64)

    def value_and_gradient(self, x: Floats) -> tuple[float, Floats]:
        """``(1/N) Σ‖y - f(x)‖² + λ‖x‖²`` and its gradient."""
        self.n_evaluations += 1
        layers, quadratic, columns = self.split(x), self.problem.quadratic, self.problem.coordinates
        below = [layers[0]]  # X_l ⋯ X_1
        for layer in layers[1:]:
            below.append(layer @ below[-1])
        values = columns.from_blocks(self.constants[:, None, None] * below[-1])
        applied = quadratic.apply(values)
        loss = quadratic.target_power - 2.0 * np.vdot(quadratic.cross, values) + np.vdot(applied, values)
        above = 2.0 * self.constants[:, None, None] * columns.blocks(applied - quadratic.cross)
        slopes: list[Complexes] = []
        for index in range(len(layers) - 1, 0, -1):
            slopes.insert(0, above @ below[index - 1].conj().swapaxes(1, 2))
            above = layers[index].conj().swapaxes(1, 2) @ above
        slopes.insert(0, above)
        lam = self.problem.lam
        return float(loss + lam * np.vdot(x, x)), self.join(slopes) + 2.0 * lam * x

    def start(self, i: int, best: Floats | None, generator: np.random.Generator) -> Floats:
        """Start number i: the ridge predictor rescaled, normal weights, two changes of the best so far, in turn."""
        if best is None or i % 4 == 0:
            return self._rescaled_ridge(generator)
        return self._random(generator) if i % 4 == 1 else self._change_of(best, generator)

    @cached_property
    def mild_ridge(self) -> Complexes:
        """A predictor that fits well at every frequency: blocks v̂_f ``(F, K, C)``."""
        moments = self.problem.moments
        least = ridge(moments, MILD * moments.image_power / self.problem.coordinates.size)
        return least.reshape(-1, *least.shape[2:])[self.network.half.indices]

    def _rescaled_ridge(self, generator: np.random.Generator) -> Floats:
        """Each singular value of the ridge predictor times a random factor, mostly above 1."""
        left, singular, right = self._singular_vectors(self.mild_ridge)
        spread = generator.uniform(0.5, 2.0) * generator.standard_normal(singular.shape)
        singular *= _log_uniform(1.0, 30.0, generator) * np.exp(spread)
        return self._factors_near((left * singular[:, None, :]) @ right, generator)

    def _change_of(self, best: Floats, generator: np.random.Generator) -> Floats:
        """A few frequencies lose singular values, or take those of the ridge predictor."""
        blocks = self.predictor_blocks(best)
        left, singular, right = self._singular_vectors(blocks)
        ranks = (singular > NEGLIGIBLE * singular.max()).sum(axis=1)
        for b in generator.integers(len(blocks), size=int(generator.integers(1, 4))):
            rank = int(generator.integers(self.problem.max_rank + 1))
            if rank >= ranks[b]:
                blocks[b] = _log_uniform(1.0, 30.0, generator) * self.mild_ridge[b]
            else:
                blocks[b] = (left[b, :, :rank] * singular[b, :rank]) @ right[b, :rank]
        return self._factors_near(blocks, generator)

    def _singular_vectors(self, blocks: Complexes) -> tuple[Complexes, Floats, Complexes]:
        """As many as the problem's rank; the others are zero."""
        left, singular, right = singular_vectors(blocks, self.network.half.weights == 1)
        singular[:, self.problem.max_rank :] = 0.0
        return left, singular, right

    def _factors_near(self, blocks: Complexes, generator: np.random.Generator) -> Floats:
        """Factors of the blocks cut to the rank, and a little of everything, so that no start is a saddle."""
        left, singular, right = self._singular_vectors(blocks)
        layers = factors(self.network, (left * singular[:, None, :]) @ right)
        x = self.join([self.roots * layer for layer in layers])
        return x + NUDGE * float(np.sqrt(np.vdot(x, x) / len(x))) * self.normal(generator)

    def _random(self, generator: np.random.Generator) -> Floats:
        """Normal weights, of which the predictor has a random multiple of the norm of the ridge predictor."""
        x = self.normal(generator)
        norms = [float(np.linalg.norm(self.roots * blocks)) for blocks in (self.mild_ridge, self.predictor_blocks(x))]
        share = _log_uniform(1.0, 100.0, generator) * norms[0] / norms[1]
        return np.asarray(x * share ** (1.0 / self.network.depth))

    def predictor_blocks(self, x: Floats) -> Complexes:
        """``v̂_f (F, K, C)`` of factors."""
        first, *rest = self.split(x)
        product = self.constants[:, None, None] / self.roots * first
        for layer in rest:
            product = layer @ product
        return product

    def normal(self, generator: np.random.Generator) -> Floats:
        """Independent normal numbers, real where the frequency is its own conjugate."""
        x = generator.standard_normal(2 * int(self.cuts[-1]))
        for layer in self.split(x):
            layer.imag[self.network.half.weights == 1] = 0.0
        return x

    def descend(self, start: Floats, iterations: int) -> Floats:
        """L-BFGS to where the objective stops changing."""
        power = self.problem.quadratic.target_power or 1.0

        def scaled(x: Floats) -> tuple[float, Floats]:
            value, gradient = self.value_and_gradient(x)
            return value / power, gradient / power

        options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": MEMORY, "ftol": 1e-15, "gtol": 1e-10}
        end: Floats = minimize(scaled, start, jac=True, method="L-BFGS-B", options=options).x
        return end

    def polish(self, x: Floats) -> Floats:
        """Newton's method, by MINRES, since the minimum is flat along changes of basis between the layers."""
        value, gradient = self.value_and_gradient(x)
        enough = SMALL_GRADIENT * float(np.sqrt(self.problem.lam * self.problem.quadratic.target_power))
        for _ in range(NEWTON_STEPS):
            if np.linalg.norm(gradient) <= enough:
                break
            step = minres(LinearOperator((len(x), len(x)), matvec=self._curvature_at(x)), -gradient)[0]
            for _ in range(HALVINGS):
                trial, slope = self.value_and_gradient(x + step)
                if np.linalg.norm(slope) < np.linalg.norm(gradient) and trial <= value + 1e-12 * abs(value):
                    break
                step *= 0.5
            else:
                break
            x, value, gradient = x + step, trial, slope
        return x

    def _curvature_at(self, x: Floats) -> Callable[[Floats], Floats]:
        """The Hessian at x, applied by central differences of the gradient."""
        size = 1e-6 * max(float(np.linalg.norm(x)), np.finfo(float).tiny)

        def apply(direction: Floats) -> Floats:
            norm = float(np.linalg.norm(direction))
            if norm == 0.0:
                return np.zeros_like(x)
            step = direction.ravel() * (size / norm)
            change = self.value_and_gradient(x + step)[1] - self.value_and_gradient(x - step)[1]
            return np.asarray(change * (norm / (2.0 * size)))

        return apply

    def weights(self, x: Floats) -> list[Floats]:
        """In pixel space, layer 1 first."""
        return self.network.unpack(pack_layers([layer / self.roots for layer in self.split(x)]))


def _log_uniform(low: float, high: float, generator: np.random.Generator) -> float:
    return float(low * (high / low) ** generator.uniform())
