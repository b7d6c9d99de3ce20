"""A witness is a small JSON file that replays to the same residual."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from lineardyn.errors import DataFileError
from proofs_check import Witness, check, claims, get
from proofs_check.verdict import decode, encode

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
        ('{"format": 9, "claim": "E1", "instance": {}, "residual": 0, "tolerance": 0}', "format 9, expected 1"),
    ],
)
def test_a_bad_file_says_what_is_wrong(content, text, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataFileError, match=text):
        Witness.load(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataFileError, match="does not exist"):
        Witness.load(tmp_path / "none.json")
