"""Power over the radius of the frequency, and its power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from lineardyn.fourier import radius

__all__ = ["PowerLaw", "fit_power_law", "radial_average"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PowerLaw:
    """``power ∝ radius^-exponent`` with the 95 % interval of the exponent; NaN where no law can be fitted."""

    exponent: float
    interval: tuple[float, float]
    line: tuple[Floats, Floats]


def radial_average(power: Floats) -> tuple[Floats, Floats]:
    """Mean of ``power (C, H, W)`` over channels and over rings of width 1 around DC: mean radii, mean powers.

    >>> import numpy as np
    >>> radial_average(np.ones((1, 8, 8)))[1].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    distance = radius(power.shape[1:])
    ring = np.rint(distance).astype(int)
    count = np.bincount(ring.ravel())
    kept = count > 0
    total = np.bincount(ring.ravel(), power.mean(axis=0).ravel())
    middle = np.bincount(ring.ravel(), distance.ravel())
    return middle[kept] / count[kept], total[kept] / count[kept]


def fit_power_law(radii: Floats, power: Floats, largest: float) -> PowerLaw:
    """Least squares of log power on log radius, rings from 1 up to ``largest`` (beyond, rings are cut by the square).

    The interval is the t interval of the slope: it takes the rings as independent and the law as true. A spectrum of
    lines, with rings that hold no power, follows no power law: nothing is fitted, nor to fewer than three rings.
    """
    used = (radii >= 0.9) & (radii <= largest + 0.5)
    if used.sum() < 3 or (power[used] <= 1e-14 * power.max(initial=0.0)).any():
        empty = np.empty(0)
        return PowerLaw(np.nan, (np.nan, np.nan), (empty, empty))
    fit = scipy.stats.linregress(np.log(radii[used]), np.log(power[used]))
    half = float(scipy.stats.t.ppf(0.975, used.sum() - 2) * fit.stderr)
    slope = float(fit.slope)
    ends = np.array([radii[used].min(), radii[used].max()])
    return PowerLaw(-slope, (-slope - half, -slope + half), (ends, np.exp(fit.intercept) * ends**slope))
