"""What weight decay makes of the predictor: regularised minimisers, proofs of them, and weights that attain them."""

from __future__ import annotations

from solvers.bounds import lambda_max
from solvers.certificates import certify
from solvers.closed_form import diagonal, power_law, ridge, ridge_diagonal, ridge_path, ridge_power_law
from solvers.conic import Conic
from solvers.coordinate import Coordinate
from solvers.factorization import factorize
from solvers.factorized import TrainedNetwork, train_factorized
from solvers.irls import Reweighted
from solvers.local_search import LocalSearch
from solvers.path import path
from solvers.problem import RegularizedProblem
from solvers.proximal import Proximal
from solvers.result import Certificate, PathResult, Solution
from solvers.solve import solve

__all__ = [
    "Certificate",
    "Conic",
    "Coordinate",
    "LocalSearch",
    "PathResult",
    "Proximal",
    "RegularizedProblem",
    "Reweighted",
    "Solution",
    "TrainedNetwork",
    "certify",
    "diagonal",
    "factorize",
    "lambda_max",
    "path",
    "power_law",
    "ridge",
    "ridge_diagonal",
    "ridge_path",
    "ridge_power_law",
    "solve",
    "train_factorized",
]
