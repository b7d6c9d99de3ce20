"""Recognising the end of learning, so that an enormous horizon does not take enormous work."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.flow.landscape import Landscape

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork

__all__ = ["rest_of"]

Floats = NDArray[np.float64]
NOISE = 32 * float(np.finfo(np.float64).eps)
"""A gradient below this share of ``λ_max ‖w‖`` is the round-off of its own terms."""
NEAR = 1e-8
"""The same from which a few steps of descent may get there: what is above it is still learning."""
GROWTH = 1e-9
"""Negative curvature above this share of λ_max is a direction that still grows (a saddle is left slowly)."""
SMOOTHING = 300


class _Rest:
    """``state → the state at rest``, or None where it still moves.

    At rest: ‖∇ℒ‖ is round-off, after steps of descent that take away what the integrator's own round-off left in the
    fast directions, and no direction of negative curvature is found.
    """

    def __init__(self, network: LinearNetwork, moments: SecondMoments, weight_decay: float) -> None:
        self._parts = (network, moments, weight_decay)

    @cached_property
    def landscape(self) -> Landscape:
        return Landscape.of(*self._parts)

    def __call__(self, state: Floats) -> Floats | None:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._at_rest(state)

    def _at_rest(self, state: Floats) -> Floats | None:
        root = self.landscape.root
        force = self.landscape.descent(state)
        if not force.any():
            return state
        size, speed, largest = float(np.linalg.norm(root * state)), float(np.linalg.norm(force)), 0.0
        try:
            first = np.random.default_rng(0).standard_normal(state.size)
            for values, vectors in self.landscape.low_directions(state, first):
                del vectors  # curvature is all that counts here
                largest = max(largest, float(np.abs(values).max()))
                if not speed <= NEAR * largest * size or values[0] < -GROWTH * largest:
                    return None
        except ArgumentError:  # the loss overflows
            return None
        return self._descend(state, force, 1.0 / largest, NOISE * largest * size)

    def _descend(self, state: Floats, force: Floats, rate: float, noise: float) -> Floats | None:
        for _ in range(SMOOTHING):
            if float(np.linalg.norm(force)) <= noise:
                return state
            state = state + rate * force * self.landscape.inverse
            force = self.landscape.descent(state)
        return None


def rest_of(network: LinearNetwork, moments: SecondMoments, weight_decay: float) -> Callable[[Floats], Floats | None]:
    """What tells a state at rest of this flow; it costs nothing before it is called."""
    return _Rest(network, moments, weight_decay)
