"""Recognising the end of learning, so that an enormous horizon does not take enormous work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.flow.landscape import ROUNDS, Landscape, scaled, vectors

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
    fast directions, and no direction of negative curvature is found there.
    """

    def __init__(
        self, network: LinearNetwork, moments: SecondMoments, weight_decay: float, work: Floats | None
    ) -> None:
        self._parts = (network, moments, weight_decay, work)

    @cached_property
    def landscape(self) -> Landscape:
        return Landscape.of(*self._parts)

    def __call__(self, state: Floats, room: Sequence[Floats] = ()) -> Floats | None:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._at_rest(state, room)

    def _at_rest(self, state: Floats, room: Sequence[Floats]) -> Floats | None:
        room = vectors(room, 6, state.size)
        passing = room[0]
        size = float(np.linalg.norm(scaled(state, self.landscape.root, passing)))
        speed = float(np.linalg.norm(self.landscape.descent(state, passing)))
        if not passing.any():
            return state
        try:
            largest = self._largest_curvature(state, 1, room)
            if not (largest > 0.0 and speed <= NEAR * largest * size):
                return None
            end = self._descend(state, 1.0 / largest, NOISE * largest * size, room[:2])
            # only there: while something is left to learn, it bends the loss along what it does not concern, both ways
            return None if end is None or not self._largest_curvature(end, ROUNDS, room[1:]) else end
        except ArgumentError:  # the loss overflows
            return None

    def _largest_curvature(self, state: Floats, rounds: int, room: Sequence[Floats]) -> float:
        """In size, as far as that many rounds find it; 0 where one is found that is negative."""
        largest = 0.0
        for values in islice(self.landscape.curvatures(state, room), rounds):
            largest = max(largest, float(np.abs(values).max()))
            if values[0] < -GROWTH * largest:
                return 0.0
        return largest

    def _descend(self, state: Floats, rate: float, noise: float, room: Sequence[Floats]) -> Floats | None:
        """A place, and the force there, which then becomes the next place; the last one is in the first of ``room``."""
        end, force, other = room[0], *room
        for _ in range(SMOOTHING):
            if float(np.linalg.norm(self.landscape.descent(state, force))) <= noise:
                np.copyto(end, state)
                return end
            force *= rate
            scaled(force, self.landscape.inverse, force)
            force += state
            state, force, other = force, other, force
        return None


def rest_of(
    network: LinearNetwork, moments: SecondMoments, weight_decay: float, work: Floats | None = None
) -> Callable[..., Floats | None]:
    """What tells a state at rest of this flow; it costs nothing before it is called.

    It is given a state and vectors to work in; new ones take the place of those that lack. The state at rest is in one
    of them, or the one given. ``work``: see ``kernel_arguments``.
    """
    return _Rest(network, moments, weight_decay, work)
