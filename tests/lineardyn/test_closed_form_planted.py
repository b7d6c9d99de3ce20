"""Errors planted in the closed forms, one at a time: a test of the suite must notice each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from lineardyn.closed_form import ModeClock, competition, growth, mode_clock, stochastic
from lineardyn.closed_form.growth import HyperbolicGrowth, PowerGrowth
from tests.lineardyn import test_closed_form_clock as of_clock
from tests.lineardyn import test_closed_form_deep_cosines as of_cosines
from tests.lineardyn import test_closed_form_depth as of_depth
from tests.lineardyn import test_closed_form_discrete as of_discrete
from tests.lineardyn import test_closed_form_sgd as of_sgd

# the package exports functions of these names
sigmoid_module = sys.modules["lineardyn.closed_form.sigmoid"]
discrete_module = sys.modules["lineardyn.closed_form.discrete"]


@dataclass(frozen=True)
class Planted:
    """What is replaced, by what made from the original, and the check that must fail."""

    owner: Any
    name: str
    wrong: Callable[[Any], Any]
    check: Callable[[], None]


def chains_with(**changes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The chains of a network with some fields computed wrongly from the right ones."""

    def wrong(original: Any) -> Any:
        def made(*args: Any) -> Any:
            chains = original(*args)
            return replace(chains, **{name: change(chains) for name, change in changes.items()})

        return made

    return wrong


def scaled(factor: float) -> Callable[[Any], Any]:
    return lambda original: lambda *a, **k: factor * original(*a, **k)


def option(name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A keyword argument changed on the way in."""
    return lambda original: lambda *a, **k: original(*a, **{**k, name: change(k[name])})


def without_multiplicity(original: Any) -> Any:
    return lambda ratio, d, depth: original(2 * ratio, d, depth)


def wrong_power_of_d(original: Any) -> Any:
    return lambda ratio, d, depth: original(ratio, d, depth) * d ** (0 if depth == 2 else 1 / depth)


def of_deep() -> None:
    of_depth.test_clock_is_the_flow_at_every_depth(("cnn", (2, 2), (2, 3, 3), 2), 0.3)


def of_two_layers() -> None:
    of_clock.test_clock_is_the_flow_of_the_weights_from_any_aligned_start((2, 4, 3), 3, 0.5)


def of_cosine() -> None:
    of_cosines.test_deep_sigmoid_is_the_flow_of_a_pure_cosine((1, 2), 3)


def of_recursion() -> None:
    of_cosines.test_deep_recursion_is_gradient_descent_in_pixel_space("cnn", 3, 0.05)


def of_runs() -> None:
    of_sgd.test_every_run_of_four_steps_in_pixel_space("cnn", 2)


PLANTED = {
    "√2 in the rates": Planted(mode_clock, "chains_of", chains_with(rate=lambda c: np.sqrt(2) * c.rate), of_deep),
    "√P too many": Planted(mode_clock, "chains_of", chains_with(rate=lambda c: 3 * c.rate), of_deep),
    "conjugates not counted": Planted(
        mode_clock, "chains_of", chains_with(weight=lambda c: np.ones_like(c.weight)), of_deep
    ),
    "conjugates not counted, two layers": Planted(
        mode_clock, "chains_of", chains_with(weight=lambda c: np.ones_like(c.weight)), of_two_layers
    ),
    "exponent L/(L-1) for L/(L-2)": Planted(growth, "build_deep_clock", option("depth", lambda n: n + 1), of_deep),
    "horizon without L-2 → twice": Planted(growth, "build_deep_clock", option("horizon", lambda x: 2 * x), of_deep),
    "growth of κ as of κ²": Planted(
        PowerGrowth, "_factors", lambda original: lambda self, x: original(self, x) ** 2, of_deep
    ),
    "cosh and sinh exchanged": Planted(
        HyperbolicGrowth, "_factors", lambda original: lambda self, x: original(self, x)[::-1], of_two_layers
    ),
    "√m missing in the speed": Planted(sigmoid_module, "mode_rate", without_multiplicity, of_cosine),
    "wrong power of d": Planted(sigmoid_module, "mode_rate", wrong_power_of_d, of_cosine),
    "twice the learning time": Planted(
        sigmoid_module,
        "deep_time",
        scaled(2.0),
        lambda: of_cosines.test_deep_sigmoid_inverts_the_learning_time.hypothesis.inner_test(3, -3.0, 0.5),
    ),
    "√m missing in a step": Planted(discrete_module, "mode_rate", without_multiplicity, of_recursion),
    "limit of stability off by 5%": Planted(
        of_cosines,
        "stable_learning_rate",
        scaled(1.05),
        lambda: of_cosines.test_deep_fixed_point_is_stable_below_the_limit_and_not_above.hypothesis.inner_test(
            3, 1.2, 0.7, 9
        ),
    ),
    "limit of stability without its 2": Planted(
        ModeClock,
        "stable_learning_rates",
        scaled(0.5),
        lambda: of_depth.test_stable_learning_rate_is_two_over_the_largest_curvature(("cnn", (1, 1), (1, 4, 4), 3)),
    ),
    "one step too many": Planted(
        stochastic, "_binomial", lambda original: lambda k, n, p: original(k, n + 1, p), of_runs
    ),
    "probability of the other classes": Planted(
        stochastic, "_binomial", lambda original: lambda k, n, p: original(k, n, 1 - p), of_runs
    ),
    "quantiles from above": Planted(
        stochastic, "_quantiles", lambda original: lambda p, b, q: original(p, b, 1 - q), of_runs
    ),
    "learning rate without K": Planted(
        stochastic, "sgd_recursion", option("learning_rate", lambda rate: rate / 3), of_runs
    ),
    "exponent q₂/q₁ for 1 - q₂/q₁": Planted(
        of_depth,
        "winner_exponents",
        lambda original: lambda *a, **k: 1 - original(*a, **k),
        lambda: of_depth.test_exponents_are_the_slopes_of_the_clock(2),
    ),
    "the start forgotten": Planted(
        competition,
        "_relative_start",
        lambda original: lambda start, shape, inside: np.ones(shape),
        of_depth.test_deep_networks_remember_their_start,
    ),
    "half the step of the clock recursion": Planted(
        of_discrete,
        "clock_recursion",
        option("learning_rate", lambda rate: rate / 2),
        lambda: of_discrete.test_clock_recursion_is_gradient_descent_in_pixel_space((1, 4, 3), 2),
    ),
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_planted_error_is_noticed(name, monkeypatch):
    p = PLANTED[name]
    p.check()  # passes without the error
    monkeypatch.setattr(p.owner, p.name, p.wrong(getattr(p.owner, p.name)))
    with pytest.raises(AssertionError):
        p.check()
