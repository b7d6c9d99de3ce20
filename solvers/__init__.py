"""What weight decay makes of the predictor: the regularised minimisers (so far the ridge closed form)."""

from __future__ import annotations

from solvers.closed_form import ridge, ridge_path
from solvers.factorization import factorize

__all__ = ["factorize", "ridge", "ridge_path"]
