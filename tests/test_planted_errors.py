"""Can the suite fail? Each error below is planted once in the library, and a check of the suite must notice.

The checks are the suite's own tests, called with one case; a planted error that passes shows a test that tests nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from lineardyn import estimation, fourier, invariants, trajectory
from lineardyn.flow.geometric import ConservationLaws
from lineardyn.modes import Modes
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearNetwork, convolutional
from tests import strategies as own
from tests.lineardyn import test_deep_networks as of_deep
from tests.lineardyn import test_flow_order as of_order
from tests.lineardyn import test_fourier as of_fourier
from tests.lineardyn import test_geometric as of_geometric
from tests.lineardyn import test_gradient_flow as of_flow
from tests.lineardyn import test_invariants as of_invariants
from tests.lineardyn import test_moments as of_moments
from tests.lineardyn import test_networks as of_networks
from tests.lineardyn import test_starts as of_starts
from tests.lineardyn import test_training as of_training

DATA = own.make_data("incoherent", (2, 4, 3), 3, 1)


def inner(test: Any) -> Any:
    """The function below hypothesis' decorator."""
    return test.hypothesis.inner_test


@dataclass(frozen=True)
class Planted:
    """What is replaced, by what made from the original, and the check that must fail."""

    owner: Any
    name: str
    wrong: Any
    check: Any


def scaled(factor: float) -> Any:
    return lambda original: lambda *a, **k: factor * original(*a, **k)


def conjugated(original: Any) -> Any:
    return lambda *a, **k: original(*a, **k).conj()


def conjugate_modes(original: Any) -> Any:
    return property(lambda self: fourier.fft2(self.v).conj())


def listed(change: Any) -> Any:
    return lambda original: lambda *a, **k: [change(x) for x in original(*a, **k)]


def constant_without_depth(original: Any) -> Any:
    return property(lambda self: float(self.n_pixels**0.5))


def second_moments_over_n_squared(original: Any) -> Any:
    def wrong(*args: Any, **options: Any) -> SecondMoments:
        made = original(*args, **options)
        return replace(made, sigma_yx=made.sigma_yx / made.n_samples)

    return wrong


def target_power_halved(original: Any) -> Any:
    def wrong(*args: Any, **options: Any) -> SecondMoments:
        made = original(*args, **options)
        return replace(made, target_power=made.target_power / 2)

    return wrong


def correlation_for_convolution(original: Any) -> Any:
    return lambda kernel, image: original(np.roll(np.asarray(kernel)[:, ::-1, ::-1], (1, 1), (1, 2)), image)


def larger_learning_rate(original: Any) -> Any:
    def wrong(y: Any, dy: Any, rate: Any, *rest: Any) -> Any:
        return original(y, dy, 1.001 * rate, *rest)

    return wrong


def of_predictor(kind: str = "cnn") -> None:
    inner(of_networks.test_effective_predictor_identity)(kind=kind, data=DATA, widths=(2, 3))


def of_gradient() -> None:
    case = inner(of_networks.test_gradient_equals_the_backward_pass_in_pixel_space)
    case(form="dense", kind="cnn", data=DATA, widths=(2,), decay=0.3)


def of_balance() -> None:
    inner(of_invariants.test_balance_is_its_definition)(kind="cnn", shape=(4, 3), c=2, k=2, widths=(2,), seed=0)


def of_sums() -> None:
    inner(of_moments.test_exact_forms_equal_the_sums_over_samples)(form="dense", data=DATA)


def of_modes() -> None:
    inner(of_moments.test_modes_are_the_thin_singular_value_decomposition)(data=DATA, form="dense")


def of_convolution() -> None:
    inner(of_fourier.test_convolution_equals_the_loops)((4, 3), 2, 2, 0)


def of_isometry() -> None:
    inner(of_fourier.test_half_spectrum_is_lossless_and_isometric)((4, 3), 0)


def decay_of_one_layer(original: Any) -> Any:
    """``exp(-λt)`` for ``exp(-2λt)``."""
    return lambda self, state, time, *rest: original(self, state, 0.5 * time, *rest)


def of_recorded_states_only(original: Any) -> Any:
    """The state that goes on comes with its f, recorded ones do not."""
    return lambda self, state, time, *rest: None if rest else original(self, state, time)


def of_transposed_matrices(original: Any) -> Any:
    def wrong(*args: Any) -> ConservationLaws:
        laws = original.__func__(ConservationLaws, *args)
        return replace(laws, values=laws.values.conj())

    return staticmethod(wrong)


def without_the_slope(original: Any) -> Any:
    return lambda self, state, time, *rest: original(self, state, time)


def of_laws(case: str = "two-channels") -> None:
    of_geometric.test_laws_hold_at_every_frequency_and_recorded_time(case, 1e-4, 0.1)


def of_each_step() -> None:
    of_geometric.test_laws_hold_in_each_step_of_any_integrator("cnn-dense-channels", "dop853")


def of_slope() -> None:
    of_geometric.test_the_gradient_goes_along("cnn-dense-channels", 0.3)


def of_one_run() -> None:
    of_flow.test_loss_and_modes_along_the_way_are_those_of_the_states("cnn-dense-channels")


