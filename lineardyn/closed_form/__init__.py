"""What can be known without an integrator: every exact solution of the linear CNN and FCN, in one place.

Continuous time: :func:`sigmoid`, :func:`learning_time` (pure cosines), :class:`ModeClock` (any images whose modes share
no frequency), :func:`cosine_from_any_start` (one frequency, not aligned). Discrete time: :func:`cosine_recursion`,
:func:`sgd_recursion`, :func:`clock_recursion`, :func:`stable_learning_rate`; over all runs of SGD: :func:`sgd_mean`,
:func:`sgd_quantiles`. The end point: :func:`steady_state`, :func:`minimal_norm`, :func:`winner_exponents`. From and to
the frameworks' units: :func:`convert_learning_rate`, :func:`convert_weight_decay`.

At any depth, ``depth=2`` if not said, but for :func:`minimal_norm` and :func:`cosine_from_any_start`; the fully
connected network is ``n_pixels=1, multiplicity=1``, or a LinearFCN in the clock.
"""

from __future__ import annotations

from lineardyn.closed_form.any_start import cosine_from_any_start
from lineardyn.closed_form.competition import winner_exponents
from lineardyn.closed_form.discrete import (
    clock_recursion,
    cosine_recursion,
    sgd_recursion,
    stable_learning_rate,
)
from lineardyn.closed_form.frameworks import convert_learning_rate, convert_weight_decay
from lineardyn.closed_form.minimal_norm import MinimalNorm, minimal_norm
from lineardyn.closed_form.mode_clock import ModeClock
from lineardyn.closed_form.sigmoid import learning_time, sigmoid
from lineardyn.closed_form.steady_state import SteadyState, steady_state
from lineardyn.closed_form.stochastic import sgd_mean, sgd_quantiles

__all__ = [
    "MinimalNorm",
    "ModeClock",
    "SteadyState",
    "clock_recursion",
    "convert_learning_rate",
    "convert_weight_decay",
    "cosine_from_any_start",
    "cosine_recursion",
    "learning_time",
    "minimal_norm",
    "sgd_mean",
    "sgd_quantiles",
    "sgd_recursion",
    "sigmoid",
    "stable_learning_rate",
    "steady_state",
    "winner_exponents",
]
