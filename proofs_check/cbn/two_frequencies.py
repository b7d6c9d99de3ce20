r"""Finite samples factor through two frequencies: why a rank must be tested on a set with an interior.

Let a finite set be closed under shifts, with no symmetric point (``x = T_p x`` with ``p ≠ 0``). Then every equivariant
f on it is ``h∘g`` with ``g(T_t x_k) = r_k cos(2π(i - t)/n)``, ``r_k > 0`` different for each orbit: one channel, the
frequencies ±1 alone. Both maps are equivariant and continuous piecewise linear: ``g(x)[p] = φ(⟨u, T_{-p}x⟩)``, with u
generic and φ the interpolant of the values wanted, and ``h(y)[p] = ψ(⟨u', T_{-p}y⟩)`` likewise. So the bottleneck
rank of a finite sample is at most 2 without pooling (1 if n = 2) [theory, section 4; Wen & Jacot, reconstructed: the
paper's own formulas were not available].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import Rng, as_generator, check_array, check_count
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.spectrum import filters_of_blocks

__all__ = ["Interpolant", "TwoFrequencyFactorization", "two_frequency_factorization"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SAME = 1e-9
"""Images closer than this share of the largest are one: no interpolant in float64 could tell them apart."""

_APART = 64 * float(np.finfo(np.float64).eps)
"""Knots closer than this share of the points' norms are within the round-off of the projections."""


@dataclass(frozen=True)
class Interpolant:
    """``x ↦ (φ(⟨u, T_{-p}x⟩))_p``: equivariant, continuous, piecewise linear with ``len(knots)`` kinks.

    ``direction`` u ``(C, n)``; ``knots (J,)`` increasing; ``values (J, C_out)`` of φ there, constant outside.
    """

    direction: Floats
    knots: Floats
    values: Floats

    def __call__(self, x: ArrayLike) -> Floats:
        """``(..., C, n)`` to ``(..., C_out, n)``."""
        images = check_array("x", x)
        if images.shape[-2:] != self.direction.shape:
            raise ArgumentError(
                f"x has shape {images.shape}, expected (..., {', '.join(map(str, self.direction.shape))})"
            )
        v = _projections(self.direction, images)
        channels = [np.interp(v, self.knots, column) for column in self.values.T]
        return np.stack(channels, axis=-2)

    def as_network(self, pooling: ArrayLike | None = None) -> CyclicCNN:
        """The same map as two layers of ReLU, one hidden channel for each kink: ``φ = φ_1 + Σ_j Δslope_j σ(v - v_j)``.

        It loses digits where knots are close: the slopes are large and cancel.
        """
        count, n = len(self.knots), self.direction.shape[1]
        w = self.direction[:, -np.arange(n) % n].T  # the correlation with u is the convolution with its reflection
        slopes = np.diff(self.values, axis=0) / np.diff(self.knots)[:, None]
        zero = np.zeros((1, self.values.shape[1]))
        jumps = np.diff(slopes, axis=0, prepend=zero, append=zero)
        first = CyclicCNN([np.repeat(w[None], count, axis=0)], pooling=pooling)
        blocks = jumps.T[None] / first.pooling[:, None, None]
        second = filters_of_blocks(np.asarray(blocks, dtype=np.complex128))
        return CyclicCNN([first.weights[0], second], [-self.knots, self.values[0]], pooling=pooling)


@dataclass(frozen=True)
class TwoFrequencyFactorization:
    """``f = h∘g`` on a finite set, through the frequencies ±1 of one channel.

    Attributes
    ----------
    inner, outer
        g and h, as callables on ``(..., C, n)``.
    orbit, shift
        Of each sample: its orbit k and its shift t.
    radii
        ``r_k``, one for each orbit.
    residual
        Largest ``|h(g(x)) - f(x)|`` over all shifts of the samples, relative to the largest ``|f|``.
    """

    inner: Interpolant
    outer: Interpolant
    orbit: Integers
    shift: Integers
    radii: Floats
    residual: float

    def __call__(self, x: ArrayLike) -> Floats:
        """``h(g(x))``."""
        return self.outer(self.inner(x))

    def as_networks(self, pooling: ArrayLike | None = None) -> tuple[CyclicCNN, CyclicCNN]:
        """g and h as networks of two layers each; g is projected on ±1, which changes nothing on the samples.

        Handed to :func:`build_bottleneck` they are one network of any depth with ``k_ω = 1`` at ω = ±1 alone.
        """
        g, h = self.inner.as_network(pooling), self.outer.as_network(pooling)
        blocks = np.zeros_like(g.operator_blocks()[1])
        blocks[[1, -1]] = g.operator_blocks()[1][[1, -1]]
        last = filters_of_blocks(blocks)
        return CyclicCNN([g.weights[0], last], [g.biases[0], np.zeros(1)], pooling=pooling), h


