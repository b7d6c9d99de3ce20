"""The smallest weights that interpolate, where the modes share no frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form.frequency_sets import check_modes, frequency_owner, mode_spectra
from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum

if TYPE_CHECKING:
    from lineardyn.modes import Modes

__all__ = ["MinimalNorm", "minimal_norm"]


@dataclass(frozen=True)
class MinimalNorm:
    """``value`` is min ‖k‖² + ‖W‖²; ``frequencies`` (R, 2) the (u, v) that carry it, (-1, -1) for null modes."""

    value: float
    frequencies: NDArray[np.int64]


def minimal_norm(modes: Modes) -> MinimalNorm:
    r"""Smallest ``‖k‖² + ‖W‖²`` of a two-layer linear CNN with one hidden channel that interpolates (B = S).

    .. math:: \min \|k\|^2 + \|W\|^2 = \sum_α \frac{2 s_α}{\sqrt P\, d_α \max_f \|q_{αf}\|}

    for disjoint frequency sets; ``‖q_αf‖`` is the norm over the C input
    channels. All the mass of a mode sits on its dominant frequency (and the conjugate); of equally large ones the first
    is given. Gradient flow gets there only as the start shrinks to 0 (see :meth:`ModeClock.winners`).

    Raises
    ------
    ArgumentError
        Where modes share a frequency: the minimum is then a cone program, ``(2/√P) min Σ_f ‖v̂_f‖`` subject to
        interpolation, and can be smaller than this formula.

    Notes
    -----
    Pinson, Lenaerts, Ginis (2023), appendix F, corrected: their condition S.73 holds for every balanced, aligned
    interpolating network and does not single out the minimum. (One line of proof:
    ``s_α/d_α = ‖Σ_f v̂_f q_αf‖ <= max_f‖q_αf‖ Σ_f‖v̂_f‖`` and a rank-one ``v̂_f`` costs ``2‖v̂_f‖/√P``.)

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn.moments import SecondMoments
    >>> image = np.array([[[[0.8 + 0.6, 0.8 - 0.6]]]]) / np.sqrt(2)  # spectrum (0.8, 0.6)
    >>> smallest = minimal_norm(SecondMoments.from_data(image, np.ones((1, 1))).modes())
    >>> round(smallest.value, 6), smallest.frequencies.tolist()
    (1.767767, [[0, 0]])
    """
    check_modes(modes)
    _, height, width = modes.image_shape
    _, sizes = mode_spectra(modes)
    frequency_owner(
        modes,
        sizes,
        "with shared frequencies the minimum is a cone program, which is not in this release",
    )
    learned = ~np.asarray(modes.null, dtype=bool)
    largest = sizes.max(axis=1)
    if (np.asarray(modes.d)[learned] <= 0).any():
        raise ArgumentError("modes.d holds a value <= 0 for a mode that is not null, expected v_αᵀ Σ^xx v_α > 0")
    cost = 2.0 * modes.s[learned] / (np.sqrt(height * width) * modes.d[learned] * largest[learned])
    first = (sizes >= (1.0 - 1e-12) * largest[:, None]).argmax(axis=1)
    positions = np.stack(np.divmod(half_spectrum((height, width)).indices[first], width), axis=-1)
    return MinimalNorm(float(cost.sum()), np.where(learned[:, None], positions, -1).astype(np.int64))
