"""What can be known without an integrator: every exact solution of the two-layer linear CNN, in one place.

Continuous time: :func:`sigmoid`, :func:`learning_time` (pure cosines), :class:`ModeClock` (any images whose modes share
no frequency). Discrete time: :func:`cosine_recursion`, :func:`sgd_recursion`, :func:`clock_recursion`,
:func:`stable_learning_rate`. The end point: :func:`steady_state`, :func:`minimal_norm`. From and to the frameworks'
units: :func:`convert_learning_rate`, :func:`convert_weight_decay`.
"""

from __future__ import annotations

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

__all__ = [
    "MinimalNorm",
    "ModeClock",
    "SteadyState",
    "clock_recursion",
    "convert_learning_rate",
    "convert_weight_decay",
    "cosine_recursion",
    "learning_time",
    "minimal_norm",
    "sgd_recursion",
    "sigmoid",
    "stable_learning_rate",
    "steady_state",
]
