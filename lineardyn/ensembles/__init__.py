"""Many runs at once: over threads that hold no interpreter lock, in batches of one matrix product, over executors."""

from __future__ import annotations

from lineardyn.ensembles.axes import StackedWeights, stack_weights
from lineardyn.ensembles.ensemble import Ensemble

__all__ = ["Ensemble", "StackedWeights", "stack_weights"]
