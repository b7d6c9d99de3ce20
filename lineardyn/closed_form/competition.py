"""Which frequency of a mode wins, and by how much, as the start shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.arguments import check_magnitudes
from lineardyn.closed_form.chains import REMEDY
from lineardyn.closed_form.frequency_sets import NEGLIGIBLE, check_modes, frequency_owner, mode_spectra
from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum
from lineardyn.validation import check_count

if TYPE_CHECKING:
    from lineardyn.modes import Modes

__all__ = ["winner_exponents"]

Floats = NDArray[np.float64]

_TIE = 1e-10  # relative: strengths closer than this are equal


def winner_exponents(modes: Modes, *, depth: int = 2, start: ArrayLike | None = None) -> Floats:
    r"""Exponents e of ``|κ_f|/|κ_winner| ∝ σ^e`` at the end of learning, as the scale σ of the start goes to 0.

    Balanced, aligned start ``|κ_f(0)| = σ r_f`` with fixed r_f, modes without common frequency. The frequency of
    largest *strength* wins its mode, 0 is its exponent, and that of those that tie with it:

    ======  ====================  ==========================
    L       strength              exponent of the others
    ======  ====================  ==========================
    1       ‖q_αf‖                0: all share, as ‖q_αf‖
    2       ‖q_αf‖                ``1 - ‖q_αf‖/max_g ‖q_αg‖``
    >= 3    ``r_f^{L-2} ‖q_αf‖``  1
    ======  ====================  ==========================

    A frequency outside the mode stays at its start: exponent 1 at any depth.

    Parameters
    ----------
    modes : Modes
    depth : int
        L.
    start : array_like (H, W), optional
        r_f, > 0 on the frequencies of the modes; complex values by magnitude. All equal if left out. It matters only
        with three layers and more: deep networks remember where they started however small that was.

    Returns
    -------
    ndarray (R, H, W)
        0..1; rows of null modes are 1.

    Raises
    ------
    ArgumentError
        If two modes share a frequency, or start does not fit.

    Notes
    -----
    Two layers: ``ln(|κ_f|/|κ_f(0)|)/‖q_αf‖`` is one number for all f of a mode, at every time. Three and more:
    ``κ_f^{2-L}`` falls linearly at the rate ``(L-2) c_f``, the winner's reaches 0 and the others stay in proportion to
    σ. Depth two is theory 2.2 (the dominant-frequency bias of Pinson et al. as a power law); the other depths are new
    here.

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn.moments import SecondMoments
    >>> image = np.array([[[[0.8 + 0.6, 0.8 - 0.6]]]]) / np.sqrt(2)  # spectrum (0.8, 0.6)
    >>> modes = SecondMoments.from_data(image, np.ones((1, 1))).modes()
    >>> winner_exponents(modes).round(6).tolist(), winner_exponents(modes, depth=3).tolist()
    ([[[0.0, 0.25]]], [[[0.0, 1.0]]])
    >>> winner_exponents(modes, depth=3, start=[[1.0, 2.0]]).tolist()  # 2 x 0.6 > 1 x 0.8
    [[[1.0, 0.0]]]
    """
    check_modes(modes)
    layers = check_count("depth", depth)
    _, height, width = modes.image_shape
    frequency_owner(modes, mode_spectra(modes)[1], REMEDY)
    sizes = np.linalg.norm(modes.q, axis=1)
    largest = sizes.max(axis=(1, 2), keepdims=True)
    inside = (sizes > NEGLIGIBLE * largest) & ~np.asarray(modes.null, dtype=bool)[:, None, None]
    share = np.where(inside, sizes / largest, 0.0)
    relative = _relative_start(start, (height, width), inside)
    if layers == 1:
        return np.where(inside, 0.0, 1.0)
    if layers == 2:
        return np.where(share > 1.0 - _TIE, 0.0, 1.0 - share)
    strength = share * relative ** (layers - 2)
    wins = inside & (strength >= (1.0 - _TIE) * strength.max(axis=(1, 2), keepdims=True))
    return np.where(wins, 0.0, 1.0)


def _relative_start(start: ArrayLike | None, shape: tuple[int, int], inside: NDArray[np.bool_]) -> Floats:
    if start is None:
        return np.ones(shape)
    relative = check_magnitudes("start", start)
    if relative.shape != shape:
        raise ArgumentError(f"start has shape {relative.shape}, expected {shape}: |κ_f(0)| at every frequency")
    half = half_spectrum(shape).indices
    needed = inside.any(axis=0).ravel()[half]
    if (relative.ravel()[half][needed] == 0.0).any():
        raise ArgumentError("start holds 0 at a frequency of a mode, expected numbers > 0: what is 0 never competes")
    return relative
