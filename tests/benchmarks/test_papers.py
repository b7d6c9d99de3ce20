"""The scripts of the papers' claims run, in a size of seconds, and count what they say."""

from __future__ import annotations

from benchmarks.papers import theorem
from benchmarks.peers import regression_tables


def test_theorem(tmp_path):
    said = []
    data = theorem.run(theorem.TINY, tmp_path / "theorem.json", say=said.append)
    cells = data["cells"]
    assert set(cells) == {case.key for case in theorem.cases(theorem.TINY)}
    counted = theorem.summary(cells)
    assert data["summary"] == counted | {"of_cases": 12}
    assert said[-1] == str(data["summary"])
    assert (counted["cases"], counted["of_deep_cases"]) == (12, 10)
    assert (counted["agree"], counted["networks_below"], counted["printed_constant_agrees"]) == (1.0, 0, 0)
    # a second run finds everything there; what disagrees is listed with both values
    key = next(iter(cells))
    again = theorem.run(theorem.TINY, tmp_path / "theorem.json", say=said.append)["cells"]
    assert again == cells
    shown = regression_tables.theorem(data)
    assert "12 of 12 cases" in shown
    assert "those that differ" not in shown
    none = theorem.run(theorem.TINY, seconds=-1.0, say=said.append)
    assert (none["cells"], "summary" in none) == ({}, False)
    again[key] |= {"network": 3.0, "predictor": 2.0, "excess": 1.0}
    assert theorem.summary(again)["disagree"] == {key: (3.0, 2.0)}


def test_the_grid_of_the_theorem_is_whole():
    """Shapes 3×3 to 6×5, depths 1 to 5, all C, K ≤ 3, and widths below, at and above min(C, K)."""
    all_of_them = list(theorem.cases(theorem.Config()))
    assert len({case.key for case in all_of_them}) == len(all_of_them) == 12 * (9 * 2 + 4 * 2 * (5 * 2 + 4 * 3))
    assert {case.shape for case in all_of_them} == {(h, w) for h in (3, 4, 5, 6) for w in (3, 4, 5)}
    widths = {case.widths for case in all_of_them if (case.channels, case.outputs, case.depth) == (3, 2, 3)}
    assert widths == {(1, 1), (2, 2), (3, 3)}
