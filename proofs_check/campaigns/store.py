"""What a campaign has tried, in an SQLite file that only grows: whole at every moment, and never an instance twice.

Rows of blocks are committed as they come, with a write-ahead log: a process that is killed loses what it had not yet
committed and nothing else. The file itself refuses changes of its rows, and ignores a block that overlaps another.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lineardyn import __version__
from lineardyn.errors import DataFileError
from proofs_check.campaigns.block import Block, Evidence
from proofs_check.campaigns.fingerprint import fingerprint
from proofs_check.claim import Claim
from proofs_check.verdict import Outcome

__all__ = ["FORMAT", "Store", "StoredClaim"]

FORMAT = 1
APPLICATION_ID = 0x6C696E64  # "lind"
BUSY_SECONDS = 5.0

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE campaign (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE claims (
    claim TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, expected TEXT NOT NULL, tolerance REAL NOT NULL
);
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY, begun TEXT NOT NULL DEFAULT (datetime('now')), environment TEXT NOT NULL
);
CREATE TABLE blocks (
    claim TEXT NOT NULL REFERENCES claims, mutant TEXT NOT NULL, first INTEGER NOT NULL, stop INTEGER NOT NULL,
    n_refuting INTEGER NOT NULL, n_undecided INTEGER NOT NULL, worst REAL, worst_index INTEGER,
    histogram TEXT NOT NULL, refuting TEXT NOT NULL, undecided INTEGER, witness TEXT NOT NULL, digest TEXT NOT NULL,
    checksum INTEGER NOT NULL, seconds REAL NOT NULL, session INTEGER NOT NULL REFERENCES sessions,
    PRIMARY KEY (claim, mutant, first)
) WITHOUT ROWID;
CREATE TRIGGER never_twice BEFORE INSERT ON blocks WHEN EXISTS (
    SELECT 1 FROM blocks WHERE claim = NEW.claim AND mutant = NEW.mutant AND first < NEW.stop AND stop > NEW.first
) BEGIN SELECT RAISE(IGNORE); END;
"""
_APPEND_ONLY = """
CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""
_COLUMNS = (
    "claim, mutant, first, stop, n_refuting, n_undecided, worst, worst_index, histogram, refuting, undecided, witness, "
    "digest"
)


@dataclass(frozen=True)
class StoredClaim:
    """What a store knows of a claim beside its blocks."""

    id: str
    fingerprint: str
    expected: Outcome
    tolerance: float


class Store:
    """A campaign's file, or its memory where ``path`` is None. Use it as a context manager.

    Raises
    ------
    DataFileError
        The file cannot be made or written, is locked, damaged, no store, or of another campaign (another seed).
    """

    def __init__(self, path: Path | None, seed: int) -> None:
        self.path, self.seed = path, seed
        self.session = 0
        with self._explained():
            self._connection = self._opened()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def name(self) -> str:
        """The file, for texts."""
        return "memory" if self.path is None else str(self.path)

    def register(self, claims: Iterable[Claim]) -> None:
        """Enter claims that are new here.

        Raises
        ------
        DataFileError
            The store holds blocks of another version of one of them.
        """
        held = {claim.id: claim for claim in self.claims()}
        new = []
        for claim in claims:
            version = fingerprint(claim)
            if claim.id not in held:
                new.append((claim.id, version, claim.expected.name, claim.tolerance))
            elif held[claim.id].fingerprint != version:
                raise DataFileError(
                    f"store {self.name} holds another version of claim {claim.id} ({held[claim.id].fingerprint}, here "
                    f"it is {version}; lineardyn {__version__}): what was tried does not count for this one; take "
                    f"another file, or go back to that version"
                )
        with self._transaction():
            self._connection.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", new)

    def claims(self) -> list[StoredClaim]:
        """The claims that were entered."""
        with self._explained():
            statement = "SELECT claim, fingerprint, expected, tolerance FROM claims ORDER BY rowid"
            rows = self._connection.execute(statement).fetchall()
            return [StoredClaim(id, version, Outcome[expected], tol) for id, version, expected, tol in rows]

    def append(self, blocks: Sequence[Block]) -> None:
        """Commit blocks, all or none; one whose instances are there already is left out."""
        if not blocks:
            return
        marks = ", ".join("?" * (_COLUMNS.count(",") + 4))
        rows = [(*row, _checksum(row), block.seconds) for block in blocks for row in [_row(block)]]
        with self._transaction():
            if not self.session:
                environment = json.dumps(_environment())
                cursor = self._connection.execute("INSERT INTO sessions (environment) VALUES (?)", (environment,))
                self.session = int(cursor.lastrowid or 0)
            statement = f"INSERT INTO blocks ({_COLUMNS}, checksum, seconds, session) VALUES ({marks})"
            self._connection.executemany(statement, [(*row, self.session) for row in rows])

    def blocks(self, claim_id: str, mutant: str | None) -> list[Block]:
        """All that is known of a claim or of one of its mutants, in the order of the instances."""
        with self._explained():
            rows = self._connection.execute(
                f"SELECT {_COLUMNS}, checksum, seconds FROM blocks WHERE claim = ? AND mutant = ? ORDER BY first",
                (claim_id, mutant or ""),
            ).fetchall()
            return [self._block(row) for row in rows]

    def mutants(self, claim_id: str) -> list[str]:
        """The mutants of a claim that were tried."""
        with self._explained():
            statement = "SELECT DISTINCT mutant FROM blocks WHERE claim = ? AND mutant <> '' ORDER BY mutant"
            return [mutant for (mutant,) in self._connection.execute(statement, (claim_id,)).fetchall()]

    def _block(self, row: tuple[Any, ...]) -> Block:
        *fields, checksum, seconds = row
        if _checksum(tuple(fields)) != checksum:
            raise DataFileError(
                f"store {self.name} is damaged: the block of claim {fields[0]} from instance {fields[2]} is not what "
                f"was written; restore a copy, or take another file"
            )
        claim, mutant, first, stop, refuting, undecided, worst, at, histogram, indices, unknown, witness, digest = (
            fields
        )
        evidence = json.loads(witness)
        return Block(
            claim, mutant or None, first, stop, refuting, undecided, worst, at, tuple(json.loads(histogram)),
            tuple(json.loads(indices)), unknown, None if evidence is None else Evidence(*evidence), int(digest, 16),
            seconds,
        )  # fmt: skip

    def _opened(self) -> sqlite3.Connection:
        if self.path is not None:
            _check_place(self.path)
        connection = connect(self.path)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a power cut too
        connection.execute("BEGIN IMMEDIATE")  # two that start at once: one makes the tables
        try:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                for statement in _statements():
                    connection.execute(statement)
                values = [("format", str(FORMAT)), ("seed", str(self.seed))]
                connection.executemany("INSERT INTO campaign VALUES (?, ?)", values)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._check_identity(connection)
        connection.execute("PRAGMA journal_mode = WAL")

    def _check_identity(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise DataFileError(f"store {self.name} is a database of another program, expected a campaign's: {_OTHER}")
        problems = [text for (text,) in connection.execute("PRAGMA quick_check") if text != "ok"]
        if problems:
            raise DataFileError(f"store {self.name} is damaged ({problems[0]}): restore a copy, or {_OTHER}")
        known = dict(connection.execute("SELECT key, value FROM campaign").fetchall())
        if known.get("format") != str(FORMAT):
            raise DataFileError(
                f"store {self.name} has format {known.get('format')}, expected {FORMAT}: it was written by another "
                f"version of lineardyn; {_OTHER}"
            )
        if known.get("seed") != str(self.seed):
            raise DataFileError(
                f"store {self.name} is of the campaign with seed {known.get('seed')}, this one has seed {self.seed}: "
                f"use that seed, or {_OTHER}"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What SQLite says, as what happened and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one
            what = _REASONS.get(code, "cannot be used ({}): what was committed is whole; " + _OTHER)
            raise DataFileError(f"store {self.name} {what.format(error)}") from error


_OTHER = "take another file"
_REASONS = {
    sqlite3.SQLITE_BUSY: f"is locked by another program for more than {BUSY_SECONDS:g} s ({{}}): what was committed "
    f"is whole; wait until that program is done, and run the same command again",
    sqlite3.SQLITE_FULL: "cannot grow ({}): what was committed is whole; make room, and run the same command again",
    sqlite3.SQLITE_IOERR: "cannot be read or written ({}): see that the disk has room and answers, and run the same "
    "command again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened ({}): see that the folder may be written, or " + _OTHER,
    sqlite3.SQLITE_READONLY: "cannot be written ({}): see its permissions, or " + _OTHER,
    sqlite3.SQLITE_NOTADB: "is no store ({}): " + _OTHER,
    sqlite3.SQLITE_CORRUPT: "is damaged ({}): restore a copy, or " + _OTHER,
}


def _check_place(path: Path) -> None:
    try:
        if not path.parent.is_dir():
            raise DataFileError(f"store {path} cannot be made: {path.parent} is no folder; make it first")
        if path.is_dir():
            raise DataFileError(f"store {path} is a folder, expected a file: name one in it")
    except OSError as error:  # a name that is too long
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f"store {path} cannot be opened ({error.strerror}): {_OTHER}") from None


def connect(path: Path | None) -> sqlite3.Connection:
    """A connection that begins no transactions by itself."""
    name = ":memory:" if path is None else str(path)
    return sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None)


def _statements() -> list[str]:
    triggers = (
        _APPEND_ONLY.format(table=table, verb=verb)
        for table in ("campaign", "claims", "sessions", "blocks")
        for verb in ("UPDATE", "DELETE")
    )
    head, *rest = SCHEMA.split(";\nCREATE ")
    return [head, *(f"CREATE {statement}" for statement in rest), *triggers]


def _row(block: Block) -> tuple[Any, ...]:
    return (
        block.claim_id, block.mutant or "", block.first, block.stop, block.n_refuting, block.n_undecided, block.worst,
        block.worst_index, json.dumps(block.histogram), json.dumps(block.refuting), block.undecided,
        json.dumps(block.witness), f"{block.digest:016x}",
    )  # fmt: skip


def _checksum(row: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(row).encode())


def _environment() -> dict[str, str]:
    """On which the last bits of residuals may depend."""
    return {
        "lineardyn": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def stored_seed(path: Path) -> int:
    """The seed of the campaign in a file that is there.

    Raises
    ------
    DataFileError
        There is no file, or it is no store.
    """
    if not path.is_file():
        raise DataFileError(f"store {path} does not exist, expected the file of a campaign: check the path")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as reader:
            (seed,) = reader.execute("SELECT value FROM campaign WHERE key = 'seed'").fetchone()
            return int(seed)
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise DataFileError(f"store {path} is no store ({error}): {_OTHER}") from None
