"""What came of trying a claim: the outcome, the worst case, and the witness that anyone can replay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from lineardyn import __version__
from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.validation import shown

__all__ = ["Instance", "Outcome", "Verdict", "Witness", "round_off_bound"]

Instance = dict[str, Any]
"""One case of a claim: names to numpy arrays, numbers, strings, or lists and dicts of these."""

WITNESS_FORMAT = 2
"""1 had neither version nor round-off bound; the rest is the same."""


class Outcome(Enum):
    """What a numerical check can say. It never says "proved": that is left to proofs."""

    NOT_REFUTED = "not refuted"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


def encode(value: Any) -> Any:
    """Return ``value`` as JSON-able data; arrays keep dtype and shape, complex numbers become ``re`` and ``im``."""
    if isinstance(value, np.ndarray):
        flat = value.ravel()
        if np.iscomplexobj(flat):
            entries: Any = {"re": flat.real.tolist(), "im": flat.imag.tolist()}
        else:
            entries = flat.tolist()
        return {"array": entries, "shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, complex):
        return {"re": value.real, "im": value.imag}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Inverse of :func:`encode` (tuples come back as lists)."""
    if isinstance(value, dict):
        if set(value) == {"array", "shape", "dtype"}:
            entries = value["array"]
            flat = np.array(entries["re"]) + 1j * np.array(entries["im"]) if isinstance(entries, dict) else entries
            return np.array(flat, dtype=value["dtype"]).reshape(value["shape"])
        if set(value) == {"re", "im"}:
            return complex(value["re"], value["im"])
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def round_off_bound(residual: float | None, tolerance: float) -> float:
    """How far the residual of one instance may differ on another machine: ``2 (1 + r) max(tolerance, 4ε)``.

    The tolerance bounds what round-off does to the distance of the two sides, relative to their size, on any machine.
    So two machines differ by twice as much in the distance, and by twice as much of ``r`` in the size that it is
    divided by. The bound is as honest as the tolerance: nothing is measured here.

    >>> round_off_bound(0.5, 1e-12)
    3e-12
    """
    return 2 * (1 + (residual or 0.0)) * max(tolerance, 4 * float(np.finfo(np.float64).eps))


