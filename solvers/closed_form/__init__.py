"""Regularised minimisers that a formula gives: ridge, statistics that are diagonal in frequency, power laws."""

from __future__ import annotations

from solvers.closed_form.diagonal import diagonal, ridge_diagonal
from solvers.closed_form.power_law import power_law, ridge_power_law
from solvers.closed_form.ridge import ridge
from solvers.closed_form.ridge_path import ridge_path

__all__ = ["diagonal", "power_law", "ridge", "ridge_diagonal", "ridge_path", "ridge_power_law"]
