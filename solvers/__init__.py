"""What weight decay makes of the predictor: the regularised minimisers in closed form, and weights that attain them."""

from __future__ import annotations

from solvers.closed_form import diagonal, power_law, ridge, ridge_diagonal, ridge_path, ridge_power_law
from solvers.factorization import factorize
from solvers.factorized import TrainedNetwork, train_factorized
from solvers.problem import RegularizedProblem

__all__ = [
    "RegularizedProblem",
    "TrainedNetwork",
    "diagonal",
    "factorize",
    "power_law",
    "ridge",
    "ridge_diagonal",
    "ridge_path",
    "ridge_power_law",
    "train_factorized",
]
