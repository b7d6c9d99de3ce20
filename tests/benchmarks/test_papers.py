"""The scripts of the papers' claims run, in a size of seconds, and count what they say."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.torch
def test_bottleneck(tmp_path):
    pytest.importorskip("torch")
    from benchmarks.papers import bottleneck

    said = []
    data = bottleneck.run(bottleneck.TINY, tmp_path / "bottleneck.json", say=said.append)
    cells = data["cells"]
    assert set(cells) == {case.key for case in bottleneck.cases(bottleneck.TINY)}
    counted = bottleneck.summary(bottleneck.TINY, cells)
    assert said[-1] == str(counted)
    assert counted["below_a_bound"] == []
    gains = counted["depth"]["gains, local pooling"]
    weight = 2 / 0.85**2
    assert gains["rank"] == pytest.approx(1 + weight)
    assert gains["first_correction"] == pytest.approx(2 * np.log(2.0) + 2 * weight * np.log(0.5 * 0.85))
    norms = cells["depth, local pooling, gains"]["norms"]
    # three depths, three numbers: the fit goes through all
    fitted = gains["trained"]
    assert [fitted["slope"] * n + fitted["intercept"] + fitted["remainder"] / n for n in (3, 4, 5)] == pytest.approx(
        norms
    )
    assert gains["least_norm_over_bound"] >= 1 - 1e-9
    local = counted["poolings"]["local"]
    # 1 + 2/m_1², m_1 = 0.7 + 0.3 cos 60°
    assert local["rank"] == pytest.approx(1 + 2 / 0.85**2)
    assert local["linear_norm_over_cost"] >= 1 - 1e-9
    norms = [bottleneck.best_of(bottleneck.TINY, cells, "local", depth)["norm"] for depth in (3, 4)]
    assert local["slope"] == pytest.approx(norms[1] - norms[0])
    assert [row["status"] for row in counted["rates"].values()] == ["SUCCESS", "DIVERGED"]
    assert (tmp_path / "bottleneck.svg").stat().st_size > 5000
    # a second run finds everything there, and a network below its bound would be named
    again = bottleneck.run(bottleneck.TINY, tmp_path / "bottleneck.json", say=said.append)["cells"]
    assert again == cells
    depths, key = (next(key for key in cells if key.startswith(part)) for part in ("depth", "relu"))
    again[key] |= {"norm": 0.5 * cells[key]["jacobian_bound"]}
    again[depths]["norms"][1] = 0.9 * cells[depths]["bounds"][1]
    assert bottleneck.below(again) == [depths, key]


def test_the_targets_of_the_depths_are_what_their_blocks_say():
    """On positive means the kinked target is the map whose cost is held against it, and not elsewhere."""
    from benchmarks.papers import bottleneck_depth

    part = bottleneck_depth.DepthPart()
    for target in bottleneck_depth.TARGETS:
        x, y = bottleneck_depth.data(part, target)
        blocks = bottleneck_depth.target_blocks(part, target)
        linear = np.fft.ifft(np.einsum("woi,niw->now", blocks, np.fft.fft(x))).real
        same = np.abs(y - linear).max(axis=(1, 2)) < 1e-12
        negative = x[:, 0].mean(axis=-1) < 0
        assert np.array_equal(same, ~negative)
        assert negative.any() == (target == "kinked")
        assert y[negative, 0].max(initial=0.0) == 0.0


def test_the_grid_of_the_theorem_is_whole():
    """Shapes 3×3 to 6×5, depths 1 to 5, all C, K ≤ 3, and widths below, at and above min(C, K)."""
    all_of_them = list(theorem.cases(theorem.Config()))
    assert len({case.key for case in all_of_them}) == len(all_of_them) == 12 * (9 * 2 + 4 * 2 * (5 * 2 + 4 * 3))
    assert {case.shape for case in all_of_them} == {(h, w) for h in (3, 4, 5, 6) for w in (3, 4, 5)}
    widths = {case.widths for case in all_of_them if (case.channels, case.outputs, case.depth) == (3, 2, 3)}
    assert widths == {(1, 1), (2, 2), (3, 3)}
