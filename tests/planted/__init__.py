"""The table of planted errors: what, in which module, which text becomes which, and the check that must fail.

To add an error, add a row to the file of its subject; to add a check, add its test to the suite first. A row that no
check notices is a hole in the suite: write the test that kills it.
"""

from __future__ import annotations

from tests.planted import (
    certificates,
    clocks,
    closed_forms,
    conservation,
    constructions,
    descent,
    descents,
    ends,
    exhaustive,
    fourier,
    in_place,
    integrators,
    moments,
    networks,
    probes,
    proxes,
    results,
    right_hand_sides,
    stabilised,
    weight_decay,
)
from tests.planted.error import Planted

SUBJECTS = (
    fourier,
    networks,
    moments,
    right_hand_sides,
    integrators,
    stabilised,
    conservation,
    constructions,
    ends,
    descent,
    descents,
    results,
    closed_forms,
    clocks,
    proxes,
    certificates,
    weight_decay,
    exhaustive,
    in_place,
    probes,
)
PLANTED: dict[str, Planted] = {name: error for subject in SUBJECTS for name, error in subject.PLANTED.items()}
assert len(PLANTED) == sum(len(subject.PLANTED) for subject in SUBJECTS), "two planted errors have one name"
