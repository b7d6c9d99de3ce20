"""A witness is a small JSON file that replays to the same residual."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lineardyn import __version__
from lineardyn.errors import DataFileError
from proofs_check import Witness, check, claims, get
from proofs_check.verdict import decode, encode, round_off_bound

IDS = [claim.id for claim in claims()]


@pytest.mark.parametrize("claim_id", IDS)
def test_saved_witness_replays_to_the_bit(claim_id, tmp_path):
    claim = get(claim_id)
    verdict = check(claim, n=12, rng=4, mutant=next(iter(claim.mutants)))
    for case in (verdict.witness, verdict.worst_case):
        loaded = Witness.load(case.save(tmp_path / "witness.json"))
        assert loaded.to_dict() == case.to_dict()
        assert loaded.replay() == case.residual
        assert loaded.replay() > claim.tolerance


def test_the_witness_replays_from_its_instance_and_not_from_the_seed(tmp_path):
    data = check("E1", n=1, rng=0).witness.to_dict()
    data["seed"], data["index"] = 123, 45
    assert Witness.from_dict(data).replay() == data["residual"]
    data["instance"]["kernel"]["array"][0] = 0.0  # w = 0: both sides vanish
    assert Witness.from_dict(data).replay() == 0.0


def test_the_file_is_plain_json_and_small(tmp_path):
    path = check("E6", n=30, rng=0).witness.save(tmp_path / "e6.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["claim"] == "E6"
    assert path.stat().st_size < 4000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e6.json"]


@pytest.mark.parametrize(
    "value",
    [
        np.array([[1.5, -0.0], [5e-324, 1e308]]),
        np.array([1 + 2j, 3 - 1e-300j]),
        np.arange(6).reshape(2, 3),
        np.array([True, False]),
        np.zeros((0, 3)),
        [np.eye(2), {"a": 0.1, "b": "text"}],
        0.1 + 0.2,
        1 - 2j,
    ],
)
def test_values_survive_json(value):
    back = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert repr(back) == repr(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.shape == value.shape
        assert back.tobytes() == value.tobytes()


def test_a_witness_without_residual_is_kept(tmp_path):
    witness = check("E1", n=1, rng=0).witness
    data = {**witness.to_dict(), "residual": None}
    loaded = Witness.load(Witness.from_dict(data).save(tmp_path / "w.json"))
    assert loaded.residual is None
    assert math.isfinite(loaded.replay())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is no JSON"),
        ("[1]", "holds a list"),
        ('{"format": 1}', "lacks claim, instance, residual, tolerance"),
        ('{"format": 9, "version": "2.0", "claim": "E1"}', "lacks .* format 9 of lineardyn 2.0"),
        ('{"claim": "E1", "instance": [], "residual": 0, "tolerance": 0}', "expected two numbers and an object"),
        ('{"claim": "E1", "instance": {}, "residual": "x", "tolerance": 0}', "residual 'x'"),
        (
            '{"claim": "E1", "instance": {"a": {"array": [1], "shape": [2], "dtype": "float64"}}, "residual": 0, '
            '"tolerance": 0}',
            "instance cannot be read",
        ),
    ],
)
def test_a_bad_file_says_what_is_wrong(content, text, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataFileError, match=text):
        Witness.load(path)


# --- Of other versions ----------------------------------------------------------------------------------------------


def data_of(**changes):
    return {**check("E1", n=1, rng=0).witness.to_dict(), **changes}


def test_a_witness_says_which_version_wrote_it():
    data = data_of()
    assert data["version"] == __version__
    assert Witness.from_dict(data).origin == ""
    later = Witness.from_dict(data_of(version="9.1", format=7, colour="new"))
    assert "written by lineardyn 9.1 (format 7)" in later.origin
    assert __version__ in later.origin
    assert later.replay() == data["residual"]  # it holds all that is needed


def test_the_first_format_still_replays():
    data = data_of(format=1)
    del data["version"], data["round_off"]
    old = Witness.from_dict(data)
    assert "an earlier version of lineardyn (format 1)" in old.origin
    assert old.agrees(old.replay())
    assert old.round_off == round_off_bound(data["residual"], data["tolerance"])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"claim": "parsevel"}, "did you mean 'parseval'.*written by lineardyn 0.0.7"),
        ({"claim": ["E1"]}, "expected the id of a registered claim"),
        ({"mutant": "gone"}, "mutant is 'gone'.*written by lineardyn 0.0.7"),
        ({"instance": {}}, "KeyError: 'kernel'.*none of claim E1 as it is here; .*0.0.7"),
    ],
)
def test_what_cannot_be_replayed_names_the_version_that_can(changes, text):
    with pytest.raises(DataFileError, match=text):
        Witness.from_dict(data_of(version="0.0.7", **changes)).replay()


def test_a_changed_instance_of_this_version_is_said():
    with pytest.raises(DataFileError, match="as it is here: the file was changed"):
        Witness.from_dict(data_of(instance={})).replay()


# --- Round-off ------------------------------------------------------------------------------------------------------


def test_a_replay_agrees_within_the_stated_bound():
    """2 (1 + r) tolerance: r = 1/√2 - ½ of E1 at the tolerance 1e-12."""
    witness = check("E1", n=1, rng=0).witness
    bound = 2 * (0.5 + 1 / math.sqrt(2)) * 1e-12
    assert witness.round_off == pytest.approx(bound, rel=1e-12)
    assert witness.agrees(witness.residual + 0.99 * bound)
    assert not witness.agrees(witness.residual + 1.01 * bound)
    assert not witness.agrees(math.nan)
    without = Witness.from_dict({**witness.to_dict(), "residual": None})
    assert without.agrees(math.nan)
    assert not without.agrees(0.0)


@pytest.mark.parametrize(
    "claim_id", ["convolution-theorem", "E1", "E2", "parseval", "circulant-diagonalisation", "E11"]
)
def test_another_machine_stays_within_the_bound(claim_id):
    """Another order of summation is a perturbation of the entries by a few ε: here of 8 ε each."""
    claim, rng = get(claim_id), np.random.default_rng(3)
    for case in range(20):
        verdict = check(claim, n=1 + case, rng=case, mutant=next(iter(claim.mutants)))
        witness = verdict.worst_case
        moved = {name: moved_by_round_off(value, rng) for name, value in witness.instance.items()}
        assert witness.agrees(replace(witness, instance=moved).replay())


def moved_by_round_off(value, rng):
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fc":
        return value
    return value * (1 + 8 * np.finfo(float).eps * rng.uniform(-1, 1, value.shape))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataFileError, match="does not exist"):
        Witness.load(tmp_path / "none.json")
