"""The loss around a state: its slope, its curvature, and what a straight line can gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.flow import _kernels
from lineardyn.flow.arguments import KernelArguments, kernel_arguments
from lineardyn.networks import LinearCNN, LinearNetwork

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments

__all__ = ["Landscape", "scaled", "vectors"]

Floats = NDArray[np.float64]
KRYLOV = 20
"""Directions kept while the lowest curvature is looked for: memory is that many states."""
ROUNDS = 8
CHUNK = 4096
ROUND_OFF = 1e-12
"""A Krylov space ends where what is new is below this share of the largest curvature."""


@dataclass(frozen=True)
class Landscape:
    """The loss of a network on its data, as a polynomial of degree 2L of the weights.

    Directions are vectors ``(n,)`` in coordinates of which the squared length is that of the weights in pixel space:
    packed coordinates times ``root``, and ``inverse`` goes back. Both are 0 for the imaginary parts of self-conjugate
    frequencies, which no network has: along them the packed flow has curvatures of its own. Of a CNN they are those of
    one spectrum: all have the same.
    """

    arguments: KernelArguments
    root: Floats
    inverse: Floats
    depth: int

    @classmethod
    def of(
        cls, network: LinearNetwork, moments: SecondMoments, weight_decay: float, work: Floats | None = None
    ) -> Landscape:
        """The loss with its penalty; states are packed, not padded. ``work``: see ``kernel_arguments``."""
        half = network.half
        if isinstance(network, LinearCNN):
            root = spectra = np.sqrt(np.tile(half.weights, 2))
        else:
            root = np.sqrt(network.state_weights)
            spectra = root[: network.offsets[1]]
        spectra.reshape(-1, 2, half.size)[:, 1, half.weights == 1.0] = 0.0
        with np.errstate(divide="ignore"):
            inverse = np.where(root > 0.0, 1.0 / root, 0.0)
        return cls(kernel_arguments(network, moments, weight_decay, work), root, inverse, network.depth)

    def descent(self, state: Floats, out: Floats | None = None) -> Floats:
        """``-∇ℒ``, whose squared length is the speed at which gradient flow lowers the loss."""
        force = np.empty_like(state) if out is None else out
        _kernels.flow(state, force, *self.arguments)
        return scaled(force, self.root, force)

    def product(self, state: Floats, room: Sequence[Floats] = ()) -> Callable[..., Floats]:
        """``v → ∇²ℒ v``, exact up to round-off: the gradient is a polynomial along a line.

        It writes to ``out`` if given, and works in the first two vectors of ``room``.
        """
        nodes, factors = _derivative_stencil(self.depth)
        scale = 1.0 + max(float(state.max()), -float(state.min()))
        point, slope = vectors(room, 2, state.size)

        def curve(vector: Floats, out: Floats | None = None) -> Floats:
            total = np.empty_like(state) if out is None else out
            total[...] = 0.0
            length = float(np.linalg.norm(scaled(vector, self.inverse, point)))
            if length == 0.0:
                return total
            step = scale / length
            for node, factor in zip(nodes, factors, strict=True):
                np.multiply(scaled(vector, self.inverse, point), node * step, out=point)
                np.add(point, state, out=point)
                _kernels.flow(point, slope, *self.arguments)
                total -= np.multiply(slope, factor, out=slope)
            scaled(total, self.root, total)
            total /= step
            if not _kernels.finite(total):
                raise ArgumentError("weights are so large that the loss overflows, expected smaller ones: rescale them")
            return total

        return curve

    def largest_curvature(self, state: Floats) -> float:
        """Largest eigenvalue of the Hessian."""
        from scipy.sparse.linalg import LinearOperator, eigsh  # not needed to integrate: a tenth of the import

        curve, n = self.product(state), state.size
        if n <= 16:  # too small for Lanczos
            matrix = np.stack([curve(e) for e in np.eye(n)])
            return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])
        operator = LinearOperator((n, n), matvec=curve, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(n)  # ARPACK's own start is random: the answer must reproduce
        return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-8, return_eigenvectors=False)[0])

    def curvatures(self, state: Floats, room: Sequence[Floats] = ()) -> Iterator[Floats]:
        """Ritz values of the Hessian, rising, in a Krylov space of a random start that grows by ``KRYLOV`` at a time.

        They converge to the extreme curvatures. By Lanczos' recurrence alone, which needs three vectors, finds what has
        converged again, but nothing that is not there [Paige 1980]; for directions see :meth:`low_directions`. It works
        in the first five vectors of ``room``.
        """
        before, vector, image = vectors(room[2:], 3, state.size)
        curve, passing = self.product(state, room), vectors(room, 1, state.size)[0]
        np.random.default_rng(0).standard_normal(out=vector)
        vector /= np.linalg.norm(vector)
        diagonal, beside, largest = [], [0.0], 0.0
        for count in range(1, ROUNDS * KRYLOV + 1):
            curve(vector, image)
            largest = max(largest, float(np.linalg.norm(image)))
            diagonal.append(float(vector @ image))
            image -= np.multiply(vector, diagonal[-1], out=passing)
            if count > 1:
                image -= np.multiply(before, beside[-1], out=passing)
            beside.append(float(np.linalg.norm(image)))
            ended = beside[-1] <= ROUND_OFF * largest
            if count % KRYLOV == 0 or ended:
                yield scipy.linalg.eigvalsh_tridiagonal(diagonal, beside[1:-1])
            if ended:
                return
            image /= beside[-1]
            before, vector, image = vector, image, before

    def low_directions(self, state: Floats, start: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Ritz values ``(m,)`` of the Hessian, rising, and vectors ``(m, n)``, in one Krylov space after another.

        Each begins at the lowest vector of the one before, so that they converge to the lowest curvature. There are
        ``ROUNDS``, or one where it holds all directions.
        """
        curve = self.product(state)
        for _ in range(ROUNDS):
            values, vectors = _ritz(curve, start)
            yield values, vectors
            if len(values) == state.size:
                return
            start = vectors[0] + 0.01 * vectors[1:].sum(axis=0)  # the lowest alone would span nothing new
            del vectors  # before the next ones need as much memory

    def newton_direction(self, state: Floats, slope: Floats) -> Floats:
        """``Σ (v·slope)/θ v`` over the Ritz pairs of positive curvature θ in a Krylov space of the slope.

        It leads to what is left to learn in slow directions, which have little share in the slope.
        """
        if not slope.any():
            return slope
        values, vectors = _ritz(self.product(state), slope)
        steep = values > ROUND_OFF * np.abs(values).max()
        direction: Floats = ((vectors[steep] @ slope) / values[steep]) @ vectors[steep]
        return direction

    def gain(self, state: Floats, direction: Floats) -> float:
        """How far the loss can fall along the line through ``state``, both ways: exact, without cancellation."""
        length = float(np.linalg.norm(direction))
        if not 0.0 < length < np.inf:
            return 0.0
        unit = direction / length
        reach, best = 1.0 + self.length(state), 0.0
        for _ in range(6):  # a small start does not say how long the learned weights are
            fall = self._fall(state, unit, reach)
            places = np.roots(np.trim_zeros(fall, "f"))
            places = np.append(places.real[np.abs(places.imag) <= 1e-6 * np.abs(places)], [-1.0, 1.0])
            places = places[np.abs(places) <= 1.0]
            heights = reach * np.polyval(np.polyint(fall), places)
            best = max(best, float(heights.max()))
            if np.abs(places[heights.argmax()]) < 1.0:
                break
            reach *= 8.0
        return best

    def length(self, state: Floats) -> float:
        """That of the weights in pixel space."""
        return float(np.linalg.norm(scaled(state, self.root)))

    def _fall(self, state: Floats, unit: Floats, reach: float) -> Floats:
        """Coefficients, highest first, of ``-dℒ/dx`` at ``state + x·unit`` as a polynomial of ``x/reach``."""
        m = 2 * self.depth
        nodes = np.cos((np.arange(m) + 0.5) * np.pi / m)  # of Chebyshev: the fit is well conditioned
        values = [self.descent(state + scaled((x * reach) * unit, self.inverse)) @ unit for x in nodes]
        coefficients: Floats = np.linalg.solve(np.vander(nodes), np.array(values))
        return coefficients


