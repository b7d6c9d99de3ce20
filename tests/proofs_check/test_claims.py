"""Every claim: its verdict, its power, its smallest witness; the stream of instances and the executors."""

from __future__ import annotations

import importlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from lineardyn.errors import ArgumentError, ComputationError, Status
from proofs_check import Claim, Kind, Outcome, check, claims, get
from proofs_check.claim import absolute_distance, excess, relative_distance

IDS = [claim.id for claim in claims()]
ERRATA = {"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E8-literal", "E9", "E10", "E11"}


def same_instance(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a if name != "weights")


def toy(**changes):
    """x = x for numbers x in [0, 1)."""
    fields = {
        "id": "toy",
        "title": "toy",
        "statement": "x = x",
        "source": "new",
        "hypotheses": (),
        "expected": Outcome.NOT_REFUTED,
        "mutants": {"doubled": {"factor": 2.0}, "halved": {"factor": 0.5}},
        "tolerance": 1e-12,
        "tolerance_reason": "exact",
        "draw": lambda rng: {"x": np.array([rng.random()])},
        "sides": lambda instance, factor=1.0: (instance["x"], factor * instance["x"]),
    }
    return Claim(**{**fields, **changes})


# --- The claims -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", IDS)
def test_verdict_and_power(claim_id):
    verdict = check(claim_id, n=60, rng=7, power=True)
    assert verdict.outcome is get(claim_id).expected, verdict.reason
    assert verdict.as_expected
    assert all(residual is not None for residual in verdict.residuals)
    assert len(verdict.power) >= 2
    assert all(found > 0 for found in verdict.power.values()), verdict.power


@pytest.mark.parametrize("claim_id", IDS)
def test_claims_say_what_they_rest_on(claim_id):
    claim = get(claim_id)
    assert claim.title
    assert claim.statement
    assert claim.source
    assert claim.hypotheses
    assert len(claim.tolerance_reason) > 20
    assert len(claim.mutants) >= 2


def test_ids_are_unique_and_the_errata_are_there():
    assert len(set(IDS)) == len(IDS)
    assert {claim.id for claim in claims() if claim.kind is Kind.ERRATUM} == ERRATA
    refuted = {claim.id for claim in claims() if claim.expected is Outcome.REFUTED}
    assert refuted - ERRATA == {"frequency-bound-without-condition"}  # no printed statement, but false as well


@pytest.mark.parametrize("claim_id", sorted(ERRATA))
def test_an_erratum_stands_beside_its_correction_and_shares_its_code(claim_id):
    printed = get(claim_id)
    corrected = get(printed.counterpart)
    assert corrected.counterpart == claim_id
    assert corrected.expected is Outcome.NOT_REFUTED
    assert corrected.sides is printed.sides
    assert corrected.tolerance == printed.tolerance
    # the correction holds on the very instances that refute the printed statement
    witness = check(printed, n=40, rng=0).witness
    assert corrected.residual_of(witness.instance) <= corrected.tolerance


@pytest.mark.parametrize(
    ("claim_id", "left", "right"),
    [
        ("E1", 1 / np.sqrt(2), 0.5),
        ("E2", 1.0, 0.0),
        ("E3", np.sqrt(2), 2.0),
        ("E4", 1.19, 0.38),
        ("E5", 1 - np.sqrt(2) / 4, 0.5),
        ("E6", 4.0, 2 * np.sqrt(2)),
        ("E7", 1.767767, 2.020305),
        ("E9", 2 * np.log(2), -2 * np.log(2)),
        ("E10", 1.0, 0.0),
        ("E8", np.sqrt(np.sqrt(0.5)), np.sqrt(0.5)),
        ("E8-literal", 1.0, 0.0),
        ("E11", 0.5, 0.25),
    ],
)
def test_smallest_witness(claim_id, left, right):
    for n in (1, 50):  # found at once, and still preferred when others refute too
        witness = check(claim_id, n=n, rng=3).witness
        assert float(witness.left) == pytest.approx(left, abs=1e-6)
        assert float(witness.right) == pytest.approx(right, abs=1e-6)
        assert witness.left in witness.text
        assert witness.right in witness.text
    assert witness.index == 0


def test_a_planted_error_in_the_library_is_refuted(monkeypatch):
    cosines = importlib.import_module("proofs_check.claims.cosines")  # proofs_check.claims itself is the function
    right = cosines.sigmoid
    monkeypatch.setattr(cosines, "sigmoid", lambda t, **k: right(t, **{**k, "multiplicity": 1}))
    assert check("sigmoid", n=20, rng=0).outcome is Outcome.REFUTED


# --- Looking claims up ----------------------------------------------------------------------------------------------


def test_get_takes_ids_of_any_case_and_claims():
    assert get("e1") is get("E1")
    assert get(get("sigmoid")) is get("sigmoid")


@pytest.mark.parametrize(
    ("wrong", "near"), [("parsevel", "'parseval'"), ("sigmiod", "'sigmoid'"), ("zzz", "lists them all")]
)
def test_an_unknown_claim_suggests_the_nearest(wrong, near):
    with pytest.raises(ArgumentError, match=near):
        check(wrong, n=1, rng=0)


