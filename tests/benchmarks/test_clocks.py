"""The benchmark of the mode clock runs, and what it times agrees."""

from __future__ import annotations

import json

from benchmarks.peers import clocks


def test_clock_benchmark_runs_and_its_clock_is_exact(tmp_path):
    out = tmp_path / "clocks.json"
    data = clocks.run(clocks.TINY, out)
    cell = data["cells"]["6²×2, s_1/s_K = 2"]
    assert cell["clock_error"] <= 1e-12  # the compiled pass against the adaptive quadrature
    assert cell["targets"]["0.001"]["times_faster"] > 0
    assert json.loads(out.read_text(encoding="utf-8"))["cells"].keys() == data["cells"].keys()
