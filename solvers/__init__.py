"""What weight decay makes of the predictor: regularised minimisers, proofs of them, and weights that attain them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from solvers.bounds import lambda_max
from solvers.certificates import certify
from solvers.closed_form import diagonal, power_law, ridge, ridge_diagonal, ridge_path, ridge_power_law
from solvers.conic import Conic
from solvers.coordinate import Coordinate
from solvers.depth_path import depth_path
from solvers.factorization import factorize
from solvers.factorized import TrainedNetwork, train_factorized
from solvers.irls import Reweighted
from solvers.local_search import LocalSearch
from solvers.oracle import Exhaustive
from solvers.path import path
from solvers.penalties import jump, penalty_power, penalty_weight, schatten_power
from solvers.problem import RegularizedProblem
from solvers.prox import prox, schatten_prox
from solvers.proximal import Proximal
from solvers.result import Certificate, PathResult, Solution
from solvers.solve import solve

if TYPE_CHECKING:
    from solvers.estimator import FrequencyRegressor as FrequencyRegressor

__all__ = [
    "Certificate",
    "Conic",
    "Coordinate",
    "Exhaustive",
    "LocalSearch",
    "PathResult",
    "Proximal",
    "RegularizedProblem",
    "Reweighted",
    "Solution",
    "TrainedNetwork",
    "certify",
    "depth_path",
    "diagonal",
    "factorize",
    "jump",
    "lambda_max",
    "path",
    "penalty_power",
    "penalty_weight",
    "power_law",
    "prox",
    "ridge",
    "ridge_diagonal",
    "ridge_path",
    "ridge_power_law",
    "schatten_power",
    "schatten_prox",
    "solve",
    "train_factorized",
]


def __getattr__(name: str) -> Any:
    """``FrequencyRegressor`` is loaded when it is asked for: it needs scikit-learn (extra ``sklearn``)."""
    if name == "FrequencyRegressor":
        from solvers.estimator import FrequencyRegressor

        return FrequencyRegressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(["FrequencyRegressor"] if find_spec("sklearn") else [])})