# --- Instances are addressable --------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", IDS)
def test_an_instance_depends_on_seed_and_index_alone(claim_id):
    claim = get(claim_id)
    later = len(claim.smallest) + 5
    first = claim.instance(later, 11)
    claim.instance(later + 1, 11)
    assert same_instance(first, claim.instance(later, 11))
    assert not same_instance(first, claim.instance(later + 1, 11))
    assert not same_instance(first, claim.instance(later, 12))


def test_a_generator_gives_the_seed():
    verdicts = [check("E1", n=10, rng=np.random.default_rng(5)) for _ in range(2)]
    assert verdicts[0] == verdicts[1]
    assert check("E1", n=10, rng=verdicts[0].seed) == verdicts[0]


def test_dear_claims_try_fewer():
    claim = toy(max_instances=3)
    assert check(claim, n=100, rng=0).n == 3
    assert check(claim, n=2, rng=0).n == 2


# --- Executors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", ["convolution-theorem", "E1", "E7", "sgd-recursion", "clock"])
@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_the_serial_verdict(claim_id, workers):
    serial = check(claim_id, n=50, rng=2)
    with ThreadPoolExecutor(workers) as pool:
        parallel = check(claim_id, n=50, rng=2, executor=pool)
    assert parallel == serial
    assert parallel.residuals == serial.residuals  # to the bit
    if serial.witness is not None:
        assert parallel.witness.to_dict() == serial.witness.to_dict()


def test_processes_give_the_serial_verdict():
    serial = check("E2", n=40, rng=2, power=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert check("E2", n=40, rng=2, power=True, executor=pool) == serial


# --- The judgement --------------------------------------------------------------------------------------------------


def test_nan_is_inconclusive_and_says_where():
    claim = toy(sides=lambda instance: (np.where(instance["x"] > 0.5, np.nan, 0.0), 0.0))
    verdict = check(claim, n=30, rng=0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    undecided = [i for i, residual in enumerate(verdict.residuals) if residual is None]
    assert undecided
    assert f"{len(undecided)} of 30" in verdict.reason
    assert f"index {undecided[0]}" in verdict.reason
    assert verdict.witness.index == undecided[0]
    assert verdict.worst == 0.0


def test_all_nan_has_no_worst_case():
    verdict = check(toy(sides=lambda instance: (np.nan, 0.0)), n=3, rng=0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert np.isnan(verdict.worst)
    assert verdict.worst_case is None


def test_a_computation_that_stops_is_inconclusive():
    def stops(instance):
        raise ComputationError(Status.MAX_STEPS, "too many steps", None)

    verdict = check(toy(sides=stops), n=3, rng=0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "ComputationError" in verdict.witness.text


def test_a_refutation_stands_beside_nan():
    claim = toy(sides=lambda instance: (np.where(instance["x"] > 0.5, np.nan, 1.0), 0.0))
    assert check(claim, n=30, rng=0).outcome is Outcome.REFUTED


def test_a_fault_of_the_claim_is_no_verdict():
    with pytest.raises(KeyError):
        check(toy(sides=lambda instance: instance["no such name"]), n=1, rng=0)


def test_the_witness_is_the_smallest_refuting_instance():
    def draw(rng):
        return {"x": np.full(int(rng.integers(2, 9)), 1 + rng.random())}

    verdict = check(toy(draw=draw, mutants={"doubled": {"factor": 2.0}}), n=40, rng=1, mutant="doubled")
    sizes = [toy(draw=draw).instance(i, 1)["x"].size for i in range(40)]
    assert verdict.n_refuting == 40
    assert verdict.witness.size == min(sizes)
    assert verdict.expected is Outcome.REFUTED


def test_the_tolerance_is_the_border():
    off = toy(sides=lambda instance: (1.0, 1.0 + 1e-3), distance=absolute_distance)
    assert check(replace(off, tolerance=1.1e-3), n=1, rng=0).outcome is Outcome.NOT_REFUTED
    assert check(replace(off, tolerance=0.9e-3), n=1, rng=0).outcome is Outcome.REFUTED


def test_power_counts_the_instances_that_refute_each_mutant():
    assert check(toy(), n=9, rng=0, power=True).power == {"doubled": 9, "halved": 9}
    assert check(toy(), n=9, rng=0).power is None


def test_distances():
    assert relative_distance([0.0, 0.0], [0.0, 0.0]) == 0.0
    assert relative_distance([3j, 1.0], [3j, 4.0]) == pytest.approx(0.75)
    assert np.isnan(relative_distance([np.nan], [1.0]))
    assert excess([1.0, 5.0], [2.0, 4.0]) == pytest.approx(0.25)
    assert excess([1.0], [2.0]) == 0.0
    assert np.isnan(excess([np.inf], [np.inf]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n": 0, "rng": 0}, "n is 0"),
        ({"n": 1, "rng": -1}, "rng is -1"),
        ({"n": 1, "rng": 0, "mutant": "no such"}, "mutant is 'no such', expected one of claim E1's planted errors"),
    ],
)
def test_bad_input_names_the_argument(arguments, text):
    with pytest.raises(ArgumentError, match=text):
        check("E1", **arguments)