@dataclass(frozen=True, eq=False)
class Witness:
    """One instance of a claim with its residual: small enough to read, and it replays on any machine.

    ``seed`` and ``index`` say where it came from (index None: an adversary made it); ``instance`` alone suffices to
    replay it. ``left`` and ``right`` are the two numbers that should have been equal (or ordered), ``text`` says so in
    words. A replay on another machine gives the same ``residual`` within ``round_off`` (:func:`round_off_bound`).
    ``version`` is that of the library which wrote it.
    """

    claim_id: str
    instance: Instance
    residual: float | None
    tolerance: float
    left: str
    right: str
    text: str
    seed: int
    index: int | None
    mutant: str | None = None
    round_off: float = 0.0
    version: str = __version__
    format: int = WITNESS_FORMAT

    @property
    def size(self) -> int:
        """Numbers in the instance: the measure by which a witness is called small."""
        return instance_size(self.instance)

    @property
    def origin(self) -> str:
        """Which version wrote it, in words; empty if it is this one."""
        if (self.version, self.format) == (__version__, WITNESS_FORMAT):
            return ""
        written = f"lineardyn {self.version}" if self.version else "an earlier version of lineardyn"
        return f"the witness was written by {written} (format {self.format}), this is {__version__} ({WITNESS_FORMAT})"

    def replay(self) -> float:
        """Compute the residual again from the stored instance alone (NaN where it has none).

        Raises
        ------
        DataFileError
            There is no such claim or planted error any more, or the instance is none of this claim: the text says
            which version wrote it.
        """
        from proofs_check.claims import get

        origin = f"; {self.origin}" if self.origin else ""
        try:
            return get(self.claim_id).residual_of(self.instance, mutant=self.mutant)
        except ArgumentError as error:
            raise DataFileError(f"the witness cannot be replayed: {error}{origin}") from None
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DataFileError(
                f"the witness cannot be replayed ({type(error).__name__}: {error}): its instance is none of claim "
                f"{self.claim_id} as it is here{origin or ': the file was changed'}"
            ) from error

    def agrees(self, replayed: float) -> bool:
        """Whether a replay gave the stored residual within its round-off bound (or none again)."""
        if self.residual is None or np.isnan(replayed):
            return self.residual is None and bool(np.isnan(replayed))
        return abs(replayed - self.residual) <= self.round_off

    def to_dict(self) -> dict[str, Any]:
        """The witness as JSON-able data."""
        return {
            "format": self.format,
            "version": self.version,
            "claim": self.claim_id,
            "mutant": self.mutant,
            "text": self.text,
            "left": self.left,
            "right": self.right,
            "residual": self.residual,
            "round_off": self.round_off,
            "tolerance": self.tolerance,
            "seed": self.seed,
            "index": self.index,
            "instance": encode(self.instance),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Witness:
        """Inverse of :meth:`to_dict`; files of other versions are read as far as they hold what a replay needs."""
        version, known = data.get("version", ""), data.get("format")
        missing = {"claim", "instance", "residual", "tolerance"} - set(data)
        if missing:
            writer = f"format {known!r} of lineardyn {version}" if version or known else "no file from Witness.save"
            raise DataFileError(f"the witness lacks {', '.join(sorted(missing))}: it is {writer}")
        residual, tolerance = data["residual"], data["tolerance"]
        if not isinstance(data["instance"], Mapping) or not all(
            isinstance(number, int | float) for number in (residual or 0.0, tolerance)
        ):
            raise DataFileError(
                f"the witness holds residual {shown(residual)}, tolerance {shown(tolerance)} and instance "
                f"{shown(data['instance'])}, expected two numbers and an object: the file was changed"
            )
        return cls(
            claim_id=data["claim"],
            instance=_decoded(data["instance"]),
            residual=residual,
            tolerance=tolerance,
            round_off=data.get("round_off", round_off_bound(residual, tolerance)),
            version=version,
            format=known if isinstance(known, int) else 0,
            left=data.get("left", ""),
            right=data.get("right", ""),
            text=data.get("text", ""),
            seed=data.get("seed", 0),
            index=data.get("index", 0),
            mutant=data.get("mutant"),
        )

    def save(self, path: str | Path) -> Path:
        """Write the witness as JSON (whole or not at all) and return the path."""
        target = Path(path)
        part = target.with_name(target.name + ".part")
        part.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        part.replace(target)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Witness:
        """Read what :meth:`save` wrote."""
        source = Path(path)
        try:
            data = json.loads(source.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataFileError(f"{source} does not exist, expected a witness (JSON): check the path") from None
        except IsADirectoryError:
            raise DataFileError(f"{source} is a folder, expected a witness (JSON): name a file in it") from None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataFileError(f"{source} is no JSON ({error}), expected a file that Witness.save wrote") from None
        if not isinstance(data, dict):
            raise DataFileError(f"{source} holds a {type(data).__name__}, expected a witness: a file from Witness.save")
        return cls.from_dict(data)


def _decoded(instance: Mapping[str, Any]) -> Instance:
    try:
        decoded: Instance = decode(dict(instance))
    except (KeyError, TypeError, ValueError) as error:
        raise DataFileError(f"the witness's instance cannot be read ({error}): the file was changed") from None
    return decoded


@dataclass(frozen=True)
class Verdict:
    """What ``n`` instances of a claim said.

    Attributes
    ----------
    outcome
        REFUTED if a residual exceeds the tolerance; else INCONCLUSIVE if an instance has no finite residual; else
        NOT_REFUTED.
    worst
        The largest finite residual (NaN if there is none), in the claim's own relative unit.
    witness
        The simplest refuting instance (the claim's own smallest cases first, then the fewest numbers, then the largest
        residual); for INCONCLUSIVE an instance without residual; None where nothing is refuted.
    worst_case
        The instance with the largest residual, refuting or not; None if no instance has one.
    n
        Instances tried; fewer than asked for where the claim is dear (``Claim.max_instances``).
    residuals
        All residuals in the order of their index, None for an instance without one.
    power
        Mutant name to the number of instances (of ``n``) that refute it; None if not asked for.
    """

    claim_id: str
    outcome: Outcome
    expected: Outcome
    worst: float
    tolerance: float
    n: int
    n_refuting: int
    seed: int
    reason: str
    witness: Witness | None = field(compare=False)
    worst_case: Witness | None = field(compare=False, repr=False)
    residuals: tuple[float | None, ...] = field(repr=False)
    mutant: str | None = None
    power: Mapping[str, int] | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the one the claim expects."""
        return self.outcome is self.expected

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON-able data, without the residuals' list."""
        return {
            "claim": self.claim_id,
            "mutant": self.mutant,
            "outcome": self.outcome.name,
            "expected": self.expected.name,
            "as_expected": self.as_expected,
            "worst": self.worst if np.isfinite(self.worst) else None,
            "tolerance": self.tolerance,
            "n": self.n,
            "n_refuting": self.n_refuting,
            "seed": self.seed,
            "reason": self.reason,
            "seconds": self.seconds,
            "power": None if self.power is None else dict(self.power),
            "witness": None if self.witness is None else self.witness.to_dict(),
        }


def instance_size(instance: Any) -> int:
    """Count of numbers in an instance."""
    if isinstance(instance, Mapping):
        return sum(instance_size(value) for value in instance.values())
    if isinstance(instance, list | tuple):
        return sum(instance_size(value) for value in instance)
    return 0 if isinstance(instance, str) else int(np.size(instance))
