"""What weight decay makes of the predictor: the regularised minimisers (so far the ridge closed form)."""

from __future__ import annotations

from solvers.closed_form import ridge, ridge_diagonal, ridge_power_law

__all__ = ["ridge", "ridge_diagonal", "ridge_power_law"]
