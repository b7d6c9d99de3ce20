"""Questions to any PyTorch model: which frequencies it sees, which modes it has learned, what theory says of it.

PyTorch is loaded when a probe is called (extra ``torch``).
"""

from __future__ import annotations

from proofs_check.probes.bottleneck import BottleneckReport, LayerBottleneck, bottleneck_report
from proofs_check.probes.comparison import Comparison, compare_with_theory
from proofs_check.probes.filters import FilterSpectrum, filter_spectra
from proofs_check.probes.modes import effective_singular_values
from proofs_check.probes.sensitivity import FrequencySensitivity, frequency_sensitivity
from proofs_check.probes.tracking import TrackedTrajectory, Tracker, track

__all__ = [
    "BottleneckReport",
    "Comparison",
    "FilterSpectrum",
    "FrequencySensitivity",
    "LayerBottleneck",
    "TrackedTrajectory",
    "Tracker",
    "bottleneck_report",
    "compare_with_theory",
    "effective_singular_values",
    "filter_spectra",
    "frequency_sensitivity",
    "track",
]
