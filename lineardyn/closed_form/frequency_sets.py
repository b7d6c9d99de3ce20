"""Which frequencies belong to which mode, where no two modes share one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum

if TYPE_CHECKING:
    from lineardyn.modes import Modes

__all__ = ["check_modes", "frequency_owner", "mode_spectra"]

Floats = NDArray[np.float64]

# |q_αf| below this share of the mode's largest is round-off of the SVD, not a frequency of the mode.
NEGLIGIBLE = 1e-10


def check_modes(modes: Any) -> None:
    """Refuse what has not the fields of :class:`lineardyn.Modes`."""
    fields = ("u", "s", "d", "q", "null", "image_shape", "n_outputs")
    missing = [name for name in fields if not hasattr(modes, name)]
    if missing:
        raise ArgumentError(
            f"modes is a {type(modes).__name__} without .{missing[0]}, expected lineardyn.Modes: "
            f"call SecondMoments.from_data(images, targets).modes()"
        )


def mode_spectra(modes: Modes) -> tuple[NDArray[np.complex128], Floats]:
    """Mode spectra q (R, C, F) and ‖q_αf‖ over channels (R, F), on the representatives of :func:`half_spectrum`."""
    _, height, width = modes.image_shape
    half = half_spectrum((height, width))
    q = np.asarray(modes.q, dtype=np.complex128)
    q = q.reshape(*q.shape[:2], height * width).take(half.indices, axis=-1)
    return q, np.sqrt((q.real**2 + q.imag**2).sum(axis=1))


def frequency_owner(modes: Modes, sizes: Floats, remedy: str) -> NDArray[np.int64]:
    """The mode (F,) of each representative frequency, -1 for none; ``sizes`` are the ‖q_αf‖ of :func:`mode_spectra`.

    Raises ArgumentError where two modes that are not null share a frequency.
    """
    _, height, width = modes.image_shape
    active = ~np.asarray(modes.null, dtype=bool)
    present = (sizes > NEGLIGIBLE * sizes.max(axis=1, keepdims=True, initial=0.0)) & active[:, None]
    count = np.count_nonzero(present, axis=0)
    shared = np.flatnonzero(count > 1)
    if len(shared):
        first = int(shared[0])
        a, b = (int(i) for i in np.flatnonzero(present[:, first])[:2])
        position = divmod(int(half_spectrum((height, width)).indices[first]), width)
        tie = abs(modes.s[a] - modes.s[b]) <= 1e-9 * modes.s[a]
        hint = " (their singular values are equal, so that the SVD may mix them: change one amplitude)" if tie else ""
        raise ArgumentError(
            f"modes {a} and {b} share the frequency {position}, expected frequency sets without overlap{hint}: {remedy}"
        )
    return np.where(count > 0, present.argmax(axis=0), -1)
