"""How one right-hand side grows with pixels and with classes: ``python -m benchmarks.peers.scaling [--fresh]``.

Modes form, one thread. The exponents are slopes of a straight line through log time over log size, all sizes alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.problems import coherent_problem
from benchmarks.peers.products import measure_products


@dataclass(frozen=True)
class Config:
    """Sides at ``n_classes``, and numbers of classes at ``side``: two decades of pixels and of classes."""

    sides: tuple[int, ...] = (12, 16, 24, 32, 48, 64, 96, 128)
    n_classes: int = 10
    classes: tuple[int, ...] = (1, 2, 4, 8, 10, 16, 32, 64, 100)
    side: int = 32
    repeats: int = 15


TINY = Config(sides=(4, 6, 8), n_classes=2, classes=(1, 2, 3), side=4, repeats=2)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record, with the exponents."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    series = {
        "pixels": [(side, config.n_classes) for side in config.sides],
        "classes": [(config.side, k) for k in config.classes],
    }
    for name, sizes in series.items():
        for side, k in sizes:
            key = f"{name}|{side}²×{k}"
            if key not in record:
                problem = coherent_problem(side, k, ratio=2.0, start_scale=1e-3, name=key)
                size = side * side if name == "pixels" else k
                record.keep(key, {"size": size, **measure_products(problem, config.repeats)})
                say(f"{key}: {record[key]['seconds']['rhs'] * 1e6:.2f} µs")
    record.data["exponents"] = {name: exponent(record.data["cells"], name) for name in series}
    record.write()
    return record.data


def exponent(cells: Mapping[str, Any], name: str) -> float:
    """p of ``time ∝ size^p``, by least squares."""
    chosen = [cell for key, cell in cells.items() if key.split("|")[0] == name]
    sizes, times = [cell["size"] for cell in chosen], [cell["seconds"]["rhs"] for cell in chosen]
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("scaling", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
