"""The gradient of each frequency in exact form: the loss is differentiated by computer algebra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claims.arithmetic import EXACT
from proofs_check.claims.deep_network import adjoint, blocks, effective_predictor, formula_rates, forward
from proofs_check.claims.definitions import dft

__all__ = ["gradient_exactly"]


def gradient_exactly(
    *, power_of_p: float = 0.5, decay_factor: float = 1.0, adjoints: bool = True, half: bool = True
) -> Sequence[Any]:
    """``DFT(-∂ℒ/∂w_l)`` minus ``dA_l/dt`` by the formula, for one symbolic sample and all symbolic weights.

    1×2 at depth 3, and 1×3 at depth 2, where frequencies are complex.
    """
    gaps: list[Any] = []
    for width, depth in ((2, 3), (3, 2)):
        weights = [_symbols(f"w{layer}", (1, 1, 1, width, 1)) for layer in range(depth)]
        image, target = _symbols("x", (1, 1, 1, 1, width)), _symbols("y", (1, 1, 1))
        decay = _symbols("decay", (1,))[0]
        slopes = _slopes(weights, image, target, decay, half)
        left = [-dft(g.transpose(0, 1, 4, 2, 3), EXACT).transpose(0, 3, 1, 2) for g in slopes]
        left[-1] = left[-1].conj()
        right = _rates(weights, image, target, decay, power_of_p, decay_factor, adjoints)
        for one, two in zip(left, right, strict=True):
            gaps += list((one - two).ravel())
    return gaps


def _symbols(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    import sympy

    names = [sympy.Symbol(f"{name}_{i}", real=True) for i in range(int(np.prod(shape)))]
    return np.array(names, dtype=object).reshape(shape)


def _slopes(
    weights: list[NDArray[Any]], image: NDArray[Any], target: NDArray[Any], decay: Any, half: bool
) -> list[NDArray[Any]]:
    """``∂ℒ/∂w_l``, ℒ in pixel space (twice its first term without ``half``)."""
    import sympy

    gap = target - forward(weights, image)
    penalty = sum((w * w).sum() for w in weights)
    loss = (gap * gap).sum() * (sympy.Rational(1, 2) if half else 1) + sympy.Rational(1, 2) * decay * penalty
    return [np.array([sympy.diff(loss, entry) for entry in w.ravel()]).reshape(w.shape) for w in weights]


def _rates(
    weights: list[NDArray[Any]],
    image: NDArray[Any],
    target: NDArray[Any],
    decay: Any,
    power_of_p: float,
    decay_factor: float,
    adjoints: bool,
) -> list[NDArray[Any]]:
    """The formula's ``dA_l/dt`` with ``E_f = (y - Σ_g v̂_g x̂_g) x̂_f^H``."""
    a = blocks(weights, EXACT)
    x = dft(image, EXACT).reshape(1, -1, 1, 1)
    output = np.sum(effective_predictor(a, EXACT) * x)
    residual = (target.reshape(1, 1, 1, 1) - output) * adjoint(x)
    constant = EXACT.power(x.shape[1], power_of_p * (len(a) - 1))
    return formula_rates(a, residual, int(decay_factor) * decay, constant, adjoints=adjoints)
