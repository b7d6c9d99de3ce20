"""Regularised minimisers that a formula gives: ridge, statistics that are diagonal in frequency, power laws."""

from __future__ import annotations

from solvers.closed_form.ridge import ridge
from solvers.closed_form.ridge_path import ridge_path

__all__ = ["ridge", "ridge_path"]
