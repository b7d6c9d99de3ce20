"""The adversary finds what random instances miss, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError, ComputationError, Status
from proofs_check import Claim, Outcome, Witness, attack, check, claims, get
from proofs_check.adversary import RANGE, signed_residual
from proofs_check.claim import excess, relative_distance
from proofs_check.claims.araki_lieb_thirring import ALT_CLAIMS
from proofs_check.claims.factorisations import FACTOR_CLAIMS
from proofs_check.claims.holder import HOELDER_CLAIMS, pack_chain
from proofs_check.claims.penalties import PENALTY_CLAIMS
from proofs_check.claims.shrinkage import SHRINKAGE_CLAIMS
from tests.strategies import seeds

ATTACKED = [claim.id for claim in claims() if claim.attacked]
TRUE = [name for name in ATTACKED if get(name).expected is Outcome.NOT_REFUTED]


def generic_chains(rng, n):
    """Three normal 3×3 factors: far from equality, of which the adversary has to find the way."""
    factors = [rng.standard_normal((n, 3, 3)) + 1j * rng.standard_normal((n, 3, 3)) for _ in range(3)]
    return pack_chain(factors, [3] * 4) | {"exponents": np.tile([1.0, 2.0, 0.5], (n, 1))}


def triangle(**changes):
    """|x + y| ≤ factor (|x| + |y|), tight where x and y are parallel: not batched, in six dimensions."""
    fields = {
        "id": "triangle",
        "title": "triangle",
        "statement": "|x + y| ≤ |x| + |y|",
        "source": "standard",
        "hypotheses": (),
        "expected": Outcome.NOT_REFUTED,
        "mutants": {"1% below": {"factor": 0.99}, "10% below": {"factor": 0.9}},
        "tolerance": 1e-12,
        "tolerance_reason": "a few roundings of numbers of one size",
        "draw": lambda rng: {"x": rng.standard_normal(6), "y": rng.standard_normal(6), "name": "n"},
        "sides": lambda instance, factor=1.0: (
            np.linalg.norm(instance["x"] + instance["y"]),
            factor * (np.linalg.norm(instance["x"]) + np.linalg.norm(instance["y"])),
        ),
        "distance": excess,
        "attacked": ("x", "y"),
    }
    return Claim(**{**fields, **changes})


# --- It finds what random instances miss ----------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", ["1% below", "1/r 1% larger"])
def test_a_false_inequality_that_random_instances_miss_is_refuted(mutant):
    claim = replace(get("schatten-hoelder"), draw=generic_chains)
    assert check(claim, n=3200, rng=0, mutant=mutant).n_refuting == 0
    verdict = attack(claim, n_starts=3, rng=0, mutant=mutant)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.n_refuting == 3
    assert verdict.worst > 0.009  # the constant is 1% wrong, the exponent by more


def test_a_claim_that_is_not_batched_is_attacked_too():
    claim = triangle()
    assert check(claim, n=2000, rng=0, mutant="1% below").n_refuting == 0
    assert attack(claim, n_starts=2, rng=0, mutant="1% below").n_refuting == 2
    assert attack(claim, n_starts=2, rng=0).outcome is Outcome.NOT_REFUTED


def test_a_narrow_ridge_needs_the_slope():
    """A ridge thirty times longer than wide, in twelve dimensions: random steps alone do not get along it."""
    weights = np.geomspace(1.0, 1e3, 12)

    def sides(instance, factor=1.0):
        gap = instance["x"] - 1.0
        return np.exp(-float(weights @ gap**2)), factor

    claim = triangle(sides=sides, draw=lambda rng: {"x": rng.uniform(0.5, 1.5, 12)}, attacked=("x",))
    assert attack(claim, n_starts=2, rng=0, mutant="1% below").n_refuting == 2


def test_an_equality_is_attacked_through_its_residual():
    """‖x‖_1 = √6 ‖x‖_2 for constant vectors, which are all that is drawn; moved ones need not agree."""
    hidden = triangle(
        sides=lambda instance, factor=1.0: (
            np.abs(instance["x"]).sum(),
            factor * np.abs(np.linalg.norm(instance["x"]) * np.sqrt(6.0)),
        ),
        draw=lambda rng: {"x": np.full(6, 1.0 + rng.random())},
        distance=relative_distance,
        attacked=("x",),
    )
    assert check(hidden, n=200, rng=0).outcome is Outcome.NOT_REFUTED
    assert attack(hidden, n_starts=1, rng=0).worst > 0.1


@pytest.mark.parametrize("claim_id", TRUE)
def test_true_inequalities_withstand(claim_id):
    verdict = attack(claim_id, n_starts=2, rng=1)
    assert verdict.outcome is Outcome.NOT_REFUTED, verdict.reason
    assert verdict.as_expected
    assert all(residual is not None for residual in verdict.residuals)


@pytest.mark.parametrize("claim_id", ["E8", "E8-literal"])
def test_errata_fall_by_more_than_random_instances_show(claim_id):
    random = replace(get(claim_id), smallest=())
    assert attack(random, n_starts=2, rng=0).worst > check(random, n=64, rng=0).worst


def test_every_inequality_can_be_attacked():
    ours = (*HOELDER_CLAIMS, *ALT_CLAIMS, *FACTOR_CLAIMS, *PENALTY_CLAIMS, *SHRINKAGE_CLAIMS)
    assert {claim.id for claim in ours if claim.distance is excess} == {claim.id for claim in ours if claim.attacked}


# --- What comes back ------------------------------------------------------------------------------------------------


def test_the_witness_replays_from_its_numbers(tmp_path):
    verdict = attack("schatten-hoelder", n_starts=2, rng=3, mutant="1% below")
    witness = verdict.witness
    assert witness.index is None
    assert "adversary" in witness.text
    assert Witness.load(witness.save(tmp_path / "w.json")).replay() == witness.residual > 1e-3
    assert Witness.load(tmp_path / "w.json").index is None
    assert verdict.worst_case.residual == verdict.worst
    assert verdict.expected is Outcome.REFUTED


def test_the_same_seed_gives_the_same_verdict():
    first, second = (attack("horn", n_starts=3, rng=5, mutant="1% below") for _ in range(2))
    assert first == second
    assert first.residuals == second.residuals
    other = attack("horn", n_starts=3, rng=np.random.default_rng(5), mutant="1% below")
    assert attack("horn", n_starts=3, rng=other.seed, mutant="1% below") == other


def test_arrays_stay_within_their_range():
    """Unbounded: the larger the better. Norms may grow ten times, and everything ends."""
    claim = triangle(sides=lambda instance, factor=1.0: (np.linalg.norm(instance["x"]), 1e3), attacked=("x",))
    drawn = claim.draw(np.random.default_rng([0, 1]))["x"]
    end = attack(claim, n_starts=2, rng=0).worst_case.instance
    assert RANGE * 0.9 < np.linalg.norm(end["x"]) / np.linalg.norm(drawn) < RANGE * 2.0
    assert end["name"] == "n"


def test_what_has_no_residual_is_walked_around_or_said():
    def sides(instance, factor=1.0):
        if instance["x"][0] > 0:
            raise ComputationError(Status.MAX_STEPS, "too many steps", None)
        return np.where(instance["x"][1] > 0, np.nan, 0.0), 1.0

    assert attack(triangle(sides=sides), n_starts=3, rng=0).outcome is Outcome.NOT_REFUTED

    def no_value_beyond_the_edge(instance, factor=1.0):
        x = instance["x"][0]
        return np.where(x > 3.0, np.inf, x), factor * 3.0

    edge = triangle(sides=no_value_beyond_the_edge, attacked=("x",))
    assert check(edge, n=300, rng=0, mutant="1% below").n_refuting == 0
    assert attack(edge, n_starts=2, rng=0, mutant="1% below").n_refuting == 2
    nowhere = attack(triangle(sides=lambda instance: (np.nan, 1.0)), n_starts=2, rng=0)
    assert nowhere.outcome is Outcome.INCONCLUSIVE
    assert "without a finite residual" in nowhere.reason
    assert nowhere.witness.residual is None
    assert np.isnan(nowhere.worst)


def test_signed_residuals():
    inequality, equality = triangle(), triangle(distance=relative_distance)
    assert signed_residual(inequality, [2.0, 1.0], [1.0, 2.0], n_instances=2) == pytest.approx([np.log(2), -np.log(2)])
    assert signed_residual(inequality, [[1.0, 5.0]], [[2.0, 4.0]], n_instances=1) == pytest.approx([0.25])
    assert signed_residual(inequality, [-1.0], [2.0], n_instances=1) == pytest.approx([-1.5])
    assert signed_residual(inequality, [0.0], [0.0], n_instances=1) == pytest.approx([0.0])
    assert signed_residual(equality, [1.0, 3.0], [2.0, 3.0], n_instances=2) == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"claim": "sigmoid", "n_starts": 1, "rng": 0}, "claim is 'sigmoid', which names no arrays"),
        ({"claim": "horn", "n_starts": 0, "rng": 0}, "n_starts is 0"),
        ({"claim": "horn", "n_starts": 1, "rng": -1}, "rng is -1"),
        (
            {"claim": "horn", "n_starts": 1, "rng": 0, "mutant": "none"},
            "mutant is 'none', expected one of claim horn's",
        ),
        ({"claim": "hornn", "n_starts": 1, "rng": 0}, "did you mean 'horn'"),
    ],
)
def test_bad_calls_name_the_argument(arguments, text):
    with pytest.raises(ArgumentError, match=text):
        attack(**arguments)


# --- Hypothesis as another adversary --------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", TRUE)
@given(seed=seeds, other=seeds, share=st.floats(0.0, 1.0), row=st.integers(0, 31))
def test_target_drives_the_ratio_up_and_the_claim_holds(claim_id, seed, other, share, row):
    """Attacked arrays between those of two instances of one shape; the search is told how near they come."""
    claim = get(claim_id)
    batch = claim.draw(np.random.default_rng(seed), 32)
    noise = np.random.default_rng(other)
    moved = dict(batch)
    for name in (name for name in claim.attacked if name in batch):
        array = batch[name]
        step = noise.standard_normal(array.shape) + 0j
        if array.dtype.kind == "c":
            step.imag = noise.standard_normal(array.shape)
        size = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True) if array.ndim > 1 else np.abs(array)
        moved[name] = array + share**4 * size * (step if array.dtype.kind == "c" else step.real)
    left, right = claim.sides(moved, **claim.formula)
    target(float(signed_residual(claim, left, right, n_instances=32).max()))
    one = {name: np.array(v[row]) if isinstance(v, np.ndarray) else v for name, v in moved.items()}
    assert claim.residual_of(one) <= claim.tolerance
