"""lineardyn: what gradient descent does to a linear convolutional network, predicted, integrated and trained.

Images become second moments in Fourier space (:class:`SecondMoments`); from there go closed forms (:func:`sigmoid`,
:class:`ModeClock`), gradient flow (:func:`gradient_flow`) and gradient descent (:func:`gradient_descent`), each giving
effective singular values, losses and kernel spectra over time. Theory: Pinson, Lenaerts, Ginis (ICML 2023).
"""

from __future__ import annotations

from lineardyn.closed_form import (
    MinimalNorm,
    ModeClock,
    SteadyState,
    clock_recursion,
    convert_learning_rate,
    convert_weight_decay,
    cosine_from_any_start,
    cosine_recursion,
    learning_time,
    minimal_norm,
    sgd_mean,
    sgd_quantiles,
    sgd_recursion,
    sigmoid,
    stable_learning_rate,
    steady_state,
    winner_exponents,
)
from lineardyn.data import (
    geometric_shapes,
    load_cifar10,
    load_digits,
    load_folder,
    load_mnist,
    load_npz,
    natural_patches,
    planted_modes,
    power_law_images,
    pure_cosines,
    sums_of_cosines,
)
from lineardyn.ensembles import Ensemble, stack_weights
from lineardyn.errors import ArgumentError, ComputationError, DataFileError, LineardynError, Status
from lineardyn.flow.events import Event, LossBelow, ModeLearned, Stationary
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.invariants import balance, balance_ratio, invariant_drift, off_diagonal
from lineardyn.modes import Modes
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.plots import plot_modes
from lineardyn.stability import max_learning_rate
from lineardyn.torch_models import from_torch, to_torch
from lineardyn.training import gradient_descent
from lineardyn.trajectory import Trajectory

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "ComputationError",
    "DataFileError",
    "Ensemble",
    "Event",
    "LinearCNN",
    "LinearFCN",
    "LineardynError",
    "LossBelow",
    "MinimalNorm",
    "ModeClock",
    "ModeLearned",
    "Modes",
    "SecondMoments",
    "Stationary",
    "Status",
    "SteadyState",
    "Trajectory",
    "balance",
    "balance_ratio",
    "clock_recursion",
    "convert_learning_rate",
    "convert_weight_decay",
    "cosine_from_any_start",
    "cosine_recursion",
    "from_torch",
    "geometric_shapes",
    "gradient_descent",
    "gradient_flow",
    "invariant_drift",
    "learning_time",
    "load_cifar10",
    "load_digits",
    "load_folder",
    "load_mnist",
    "load_npz",
    "max_learning_rate",
    "minimal_norm",
    "natural_patches",
    "off_diagonal",
    "planted_modes",
    "plot_modes",
    "power_law_images",
    "pure_cosines",
    "sgd_mean",
    "sgd_quantiles",
    "sgd_recursion",
    "sigmoid",
    "stable_learning_rate",
    "stack_weights",
    "steady_state",
    "sums_of_cosines",
    "to_torch",
    "winner_exponents",
]
