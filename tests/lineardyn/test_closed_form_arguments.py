"""Every bad call of the closed forms: one clear error, before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lineardyn import closed_form as cf
from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests.lineardyn.problems import cosine_images

MODE = {"s": 1.0, "b0": 0.1, "n_pixels": 4, "multiplicity": 1}
RATE = {**MODE, "learning_rate": 0.1}
SUM = {"s": 1.0, "d": 1.0, "q": [0.8, 0.6], "kappa0": [0.1, 0.1], "n_pixels": 4, "learning_rate": 0.1}
ANY = {"s": 1.0, "d": 1.0, "kappa0": 0.1, "a0": [0.1, 0.2], "mode": 0, "n_pixels": 4, "multiplicity": 1}
MODES = SecondMoments.from_data(cosine_images((3, 4), [(0, 1), (1, 0)], [1.0, 0.5]), np.eye(2)).modes()
NETWORK = LinearCNN((1, 3, 4), n_outputs=2)
WEIGHTS = [np.zeros((1, 3, 4, 1)), np.zeros((2, 3, 4, 1))]
CLOCK = cf.ModeClock(MODES, NETWORK, WEIGHTS)
BAD = [
    (partial(cf.sigmoid, -1.0, **MODE), r"^t holds -1, expected times >= 0"),
    (partial(cf.sigmoid, np.nan, **MODE), r"^t holds nan"),
    (partial(cf.sigmoid, -np.inf, **MODE), r"^t holds -inf"),
    (partial(cf.sigmoid, "soon", **MODE), r"^t has dtype .*expected real numbers"),
    (partial(cf.sigmoid, [[1.0], [1.0, 2.0]], **MODE), r"^t is no array"),
    (partial(cf.sigmoid, 1j, **MODE), r"^t has dtype complex128"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "s": 0.0}), r"^s holds 0, expected numbers > 0.*leave null modes out"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "s": np.inf}), r"^s holds inf"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "b0": -0.1}), r"^b0 holds -0.1, expected numbers >= 0"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "n_pixels": 0}), r"^n_pixels holds 0, expected integers >= 1"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "n_pixels": 4.0}), r"^n_pixels is 4.0, expected integers >= 1"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "multiplicity": 3}), r"^multiplicity holds 3, expected integers from 1 to 2"),
    (partial(cf.sigmoid, 1.0, **{**MODE, "multiplicity": True}), r"^multiplicity is True"),
    (partial(cf.sigmoid, [1.0, 2.0], **{**MODE, "s": [1.0, 2.0, 3.0]}), r"shapes t \(2,\), s \(3,\) do not broadcast"),
    (partial(cf.learning_time, -0.1, **MODE), r"^b holds -0.1, expected numbers >= 0"),
    (partial(cf.learning_time, 2.0, **MODE), r"^b holds 2, expected a value between b0 = 0.1 and s = 1"),
    (partial(cf.learning_time, np.nan, **MODE), r"^b holds nan"),
    (partial(cf.cosine_recursion, -1, **RATE), r"^n_steps is -1, expected an integer >= 0"),
    (partial(cf.cosine_recursion, 2.5, **RATE), r"^n_steps is 2.5, expected an integer"),
    (partial(cf.cosine_recursion, 2, **{**RATE, "learning_rate": 0.0}), r"^learning_rate is 0, expected a number > 0"),
    (partial(cf.cosine_recursion, 2, **{**RATE, "multiplicity": 0}), r"^multiplicity holds 0"),
    (partial(cf.cosine_recursion, 2, **{**RATE, "s": -1.0}), r"^s is -1"),
    (partial(cf.cosine_recursion, 2, **{**RATE, "b0": np.nan}), r"^b0 is nan"),
    (partial(cf.sgd_recursion, [1, -1], n_classes=2, **RATE), r"^counts holds -1, expected integers >= 0"),
    (partial(cf.sgd_recursion, 1.5, n_classes=2, **RATE), r"^counts is 1.5, expected integers"),
    (partial(cf.sgd_recursion, 1, n_classes=0, **RATE), r"^n_classes is 0"),
    (partial(cf.clock_recursion, 1, **{**SUM, "q": [0.8]}), r"^q has shape \(1,\) and kappa0 \(2,\)"),
    (partial(cf.clock_recursion, 1, **{**SUM, "kappa0": [0.1, np.nan]}), r"^kappa0 holds nan"),
    (partial(cf.clock_recursion, 1, **{**SUM, "d": 0.0}), r"^d is 0, expected a number > 0"),
    (partial(cf.clock_recursion, 1, **{**SUM, "q": ["a", "b"]}), r"^q has dtype"),
    (partial(cf.stable_learning_rate, s=0.0, n_pixels=4, multiplicity=1), r"^s is 0"),
    (partial(cf.convert_learning_rate, 0.1, n_outputs=4, framework="kera"), r"^framework is 'kera'.*mean 'keras'"),
    (partial(cf.convert_learning_rate, 0.0, n_outputs=4, framework="keras"), r"^lr is 0"),
    (partial(cf.convert_learning_rate, 0.1, n_outputs=0, framework="keras"), r"^n_outputs is 0"),
    (partial(cf.convert_weight_decay, -0.1, n_outputs=4, framework="torch"), r"^value is -0.1, expected a number >= 0"),
    (partial(cf.minimal_norm, np.eye(3)), r"^modes is a ndarray .*expected lineardyn.Modes"),
    (partial(cf.ModeClock, None, NETWORK, WEIGHTS), r"^modes is a NoneType"),
    (partial(cf.ModeClock, MODES, "cnn", WEIGHTS), r"^network is a str, expected a LinearCNN"),
    (
        partial(cf.ModeClock, MODES, LinearCNN((1, 4, 3), n_outputs=2), WEIGHTS),
        r"^network has image_shape \(1, 4, 3\), expected \(1, 3, 4\): that of the modes",
    ),
    (partial(cf.ModeClock, MODES, LinearCNN((1, 3, 4), n_outputs=3), WEIGHTS), r"^network has n_outputs 3, expected 2"),
    (partial(cf.ModeClock, MODES, LinearCNN((1, 3, 4), widths=(2,), n_outputs=2), WEIGHTS), r"^weights\[0\] has shape"),
    (partial(cf.ModeClock, MODES, LinearFCN((1, 3, 4), widths=(1,), n_outputs=2), WEIGHTS), r"^weights\[0\] has shape"),
    (partial(cf.sigmoid, 1.0, **MODE, depth=3), r"^d is None, expected the second moment .*depth=3"),
    (partial(cf.sigmoid, 1.0, **MODE, depth=0, d=1.0), r"^depth is 0"),
    (partial(cf.sigmoid, 1.0, **MODE, depth=2.5, d=1.0), r"^depth is 2.5"),
    (partial(cf.sigmoid, 1.0, **MODE, depth=3, d=0.0), r"^d holds 0, expected numbers > 0"),
    (
        partial(cf.sigmoid, [1.0, 2.0], **MODE, depth=3, d=[1.0, 2.0, 3.0]),
        r"shapes t \(2,\), d \(3,\) do not",
    ),
    (partial(cf.learning_time, 0.5, **MODE, depth=1), r"^d is None"),
    (partial(cf.learning_time, 2.0, **MODE, depth=4, d=1.0), r"^b holds 2, expected a value between"),
    (partial(cf.cosine_recursion, 2, **RATE, depth=3), r"^d is None"),
    (partial(cf.cosine_recursion, 2, **RATE, depth=3, d=-1.0), r"^d holds -1, expected numbers > 0"),
    (partial(cf.sgd_recursion, 1, n_classes=2, **RATE, depth=3), r"^d is None"),
    (partial(cf.clock_recursion, 1, **SUM, depth=0), r"^depth is 0"),
    (partial(cf.stable_learning_rate, s=1.0, n_pixels=4, multiplicity=1, depth=3), r"^d is None"),
    (partial(cf.sgd_mean, -1, n_classes=2, **RATE), r"^n_steps holds -1, expected integers >= 0"),
    (partial(cf.sgd_mean, 1.5, n_classes=2, **RATE), r"^n_steps is 1.5"),
    (partial(cf.sgd_mean, 1, n_classes=0, **RATE), r"^n_classes is 0"),
    (partial(cf.sgd_mean, 1, n_classes=2, **{**RATE, "learning_rate": 0.0}), r"^learning_rate is 0"),
    (partial(cf.sgd_quantiles, 1, 1.0, n_classes=2, **RATE), r"^levels holds 1, expected numbers between 0 and 1"),
    (partial(cf.sgd_quantiles, 1, [0.5, np.nan], n_classes=2, **RATE), r"^levels holds nan"),
    (partial(cf.sgd_quantiles, 1, 0.5, n_classes=2, **RATE, depth=3), r"^d is None"),
    (partial(cf.cosine_from_any_start, -1.0, **ANY), r"^t holds -1, expected times >= 0"),
    (partial(cf.cosine_from_any_start, [[1.0]], **ANY), r"^t has shape \(1, 1\), expected one time or a list"),
    (partial(cf.cosine_from_any_start, 1.0, **{**ANY, "a0": [0.1j, 1.0]}), r"^a0 has dtype complex128"),
    (partial(cf.cosine_from_any_start, 1.0, **{**ANY, "a0": 0.1}), r"^a0 has shape \(\), expected \(any,\)"),
    (partial(cf.cosine_from_any_start, 1.0, **{**ANY, "mode": 2}), r"^mode holds 2, expected integers from 0 to 1"),
    (partial(cf.cosine_from_any_start, 1.0, **{**ANY, "kappa0": np.nan}), r"^kappa0 is nan"),
    (partial(cf.cosine_from_any_start, 1.0, **{**ANY, "s": 0.0}), r"^s is 0, expected a number > 0"),
    (partial(cf.cosine_from_any_start, 1.0, **{**ANY, "multiplicity": 3}), r"^multiplicity holds 3"),
    (partial(cf.winner_exponents, None), r"^modes is a NoneType"),
    (partial(cf.winner_exponents, MODES, depth=0), r"^depth is 0"),
    (partial(cf.winner_exponents, MODES, start=np.ones((4, 3))), r"^start has shape \(4, 3\), expected \(3, 4\)"),
    (partial(cf.winner_exponents, MODES, depth=3, start=np.zeros((3, 4))), r"^start holds 0 at a frequency"),
    (partial(cf.ModeClock, MODES, NETWORK, WEIGHTS[:1]), r"^weights has 1 arrays, expected 2"),
    (partial(cf.ModeClock, MODES, NETWORK, [WEIGHTS[0], np.zeros((2, 3, 3, 1))]), r"^weights\[1\] has shape"),
    (partial(cf.ModeClock, MODES, NETWORK, [WEIGHTS[0] + np.nan, WEIGHTS[1]]), r"^weights\[0\] holds nan"),
    (partial(CLOCK.at, -1.0), r"^t holds -1"),
    (partial(CLOCK.theta, [[1.0]]), r"^t has shape \(1, 1\), expected one time or a list"),
    (partial(CLOCK.learning_time, 0.0), r"^fraction is 0, expected a number > 0"),
    (partial(CLOCK.learning_time, 1.5), r"^fraction is 1.5, expected a number <= 1"),
    (partial(CLOCK.learning_order, 0.0), r"^fraction is 0, expected a number > 0"),
    (
        partial(cf.ModeClock, replace(MODES, d=np.zeros(2)), NETWORK, WEIGHTS),
        r"^modes has s\[0\] = .*d\[0\] = 0, expected both > 0",
    ),
]


@pytest.mark.parametrize(("call", "text"), BAD)
def test_bad_call_has_one_clear_error(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()
