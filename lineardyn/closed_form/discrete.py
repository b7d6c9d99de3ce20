r"""Exact discrete time: gradient descent and one-sample SGD, step by step, without a network.

They hold from a balanced, aligned start at any learning rate, large ones too: no limit to gradient flow is taken.
A learning rate beyond :func:`stable_learning_rate` gives oscillation, chaos or ``inf``, as the network would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.arguments import check_integers, check_magnitudes
from lineardyn.closed_form.deep import check_depth, mode_rate
from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count, check_number

__all__ = ["clock_recursion", "cosine_recursion", "sgd_recursion", "stable_learning_rate"]

Floats = NDArray[np.float64]


def cosine_recursion(
    n_steps: int,
    *,
    s: float,
    b0: float,
    n_pixels: int,
    multiplicity: int,
    learning_rate: float,
    depth: int = 2,
    d: float | None = None,
) -> Floats:
    r"""Effective singular value of a pure cosine under full-batch gradient descent, ``(n_steps + 1,)``.

    .. math:: b \leftarrow b\,\bigl(1 + (\eta\sqrt P/\sqrt m)(s - b)\bigr)^2

    with two layers; with L of them, for ``κ = b^{1/L}`` and ``a = (P/m)^{1-1/L} d^{2/L-1}``,

    .. math:: κ \leftarrow κ + η\,a\,κ^{L-1}(s - κ^L)

    (for odd L a step too long may make κ, and b, negative). Parameters as in :func:`lineardyn.sigmoid`, scalars, and
    the learning rate η > 0. Where the fixed point s is stable: :func:`stable_learning_rate`. The fully connected
    network is ``n_pixels=1, multiplicity=1``. Raises ArgumentError for what :func:`lineardyn.sigmoid` refuses and for
    ``n_steps < 0``. The exact form of Pinson, Lenaerts, Ginis (2023), eq 22, at finite learning rate.

    >>> cosine_recursion(2, s=1.0, b0=0.25, n_pixels=4, multiplicity=1, learning_rate=0.25).round(6).tolist()
    [0.25, 0.472656, 0.754769]
    """
    steps = check_count("n_steps", n_steps, minimum=0)
    layers, speed = _cosine_rate(n_pixels, multiplicity, depth, d)
    rate = speed * check_number("learning_rate", learning_rate, minimum=0.0, strict=True)
    goal = check_number("s", s, minimum=0.0, strict=True)
    b = check_number("b0", b0, minimum=0.0)
    path = np.empty(steps + 1)
    path[0] = b
    if layers == 2:
        for i in range(steps):
            factor = 1.0 + rate * (goal - b)
            b *= factor * factor  # python floats: beyond the largest it is inf, and stays so
            path[i + 1] = b
        return path
    kappa = np.float64(b ** (1.0 / layers))
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(steps):
            kappa += rate * kappa ** (layers - 1) * (goal - kappa**layers)
            path[i + 1] = kappa**layers
    return np.where(np.isnan(path), np.inf, path)  # inf - inf after divergence


def sgd_recursion(
    counts: ArrayLike,
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
    r"""Effective singular value of a pure cosine after ``counts`` draws of its class, under one-sample SGD.

    .. math:: b \leftarrow b\,\bigl(1 + (\eta K\sqrt P/\sqrt m)(s - b)\bigr)^2 \quad\text{when the class is drawn}

    and no change when another is: the value after n steps depends on the run only through the count, which is
    Binomial(n, 1/K) (:func:`sgd_mean`, :func:`sgd_quantiles`). Modes are the classes, one sample a step, drawn
    uniformly with replacement; s, b0 and d are the values of the full data. Other depths step as in
    :func:`cosine_recursion`, at K times the learning rate.

    ``counts``: integers >= 0 of any shape; returns a float or an array of that shape. Errors as
    :func:`cosine_recursion`.

    >>> draws = sgd_recursion([0, 1], s=0.5, b0=0.1, n_pixels=4, multiplicity=1, n_classes=2, learning_rate=0.1)
    >>> draws.round(6).tolist()
    [0.1, 0.13456]
    """
    drawn = check_integers("counts", counts, minimum=0)
    rate = check_number("learning_rate", learning_rate, minimum=0.0, strict=True)
    path = cosine_recursion(
        int(drawn.max(initial=0)),
        s=s,
        b0=b0,
        n_pixels=n_pixels,
        multiplicity=multiplicity,
        learning_rate=rate * check_count("n_classes", n_classes),
        depth=depth,
        d=d,
    )
    result = path[drawn]
    return float(result) if drawn.ndim == 0 else result


def clock_recursion(
    n_steps: int,
    *,
    s: float,
    d: float,
    q: ArrayLike,
    kappa0: ArrayLike,
    n_pixels: int,
    learning_rate: float,
    n_classes: int = 1,
    depth: int = 2,
) -> Floats:
    r"""Kernel magnitudes ``|κ_f|`` of one mode, a sum of cosines, under gradient descent: ``(n_steps + 1, F)``.

    .. math:: κ_f \leftarrow κ_f + \eta c_f κ_f^{L-1} (s - b), \qquad
              b = d \sum_g c_g κ_g^L, \quad c_f = P^{(L-1)/2} |q_f|

    Parameters
    ----------
    s, d : float
        Singular value and ``vᵀΣ^xx v`` of the mode, > 0.
    q, kappa0 : array_like (F,)
        ``|q_f|`` (norm over channels; complex values are taken by magnitude) and ``|κ_f(0)|``, on *every* frequency of
        the mode, conjugates included.
    n_pixels, learning_rate : int, float
        P and η > 0.
    n_classes : int
        1 for full batch; K to count draws of the mode's class under one-sample SGD (modes = classes).
    depth : int
        L. The fully connected network is ``q=[1.0], n_pixels=1``.

    Notes
    -----
    The step of Pinson, Lenaerts, Ginis (2023), eq 23-24, at any depth; from a balanced, aligned start.

    >>> path = clock_recursion(1, s=1.0, d=1.0, q=[0.8, 0.6], kappa0=[0.1, 0.1], n_pixels=4, learning_rate=0.1)
    >>> path[1].round(6).tolist()
    [0.115552, 0.111664]
    """
    steps = check_count("n_steps", n_steps, minimum=0)
    goal = check_number("s", s, minimum=0.0, strict=True)
    power = check_number("d", d, minimum=0.0, strict=True)
    rate = check_number("learning_rate", learning_rate, minimum=0.0, strict=True) * check_count("n_classes", n_classes)
    kappa = check_magnitudes("kappa0", kappa0)
    weight = check_magnitudes("q", q)
    if weight.ndim != 1 or weight.shape != kappa.shape:
        raise ArgumentError(
            f"q has shape {weight.shape} and kappa0 {kappa.shape}, expected two lists of equal length: "
            f"one entry for each frequency of the mode, conjugates included"
        )
    layers = check_count("depth", depth)
    c = check_count("n_pixels", n_pixels) ** (0.5 * (layers - 1)) * weight
    path = np.empty((steps + 1, len(c)))
    path[0] = kappa
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(steps):
            kappa = kappa + rate * c * kappa ** (layers - 1) * (goal - power * float(c @ kappa**layers))
            path[i + 1] = np.abs(kappa)
    return np.where(np.isnan(path), np.inf, path)  # 0·inf after divergence


def stable_learning_rate(
    *, s: float, n_pixels: int, multiplicity: int, n_classes: int = 1, depth: int = 2, d: float | None = None
) -> float:
    r"""Learning rate below which a pure cosine's fixed point ``b = s`` is stable: ``√m/(√P s)``.

    With L layers ``2 / (L (P/m)^{1-1/L} d^{2/L-1} s^{2-2/L})``: near s the deviation is multiplied by
    ``1 - ηL (P/m)^{1-1/L} d^{2/L-1} s^{2-2/L}`` a step, two layers ``1 - 2η√P s/√m``. With ``n_classes=K``: under
    one-sample SGD, whose steps are K times larger, K times less. Several modes: the smallest of theirs; sums of
    cosines: :meth:`lineardyn.ModeClock.stable_learning_rates`.

    >>> stable_learning_rate(s=0.5, n_pixels=16, multiplicity=1)
    0.5
    """
    goal = check_number("s", s, minimum=0.0, strict=True)
    layers, rate = _cosine_rate(n_pixels, multiplicity, depth, d)
    slope = 0.5 * layers * rate * goal ** (2.0 - 2.0 / layers)
    return float(1.0 / (slope * check_count("n_classes", n_classes)))


def _cosine_rate(n_pixels: int, multiplicity: int, depth: int, d: float | None) -> tuple[int, float]:
    """L and ``(P/m)^{1-1/L} d^{2/L-1}``."""
    m = check_count("multiplicity", multiplicity, minimum=0)
    check_integers("multiplicity", m, minimum=1, maximum=2)
    ratio = check_count("n_pixels", n_pixels) / m
    layers, power = check_depth(depth, d if d is None else check_number("d", d))
    return layers, float(mode_rate(ratio, float(power), layers))
