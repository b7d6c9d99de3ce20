"""What came of trying a claim: the outcome, the worst case, and the witness that anyone can replay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from lineardyn.errors import DataFileError

__all__ = ["Instance", "Outcome", "Verdict", "Witness"]

Instance = dict[str, Any]
"""One case of a claim: names to numpy arrays, numbers, strings, or lists and dicts of these."""

WITNESS_FORMAT = 1


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


@dataclass(frozen=True, eq=False)
class Witness:
    """One instance of a claim with its residual: small enough to read, and it replays on any machine.

    ``seed`` and ``index`` say where it came from (index None: an adversary made it); ``instance`` alone suffices to
    replay it. ``left`` and ``right`` are the two numbers that should have been equal (or ordered), ``text`` says so in
    words.
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

    @property
    def size(self) -> int:
        """Numbers in the instance: the measure by which a witness is called small."""
        return instance_size(self.instance)

    def replay(self) -> float:
        """Compute the residual again from the stored instance alone (NaN where it has none)."""
        from proofs_check.claims import get

        return get(self.claim_id).residual_of(self.instance, mutant=self.mutant)

    def to_dict(self) -> dict[str, Any]:
        """The witness as JSON-able data."""
        return {
            "format": WITNESS_FORMAT,
            "claim": self.claim_id,
            "mutant": self.mutant,
            "text": self.text,
            "left": self.left,
            "right": self.right,
            "residual": self.residual,
            "tolerance": self.tolerance,
            "seed": self.seed,
            "index": self.index,
            "instance": encode(self.instance),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Witness:
        """Inverse of :meth:`to_dict`."""
        missing = {"claim", "instance", "residual", "tolerance"} - set(data)
        if missing:
            raise DataFileError(f"the witness lacks {', '.join(sorted(missing))}: it is no file from Witness.save")
        if data.get("format") != WITNESS_FORMAT:
            raise DataFileError(
                f"the witness has format {data.get('format')!r}, expected {WITNESS_FORMAT}: "
                f"it was written by another version, which is needed to replay it"
            )
        return cls(
            claim_id=data["claim"],
            instance=decode(data["instance"]),
            residual=data["residual"],
            tolerance=data["tolerance"],
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
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataFileError(f"{source} is no JSON ({error}), expected a file that Witness.save wrote") from None
        if not isinstance(data, dict):
            raise DataFileError(f"{source} holds a {type(data).__name__}, expected a witness: a file from Witness.save")
        return cls.from_dict(data)


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