def scaled(values: Floats, factors: Floats, out: Floats | None = None) -> Floats:
    """A flat state times ``factors``, those of all of it or of each of its spectra; in ``out`` if given."""
    result = np.empty(values.size) if out is None else out
    np.multiply(values.reshape(-1, factors.size), factors, out=result.reshape(-1, factors.size))
    return result


def vectors(room: Sequence[Floats], count: int, size: int) -> list[Floats]:
    """Flat arrays of that size: the first of ``room``, then new ones."""
    return [room[i][:size] if i < len(room) else np.empty(size) for i in range(count)]


def _ritz(curve: Callable[[Floats], Floats], start: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues and vectors of ``curve`` in the Krylov space of ``start``: Lanczos, orthogonal to the last bit."""
    most = min(KRYLOV, start.size)
    span, projected = np.empty((most, start.size)), np.zeros((most, most))
    span[0] = start / np.linalg.norm(start)
    largest, count = 0.0, 0
    while count < most:
        rest = curve(span[count])
        count += 1
        projected[:count, count - 1] = span[:count] @ rest
        largest = max(largest, float(np.linalg.norm(rest)))
        for _ in range(2):
            for vector in span[:count]:
                rest -= (vector @ rest) * vector
        size = float(np.linalg.norm(rest))
        if size <= ROUND_OFF * largest or count == most:
            break
        span[count] = rest / size
    span = span[:count]
    values, turns = np.linalg.eigh(projected[:count, :count], UPLO="U")
    for i in range(0, span.shape[1], CHUNK):  # in place
        span[:, i : i + CHUNK] = turns.T @ span[:, i : i + CHUNK]
    return values, span


def _derivative_stencil(depth: int) -> tuple[Floats, Floats]:
    """Nodes and factors that differentiate polynomials of the gradient's degree, 2L - 1, exactly at 0."""
    nodes = np.concatenate([-np.arange(depth, 0, -1.0), np.arange(1.0, depth + 1)]) / depth
    powers = np.vander(nodes, 2 * depth, increasing=True).T
    return nodes, np.linalg.solve(powers, np.eye(2 * depth)[1])
