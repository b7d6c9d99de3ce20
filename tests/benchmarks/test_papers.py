"""The scripts of the papers' claims run, in a size of seconds, and count what they say."""

from __future__ import annotations

from benchmarks.papers import theorem


def test_theorem(tmp_path):
    said = []
    data = theorem.run(theorem.TINY, tmp_path / "theorem.json", say=said.append)
    cells = data["cells"]
    assert set(cells) == {case.key for case in theorem.cases(theorem.TINY)}
    counted = theorem.summary(cells)
    assert said[-1] == str(counted)
    assert (counted["cases"], counted["of_deep_cases"]) == (12, 10)
    assert (counted["agree"], counted["networks_below"], counted["printed_constant_agrees"]) == (1.0, 0, 0)
    # a second run finds everything there; what disagrees is listed with both values
    key = next(iter(cells))
    again = theorem.run(theorem.TINY, tmp_path / "theorem.json", say=said.append)["cells"]
    assert again == cells
    again[key] |= {"network": 3.0, "predictor": 2.0, "excess": 1.0}
    assert theorem.summary(again)["disagree"] == {key: (3.0, 2.0)}
