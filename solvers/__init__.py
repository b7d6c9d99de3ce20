"""What weight decay makes of the predictor: the regularised minimisers, and what can be proven of them."""

from __future__ import annotations

from solvers.bounds import lambda_max
from solvers.certificates import certify
from solvers.closed_form import ridge, ridge_diagonal, ridge_power_law
from solvers.conic import Conic
from solvers.problem import RegularizedProblem
from solvers.result import Certificate, PathResult, Solution

__all__ = [
    "Certificate",
    "Conic",
    "PathResult",
    "RegularizedProblem",
    "Solution",
    "certify",
    "lambda_max",
    "ridge",
    "ridge_diagonal",
    "ridge_power_law",
]
