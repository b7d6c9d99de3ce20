"""What weight decay makes of the predictor: so far the ridge closed form and the proxes of every depth."""

from __future__ import annotations

from solvers.closed_form import ridge, ridge_diagonal, ridge_power_law
from solvers.penalties import jump, penalty_power, penalty_weight, schatten_power
from solvers.prox import prox, schatten_prox

__all__ = [
    "jump",
    "penalty_power",
    "penalty_weight",
    "prox",
    "ridge",
    "ridge_diagonal",
    "ridge_power_law",
    "schatten_power",
    "schatten_prox",
]