def of_correlation() -> None:
    of_deep.test_descent_of_a_correlation(None)


def of_glorot() -> None:
    of_starts.test_variance_of_each_layer("cnn", "init_glorot", "normal", 2.0)


def of_rank() -> None:
    test = inner(of_starts.test_low_rank_start_has_that_rank_and_is_balanced)
    test(kind="cnn", convention="convolution", shape=(4, 3), channels=3, widths=(3,), outputs=3, seed=0, rank=2)


def always_convolving(original: Any) -> Any:
    return lambda self, weights: original(replace(self, convention="convolution"), weights)


def receptive_field_of_the_dense_layer(original: Any) -> Any:
    def wrong(self: LinearCNN) -> list[tuple[int, int]]:
        *hidden, (into, out) = original.fget(self)
        return [*hidden, (into, self.n_pixels * out)]

    return property(wrong)


PLANTED = {
    "a correlation read as a convolution": Planted(LinearCNN, "pack", always_convolving, of_correlation),
    "P outputs too many in Glorot's fan_out": Planted(LinearCNN, "fans", receptive_field_of_the_dense_layer, of_glorot),
    "a rank one too high": Planted(
        convolutional, "check_rank", lambda original: lambda rank, sizes: original(rank, sizes) + 1, of_rank
    ),
    "√2 in the predictor's constant": Planted(LinearCNN, "predictors", scaled(np.sqrt(2)), of_predictor),
    "√P for P^{(L-1)/2}": Planted(LinearCNN, "constant", constant_without_depth, of_predictor),
    "conjugate of the effective predictor": Planted(LinearNetwork, "effective_predictor", conjugated, of_predictor),
    "twice the gradient": Planted(LinearNetwork, "gradient", listed(lambda g: 2 * g), of_gradient),
    "gradient uphill": Planted(LinearNetwork, "gradient", listed(lambda g: -g), of_gradient),
    "n² for n in Σ^yx": Planted(estimation, "estimate", second_moments_over_n_squared, of_sums),
    "half of ⟨‖y‖²⟩": Planted(estimation, "estimate", target_power_halved, of_sums),
    "correlation for convolution": Planted(fourier, "convolve", correlation_for_convolution, of_convolution),
    "√P missing in the convolution": Planted(fourier, "convolve", scaled(1 / np.sqrt(12)), of_convolution),
    "conjugate of q": Planted(Modes, "q", conjugate_modes, of_modes),
    "packed spectra conjugated": Planted(fourier.HalfSpectrum, "unpack", conjugated, of_isometry),
    "absolute value of the balance": Planted(invariants, "balance", listed(np.abs), of_balance),
    "kernel spectrum squared": Planted(
        trajectory.Trajectory,
        "kernel_spectrum",
        lambda original: property(lambda self: original.func(self) ** 2),
        of_one_run,
    ),
    "exp(-λt) for the decay of what is conserved": Planted(ConservationLaws, "restore", decay_of_one_layer, of_laws),
    "conservation laws of recorded states only": Planted(
        ConservationLaws, "restore", of_recorded_states_only, of_each_step
    ),
    "balance matrices conjugated": Planted(ConservationLaws, "of", of_transposed_matrices, of_laws),
    "gradient left behind by the gauge": Planted(ConservationLaws, "restore", without_the_slope, of_slope),
    "transposed B": Planted(
        trajectory.Trajectory,
        "effective_singular_values",
        lambda original: property(lambda self: original.func(self).transpose(0, 2, 1)),
        of_one_run,
    ),
    "loss without its half": Planted(
        trajectory.Trajectory, "loss", lambda original: property(lambda self: 2 * original.func(self)), of_one_run
    ),
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_planted_error_is_noticed(name, monkeypatch):
    p = PLANTED[name]
    p.check()  # passes without the error
    original = p.owner.__dict__[p.name]
    monkeypatch.setattr(p.owner, p.name, p.wrong(original))
    with pytest.raises(AssertionError):
        p.check()


def plant_in_kernel(monkeypatch: pytest.MonkeyPatch, name: str, wrong: Any) -> None:
    from lineardyn.flow import _kernels

    monkeypatch.setattr(_kernels, name, wrong(getattr(_kernels, name)))


def test_a_learning_rate_off_by_a_thousandth_is_noticed(monkeypatch):
    of_training.test_full_batch_equals_pixel_space_descent("fcn-dense")
    plant_in_kernel(monkeypatch, "descend_full", larger_learning_rate)
    with pytest.raises(AssertionError):
        of_training.test_full_batch_equals_pixel_space_descent("fcn-dense")


def test_wrong_coefficients_of_a_method_are_noticed(monkeypatch):
    """One coefficient of Tsitouras' tableau changed by 1e-3: the order falls."""
    from lineardyn.flow import stepping

    case = ("tsit5", "fcn-growth", 8.0, [30, 40, 60, 80])
    of_order.test_observed_order(*case)
    good = stepping.TABLEAUS["tsit5"]
    table = good.table.copy()
    table[tuple(np.argwhere(table)[5])] += 1e-3
    monkeypatch.setitem(stepping.TABLEAUS, "tsit5", replace(good, table=table))
    with pytest.raises(AssertionError):
        of_order.test_observed_order(*case)
