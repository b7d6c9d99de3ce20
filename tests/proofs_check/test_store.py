"""The store: it only grows, counts nothing twice, and says what is wrong with a file that cannot be used."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from lineardyn.errors import DataFileError
from proofs_check import Ledger, campaign
from proofs_check.campaigns import running, store
from proofs_check.campaigns.fingerprint import fingerprint
from proofs_check.claim import BATCH
from tests.proofs_check.test_campaigns import batched_toy
from tests.proofs_check.test_claims import toy

CLAIM = batched_toy()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setitem(running.LENGTHS, "batched", 2 * BATCH)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.1)


@pytest.fixture
def path(tmp_path):
    """A finished campaign of five blocks."""
    campaign([CLAIM], n=300, rng=0, store=tmp_path / "s")
    return tmp_path / "s"


def resumed(path, n=300):
    return campaign([CLAIM], n=n, rng=0, store=path)


def undisturbed(n=300):
    return campaign([CLAIM], n=n, rng=0)


# --- Only growth ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["campaign", "claims", "sessions", "blocks"])
@pytest.mark.parametrize("verb", ["DELETE FROM {}", "UPDATE {} SET {} = 0"])
def test_the_file_refuses_changes(path, table, verb):
    column = {"campaign": "value", "claims": "tolerance", "sessions": "begun", "blocks": "n_refuting"}[table]
    with store.connect(path) as file, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        file.execute(verb.format(table, column))


def test_a_block_that_overlaps_another_is_not_counted(path):
    with store.Store(path, 0) as kept:
        blocks = kept.blocks("toy", None)
        kept.append([blocks[1], replace(blocks[1], first=blocks[1].first + 10)])
        kept.append([replace(blocks[-1], first=blocks[-1].stop - 1, stop=blocks[-1].stop + 7)])
        assert kept.blocks("toy", None) == blocks
        beyond = replace(blocks[-1], first=300, stop=307)  # and one that touches is
        kept.append([beyond, beyond])
        assert kept.blocks("toy", None) == [*blocks, beyond]


def test_two_campaigns_at_once_count_nothing_twice(path, tmp_path):
    """Each block is committed by another campaign first, from a plan with other edges."""
    other = iter(range(310, 1000, 60))

    def meanwhile(_):
        campaign([CLAIM], n=next(other), rng=0, store=path)

    ledger = campaign([CLAIM], n=600, rng=0, store=path, on_block=meanwhile)
    assert ledger["toy"].n >= 600
    assert ledger == undisturbed(ledger["toy"].n)


def test_the_log_is_written_ahead_and_sessions_say_where(path):
    with store.connect(path) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL, SQLite's default
        ((environment,),) = file.execute("SELECT environment FROM sessions").fetchall()
        assert np.__version__ in environment


def test_rows_come_back_as_they_were(path):
    kept = []
    ledger = campaign([replace(CLAIM, tolerance=1e-16)], n=300, rng=0, on_block=kept.append)
    assert ledger["toy"].total.n_refuting > 8
    with store.Store(None, 0) as memory:
        memory.register([CLAIM])
        memory.append(kept)
        assert memory.blocks("toy", None) == kept


def test_more_claims_and_mutants_may_be_added(path):
    more = batched_toy(id="more")
    campaign([more, CLAIM], n=100, rng=0, store=path, power=True)
    rows = [(row.claim_id, row.mutant, row.n) for row in Ledger.load(path)]
    assert rows == [
        ("toy", None, 300), ("toy", "doubled", 100), ("toy", "halved", 100),
        ("more", None, 100), ("more", "doubled", 100), ("more", "halved", 100),
    ]  # fmt: skip


# --- Other campaigns ------------------------------------------------------------------------------------------------


def test_another_seed_is_another_campaign(path):
    with pytest.raises(DataFileError, match=r"is of the campaign with seed 0, this one has seed 1: use that seed, or"):
        campaign([CLAIM], n=10, rng=1, store=path)


def test_another_version_of_a_claim_does_not_count(path):
    changed = replace(CLAIM, tolerance=1e-11)
    with pytest.raises(DataFileError, match="another version of claim toy") as caught:
        campaign([changed], n=10, rng=0, store=path)
    assert fingerprint(CLAIM) in str(caught.value)
    assert fingerprint(changed) in str(caught.value)


def test_a_store_of_another_format_says_which(path, monkeypatch):
    monkeypatch.setattr(store, "FORMAT", 2)
    with pytest.raises(DataFileError, match="has format 1, expected 2"):
        resumed(path)


def test_a_database_of_another_program_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE photographs (name)")
    before = (tmp_path / "other").read_bytes()
    with pytest.raises(DataFileError, match="is a database of another program"):
        resumed(tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == before


# --- Locked, damaged, full ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_locked_store_says_so_and_goes_on_afterwards(path, lock):
    other = store.connect(path)
    other.execute(lock)
    with pytest.raises(DataFileError, match=r"is locked by another program for more than .*run the same command again"):
        resumed(path, 500)
    other.close()
    assert resumed(path, 500) == undisturbed(500)


def test_a_store_that_is_locked_in_the_middle_is_whole(tmp_path):
    path = tmp_path / "s"
    others = []

    def lock(_):
        others.append(store.connect(path))
        others[-1].execute("BEGIN IMMEDIATE")

    with pytest.raises(DataFileError, match="is locked"):
        campaign([CLAIM], n=300, rng=0, store=path, on_block=lock)
    others[0].close()
    assert 0 < Ledger.load(path)["toy"].n < 300
    assert resumed(path) == undisturbed()


def test_a_full_disk_says_so_and_goes_on_afterwards(tmp_path, monkeypatch):
    path, prepare = tmp_path / "s", store.Store._prepare

    def small(self, connection):
        prepare(self, connection)
        connection.execute("PRAGMA max_page_count = 8")

    monkeypatch.setattr(store.Store, "_prepare", small)
    with pytest.raises(DataFileError, match=r"cannot grow \(database or disk is full\).*make room"):
        campaign([CLAIM], n=9000, rng=0, store=path)
    monkeypatch.setattr(store.Store, "_prepare", prepare)
    assert 0 < Ledger.load(path)["toy"].n < 9000
    assert resumed(path, 9000) == undisturbed(9000)


def test_a_store_that_may_not_be_written_says_so(path, monkeypatch):
    monkeypatch.setattr(
        store, "connect", lambda path: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    )
    with pytest.raises(DataFileError, match=r"cannot be written .*see its permissions"):
        resumed(path, 500)


def test_a_file_that_cannot_be_made_says_so(tmp_path):
    with pytest.raises(DataFileError, match="is no folder; make it first"):
        resumed(tmp_path / "none" / "s")
    with pytest.raises(DataFileError, match="is a folder, expected a file"):
        resumed(tmp_path)
    with pytest.raises(DataFileError, match="cannot be opened"):
        resumed(tmp_path / ("x" * 300))


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(500), b"PK" + bytes(5000)])
def test_a_file_that_is_no_database_says_so(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(DataFileError, match=r"is no store|is damaged"):
        resumed(tmp_path / "s")
    with pytest.raises(DataFileError, match="is no store"):
        Ledger.load(tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == content


def test_a_damaged_file_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[4096:12288] = bytes(8192)
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="is damaged"):
        resumed(path, 500)


def test_a_row_that_is_not_what_was_written_is_noticed(path):
    with store.Store(path, 0) as kept:
        digest = f"{kept.blocks('toy', None)[2].digest:016x}".encode()
    content = path.read_bytes()
    assert content.count(digest) == 1
    path.write_bytes(content.replace(digest, digest[::-1]))
    with pytest.raises(DataFileError, match=r"is damaged: the block of claim toy from instance 130 is not what was"):
        resumed(path)


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "s").touch()
    assert resumed(tmp_path / "s") == undisturbed()


def test_a_missing_file_has_no_ledger(tmp_path):
    with pytest.raises(DataFileError, match="does not exist"):
        Ledger.load(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


# --- Versions of claims ---------------------------------------------------------------------------------------------

SOURCE = '''
"""Text."""
import functools
LIMIT = {limit}

def inner(x):
    {inner}

class Scale:
    def __init__(self):
        self.factor = {factor}

@functools.lru_cache
def outer(x):
    return [inner(x) for _ in range(LIMIT)], Scale().factor

TABLE = {{"a": outer}}

def draw(rng):
    """{doc}"""
    return {{}}  # {comment}

def sides(instance, factor=1.0):
    return TABLE["a"](factor), 0.0
'''
PLAIN = {"limit": 3, "inner": "return x", "factor": 1.5, "doc": "doc", "comment": "comment"}


def version_of(tmp_path, monkeypatch, name, **changes):
    (tmp_path / f"{name}.py").write_text(SOURCE.format(**{**PLAIN, **changes}), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__(name)
    return fingerprint(toy(draw=module.draw, sides=module.sides))


def test_a_claim_has_another_version_where_its_code_is_another(tmp_path, monkeypatch):
    plain = version_of(tmp_path, monkeypatch, "plain_claim")
    assert version_of(tmp_path, monkeypatch, "commented_claim", comment="other", doc="other") == plain
    changes = [{"limit": 4}, {"inner": "return 2 * x"}, {"factor": 1.25}]
    others = [version_of(tmp_path, monkeypatch, f"claim_{i}", **change) for i, change in enumerate(changes)]
    assert len({plain, *others}) == 4


CHANGES = {
    "id": "other",
    "tolerance": 2e-12,
    "formula": {"factor": 1.0 + 1e-15},
    "mutants": {"doubled": {"factor": 3.0}},
    "smallest": ({"x": np.zeros(4)},),
    "draw": lambda rng, n: {"x": np.ones((n, 4))},
    "extended": lambda instance: (0.0, 0.0),
    "batched": False,
    "distance": np.subtract,
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_decides_the_residuals_is_in_the_version(field):
    assert fingerprint(replace(CLAIM, **{field: CHANGES[field]})) != fingerprint(CLAIM)


def test_words_are_not_in_the_version():
    assert fingerprint(replace(CLAIM, title="other", statement="other", source="other")) == fingerprint(CLAIM)
