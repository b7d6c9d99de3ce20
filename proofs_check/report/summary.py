"""The reader's summary at the top: what came out, in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proofs_check.report.cosines import Cosines
from proofs_check.report.learning import Learning, in_order
from proofs_check.report.ledger import Entry
from proofs_check.report.sums import Sums
from proofs_check.verdict import Outcome

__all__ = ["Fact", "facts"]


@dataclass(frozen=True)
class Fact:
    """A number, what it is of, and what it means; ``section`` is where it comes from."""

    value: str
    text: str
    section: str


def facts(learned: Sequence[Learning], cosines: Cosines, sums: Sums, entries: Sequence[Entry]) -> list[Fact]:
    """The main results, the ledger first."""
    expected = sum(e.as_expected for e in entries)
    errata = sum(e.verdict.outcome is Outcome.REFUTED for e in entries)
    gap = max(np.abs((cosines.flow[k] - cosines.closed[k]) / cosines.s).max() for k in cosines.flow)
    result = [
        Fact(f"{expected} / {len(entries)}", f"claims as expected; {errata} refuted, each with a witness", "ledger"),
        Fact(
            f"{gap:.0e}",
            "largest relative difference of integration and closed-form sigmoid, pure cosines",
            "pure-cosines",
        ),
    ]
    for r in learned:
        result += _facts_of(r)
    result.append(
        Fact(
            "yes" if sums.as_predicted else "no",
            "the clock's predicted winners won, in the flow and under SGD",
            "sums-of-cosines",
        )
    )
    return result


def _facts_of(r: Learning) -> list[Fact]:
    title, place, runs = r.dataset.title.lower(), f"{r.dataset.name}-learning", len(r.flow["cnn"])
    times, delays = r.times("cnn"), r.delays[np.isfinite(r.delays)]
    share = r.kernel_share()
    result = [Fact(f"{in_order(times)} / {runs}", f"CNN runs that learn the modes in the order of s ({title})", place)]
    if len(delays):
        spread = f"{delays.min():.1f}–{delays.max():.1f}×" if len(delays) > 1 else f"{delays[0]:.1f}×"
        result.append(Fact(spread, f"later: the CNN against the fully connected network, by mode ({title})", place))
    result.append(
        Fact(
            f"{100 * share['cnn']:.0f} %",
            "of the kernel's power in 5 % of the frequencies when the last mode is learned; fully connected "
            f"{100 * share['fcnn']:.0f} % ({title})",
            place,
        )
    )
    return result
