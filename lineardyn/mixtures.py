"""The statistics of two data sets together."""

from __future__ import annotations

import numpy as np

from lineardyn.errors import ArgumentError
from lineardyn.modes import Modes
from lineardyn.moments import COHERENT, SecondMoments, Statistics, is_coherent, modes_form

__all__ = ["mix", "remake_modes"]


def mix(one: Statistics, two: Statistics, a: float, b: float) -> Statistics:
    """Of both data sets together, of shares a and b of the images."""
    if one.dense:
        return one._replace(target=a * one.target + b * two.target, matrix=a * one.matrix + b * two.matrix)
    return one._replace(
        rows=np.concatenate([one.rows, two.rows]),
        target=np.concatenate([a * one.target, b * two.target], axis=1),
        gain=np.concatenate([a * one.gain, b * two.gain]),
    )


def remake_modes(mixed: SecondMoments, *parts: SecondMoments) -> SecondMoments:
    """The modes form of a mixture whose Σ^xx is, for now, a sum over the rows of both parts."""
    modes = mixed.modes()
    if not _is_diagonal(mixed, modes):
        lossy = next((p for p in parts if p.coherence() < 1 - COHERENT), None)
        reason = "one of them is a diagonal approximation" if lossy else "their sum is not diagonal in its own modes"
        raise ArgumentError(
            f"other cannot be added in the modes form: {reason}, expected coherent classes in the sum; "
            f"make both with form='dense' or 'samples', or take form='modes' of all the data at once"
        )
    return modes_form(modes, mixed)


def _is_diagonal(moments: SecondMoments, modes: Modes) -> bool:
    """Whether V D Vᵀ holds the Σ^xx of these moments."""
    v = moments.pack(modes.v)
    image = moments.apply(v * moments.weights)
    return is_coherent(modes, v, image, moments.weights, moments.image_power)