def two_frequency_factorization(
    samples: ArrayLike, targets: ArrayLike | None = None, *, rng: Rng = 0, n_directions: int = 64
) -> TwoFrequencyFactorization:
    """g and h with ``f = h∘g`` on the samples and all their shifts, g through frequencies ±1 alone.

    Parameters
    ----------
    samples : array_like
        ``(N, C, n)``, n ≥ 2; shifts of them are added, repetitions count once.
    targets : array_like, optional
        ``f(samples)``, ``(N, C_out, n)``; by default the samples themselves: h undoes g, and any f is ``(f∘h)∘g``.
    rng : int or Generator
        Draws the directions u.
    n_directions : int
        Of so many, the one that tells the points apart best is taken.

    Raises
    ------
    ArgumentError
        For a symmetric point, targets that are not equivariant, or points that no direction tells apart.

    Notes
    -----
    Source: theory, section 4. One-dimensional grids.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((4, 1, 6))
    >>> factors = two_frequency_factorization(x, x**3)
    >>> spectrum = np.abs(np.fft.fft(factors.inner(x), axis=-1)).max(axis=(0, 1))
    >>> np.flatnonzero(spectrum > 1e-9).tolist(), factors.residual < 1e-9
    ([1, 5], True)
    """
    x = check_array("samples", samples, shape=(None, None, None), why="(N, C, n)")
    if 0 in x.shape or x.shape[-1] < 2:
        raise ArgumentError(f"samples has shape {x.shape}, expected (N, C, n) with n ≥ 2: frequency 1 must not be 0")
    why = "f(samples), one image for each"
    y = x if targets is None else check_array("targets", targets, shape=(len(x), None, x.shape[-1]), why=why)
    if 0 in y.shape:
        raise ArgumentError(f"targets has shape {y.shape}, expected at least one channel")
    generator, count = as_generator(rng), check_count("n_directions", n_directions)
    _check_symmetry(x)
    orbit, shift, first = _orbits(x)
    _check_equivariant(y, orbit, shift, first)
    n, radii = x.shape[-1], 1.0 + np.arange(len(first)) / len(first)
    codes = radii[:, None, None] * np.cos(2 * np.pi * np.arange(n) / n)
    inner = _interpolant(x[first], codes, generator, count)
    outer = _interpolant(codes, y[first], generator, count)
    error = np.abs(outer(inner(_shifts(x[first]))) - _shifts(y[first])).max()
    scale = float(np.abs(y).max())
    return TwoFrequencyFactorization(inner, outer, orbit, shift, radii, float(error / scale) if scale else float(error))


def _shifts(x: Floats) -> Floats:
    """``(K, C, n)`` to ``(K, n, C, n)``: ``[k, t] = T_t x_k``."""
    return np.stack([np.roll(x, t, axis=-1) for t in range(x.shape[-1])], axis=1)


def _projections(u: Floats, x: Floats) -> Floats:
    """``⟨u, T_{-p}x⟩``, ``(..., n)``."""
    n = u.shape[1]
    shifted = u[:, (np.arange(n)[None, :] - np.arange(n)[:, None]) % n]  # [c, p, i] = (T_p u)[c, i]
    return np.asarray(np.tensordot(x, shifted, axes=([-2, -1], [0, 2])))


def _interpolant(points: Floats, values: Floats, rng: np.random.Generator, count: int) -> Interpolant:
    """``φ(⟨u, T_{-p}x_k⟩) = values[k, :, p]``, with the direction of the largest smallest gap."""
    directions = rng.standard_normal((count, *points.shape[1:]))
    shifted = _shifts(points).reshape(-1, points[0].size)  # all T_t x_k, of the same norm for all t
    sizes = np.sqrt((shifted**2).sum(axis=1))  # round-off is a share of these
    v = directions.reshape(count, -1) @ shifted.T
    order = np.argsort(v, axis=1)
    larger = np.maximum(sizes[order][:, 1:], sizes[order][:, :-1])
    gaps = (np.diff(np.take_along_axis(v, order, axis=1), axis=1) / larger).min(axis=1)
    best, widest = directions[int(np.argmax(gaps))], float(gaps.max())
    if widest <= _APART:
        raise ArgumentError(
            f"samples has {points.shape[0]} orbits that no direction out of {count} tells apart in float64, expected "
            f"points further apart: take fewer samples or raise n_directions"
        )
    knots = _projections(best, points).ravel()
    places = np.argsort(knots)
    return Interpolant(best, knots[places], values.transpose(0, 2, 1).reshape(knots.size, -1)[places])


def _check_symmetry(x: Floats) -> None:
    shifts = _shifts(x)[:, 1:]
    distance = np.abs(shifts - x[:, None]).max(axis=(2, 3))
    symmetric = distance <= _SAME * np.abs(x).max(axis=(1, 2))[:, None]
    if symmetric.any():
        k, p = (int(i) for i in np.argwhere(symmetric)[0])
        raise ArgumentError(
            f"samples[{k}] equals its shift by {p + 1}, expected points without symmetry: an equivariant map keeps "
            f"the symmetry, the cosine that codes the shift has none; remove such points"
        )


def _orbits(x: Floats) -> tuple[Integers, Integers, Integers]:
    """Orbit and shift of each sample, ``x_i = T_t x_first[k]``, and the first sample of each orbit."""
    orbit, shift, first = np.zeros(len(x), dtype=np.int64), np.zeros(len(x), dtype=np.int64), [0]
    scale = np.abs(x).max(axis=(1, 2))
    shifts = _shifts(x)
    for i in range(1, len(x)):
        distance = np.abs(shifts[first] - x[i]).max(axis=(2, 3))
        same = np.argwhere(distance <= _SAME * scale[i])
        if len(same):
            orbit[i], shift[i] = same[0]
        else:
            orbit[i] = len(first)
            first.append(i)
    return orbit, shift, np.array(first)


def _check_equivariant(y: Floats, orbit: Integers, shift: Integers, first: Integers) -> None:
    wanted = _shifts(y[first])[orbit, shift]
    distance = np.abs(wanted - y).max(axis=(1, 2))
    if (distance > _SAME * np.abs(y).max()).any():
        i = int(np.argmax(distance))
        raise ArgumentError(
            f"targets[{i}] is not the target of samples[{first[orbit[i]]}] shifted by {shift[i]} as the sample is, "
            f"expected f(T x) = T f(x)"
        )
