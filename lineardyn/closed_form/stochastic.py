r"""One-sample SGD without simulation: a pure cosine's value is a function of a Binomial(n, 1/K) count.

Its mean and its quantiles after n steps are sums over that count. The counts within

.. math:: r = \ln(2/ε)/3 + \sqrt{\ln(2/ε)^2/9 + 2 \ln(2/ε)\, n p (1 - p)}

of the mean np have all but ε = 1e-16 of the probability (Bernstein's inequality): no others are summed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.arguments import check_integers
from lineardyn.closed_form.discrete import sgd_recursion
from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_count

__all__ = ["sgd_mean", "sgd_quantiles"]

Floats = NDArray[np.float64]

_LOG_TAIL = float(np.log(2.0 / 1e-16))


def sgd_mean(
    n_steps: ArrayLike,
    *,
    s: float,
    b0: float,
    n_pixels: int,
    multiplicity: int,
    n_classes: int,
    learning_rate: float,
    depth: int = 2,
    d: float | None = None,
) -> Any:
    r"""Mean over all runs of a pure cosine's effective singular value after ``n_steps`` steps of one-sample SGD.

    .. math:: \langle b_n \rangle = \sum_k \binom nk p^k (1 - p)^{n-k}\, b(k), \qquad p = 1/K,

    b(k) the value of :func:`lineardyn.sgd_recursion` after k draws of the class, whose parameters, conditions and
    errors are those here.

    Parameters
    ----------
    n_steps : array_like of int
        Numbers of steps >= 0, of any shape.

    Returns
    -------
    float or ndarray
        Of the shape of ``n_steps``. The neglected counts have a probability below 1e-16, so that the error is below
        1e-16 of the largest b(k) beside round-off; inf where a count of that range diverges.

    Notes
    -----
    New here. While b is small its mean grows by ``1 + p((1 + ηKas)^2 - 1)`` a step, faster than the run of average
    count: early runs with lucky draws lead. The fully connected network is ``n_pixels=1, multiplicity=1``.

    Examples
    --------
    >>> mode = {"s": 0.5, "b0": 0.1, "n_pixels": 4, "multiplicity": 1, "n_classes": 2, "learning_rate": 0.1}
    >>> sgd_mean([0, 1, 100], **mode).round(6)
    array([0.1    , 0.11728, 0.5    ])
    """
    values = _Values(
        n_steps, s=s, b0=b0, n_pixels=n_pixels, multiplicity=multiplicity, n_classes=n_classes,
        learning_rate=learning_rate, depth=depth, d=d,
    )  # fmt: skip
    means = np.array([(p * b).sum() for p, b in map(values.after, values.steps.ravel())]).reshape(values.steps.shape)
    return float(means) if means.ndim == 0 else means


def sgd_quantiles(
    n_steps: ArrayLike,
    levels: ArrayLike,
    *,
    s: float,
    b0: float,
    n_pixels: int,
    multiplicity: int,
    n_classes: int,
    learning_rate: float,
    depth: int = 2,
    d: float | None = None,
) -> Any:
    r"""Quantiles over all runs of a pure cosine's effective singular value under one-sample SGD.

    The smallest value b with ``P(b_n <= b) >= level``, exact although b may pass s and return, so that it need not
    increase with the number of draws. Parameters and conditions as in :func:`sgd_mean`.

    Parameters
    ----------
    n_steps : array_like of int
        Numbers of steps >= 0, of any shape.
    levels : array_like
        Between 0 and 1, both excluded, of any shape: ``[0.05, 0.5, 0.95]`` is a median and a band of 90%.

    Returns
    -------
    float or ndarray
        Of shape ``levels.shape + n_steps.shape``. A level within 1e-14 of a step of the distribution may fall on
        either side of it.

    Examples
    --------
    >>> mode = {"s": 0.5, "b0": 0.1, "n_pixels": 4, "multiplicity": 1, "n_classes": 2, "learning_rate": 0.1}
    >>> sgd_quantiles([0, 4, 16], [0.1, 0.9], **mode).round(3)
    array([[0.1  , 0.135, 0.329],
           [0.1  , 0.225, 0.486]])
    """
    wanted = check_array("levels", levels).reshape(np.shape(levels))
    bad = (wanted <= 0.0) | (wanted >= 1.0)
    if bad.any():
        raise ArgumentError(f"levels holds {wanted[bad].flat[0]:g}, expected numbers between 0 and 1, both excluded")
    values = _Values(
        n_steps, s=s, b0=b0, n_pixels=n_pixels, multiplicity=multiplicity, n_classes=n_classes,
        learning_rate=learning_rate, depth=depth, d=d,
    )  # fmt: skip
    columns = [_quantiles(*values.after(n), wanted.ravel()) for n in values.steps.ravel()]
    table = np.array(columns).reshape(-1, wanted.size).T.reshape(wanted.shape + values.steps.shape)
    return float(table) if table.ndim == 0 else table


class _Values:
    """The values b(k) of every count that may matter, and their probabilities after n steps."""

    def __init__(self, n_steps: ArrayLike, *, n_classes: int, **mode: Any) -> None:
        self.steps = check_integers("n_steps", n_steps, minimum=0)
        self.share = 1.0 / check_count("n_classes", n_classes)
        most = self.counts(int(self.steps.max(initial=0)))[-1]
        self.path: Floats = sgd_recursion(np.arange(most + 1), n_classes=n_classes, **mode)

    def counts(self, n: int) -> NDArray[np.int64]:
        """Counts of all but 1e-16 of the probability after n steps."""
        reach = _LOG_TAIL / 3.0
        reach += float(np.sqrt(reach**2 + 2.0 * _LOG_TAIL * n * self.share * (1.0 - self.share)))
        low, high = np.floor(n * self.share - reach), np.ceil(n * self.share + reach)
        return np.arange(max(0, int(low)), min(n, int(high)) + 1)

    def after(self, n: Any) -> tuple[Floats, Floats]:
        """Probabilities, which sum to 1, and values."""
        counts = self.counts(int(n))
        return _binomial(counts, int(n), self.share), self.path[counts]


def _binomial(counts: NDArray[np.int64], n: int, share: float) -> Floats:
    """Binomial probabilities by their ratios, outward from the largest, and normalised: no factorial is taken."""
    if share == 1.0:
        return np.asarray(counts == n, dtype=np.float64)
    ratios = (n - counts[:-1]) / (counts[1:]) * (share / (1.0 - share))  # p(k+1) / p(k)
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _quantiles(probabilities: Floats, values: Floats, levels: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(probabilities[order])
    place = np.searchsorted(reached, levels * reached[-1] * (1.0 - 1e-15))
    found: Floats = values[order][np.minimum(place, len(order) - 1)]
    return found
