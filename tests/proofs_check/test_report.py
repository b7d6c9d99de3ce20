"""The report: its numbers are right, its page stands alone, and it is written whole or not at all."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from rich.console import Console

from lineardyn.data import pure_cosines
from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from lineardyn.moments import SecondMoments
from proofs_check import Witness
from proofs_check.report import ReportOptions, cosines, learning, make_report, sums
from proofs_check.report.datasets import load_dataset
from proofs_check.report.drawings import histogram, numbers_of, tiles_of
from proofs_check.report.learning import dominant
from proofs_check.report.output import MARK, ReportFolder
from proofs_check.report.progress import Steps
from proofs_check.report.rendering import mathematics
from proofs_check.report.runs import in_threads
from proofs_check.report.section import plain
from proofs_check.report.times import crossing_times, median_times
from proofs_check.spectra import fit_power_law, radial_average


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report"
    options = ReportOptions(data=("shapes", "patches", "cosines"), size=16, runs=2, instances=4, out=out)
    with Steps(Console(quiet=True)) as steps:
        page, entries = make_report(options, steps)
    return out, page, entries


# -- the numbers ---------------------------------------------------------------------------------------------------


def test_crossing_time_of_a_sigmoid_is_exact_on_a_coarse_grid():
    t = np.linspace(0, 10, 6)
    b = 3 / (1 + np.exp(4.2 - 1.3 * t))[:, None]
    # linear interpolation would be 0.04 off; the logit is linear, so that only round-off is left
    np.testing.assert_allclose(crossing_times(t, b, np.array([3.0])), [4.2 / 1.3], rtol=1e-12)
    assert np.isnan(crossing_times(t, b, np.array([30.0]))).all()


def test_median_time_counts_never_as_latest():
    times = np.array([[1.0, 1.0], [3.0, np.nan], [np.nan, np.nan], [2.0, 4.0]])
    np.testing.assert_array_equal(median_times(times), [2.5, np.nan])


def test_a_spectrum_of_lines_has_no_power_law():
    images, _ = pure_cosines((16, 16), [(0, 0), (5, 2), (1, 7), (0, 4)], [1.5, 1.0, 0.5, 0.2])
    power = (np.abs(fft2(images)) ** 2).mean(axis=0)
    assert np.isnan(fit_power_law(*radial_average(power), 8).exponent)


def test_frequencies_of_round_off_do_not_dominate():
    images, targets = pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5])
    modes = SecondMoments.from_data(images, targets).modes()
    assert [dominant(np.abs(q[0]), 2) for q in modes.q] == [[(0, 0)], [(1, 2)]]


def test_power_law_of_a_planted_spectrum_is_found():
    u = np.fft.fftfreq(64) * 64
    distance = np.hypot(u[:, None], u)
    power = np.divide(1.0, distance**2.6, out=np.zeros_like(distance), where=distance > 0)[None]
    law = fit_power_law(*radial_average(power), 32)
    # the mean over a ring of width 1 exceeds the power at the mean radius by O(1/r²) relative, felt at r = 1, 2 alone
    assert law.exponent == pytest.approx(2.6, abs=0.03)
    assert law.interval[0] < law.exponent < law.interval[1]


def test_pure_cosines_have_the_delays_of_the_theory():
    result = cosines.compute(8)
    assert [tuple(f) for f in result.frequencies] == [(0, 0), (3, 6), (1, 7), (0, 4)]
    assert result.m.tolist() == [1, 2, 2, 1]  # (0, 4) is its own conjugate on 8 × 8: erratum E6
    # both flows to rtol 1e-10 over ~100 steps; √2 in place of 1 would be off by 0.4
    np.testing.assert_allclose(result.delays, np.sqrt(result.m), rtol=1e-5)
    numbers = result.numbers()
    assert max(numbers["flow_minus_closed_form"].values()) < 1e-4
    # a finite learning rate: 0.5 · rate · growth ~ ln(1e4) / 8000 steps, times the slope of the sigmoid
    assert 1e-5 < numbers["descent_minus_closed_form"]["cnn"] < 0.1


def test_sums_of_cosines_follow_the_clock_and_its_winners():
    result = sums.compute(12)
    numbers = result.numbers()
    assert numbers["flow_minus_clock"] < 1e-6  # rtol 1e-10, 100 steps, growth e^9 of an error made at the start
    assert result.predicted == result.found["flow"] == result.found["sgd"] == [(2, 3), (1, 4)]
    assert numbers["sgd_minus_clock"] > 1e-3  # the luck of the draw is seen


@pytest.fixture(scope="module")
def learned():
    dataset = load_dataset("shapes", ReportOptions(data=("shapes",), size=16))
    moments = learning.moments_of(dataset)
    plan = learning.plan(moments, rng=0)
    return learning.compute(dataset, moments, plan, runs=2, seed=0)


def test_shapes_are_learned_in_order_and_later_by_the_cnn(learned):
    numbers = learned.numbers()
    assert numbers["all_modes_reached"]
    assert numbers["runs_learned_in_order"] == {"cnn": 2, "fcnn": 2}
    assert (learned.delays > 1).all()
    shares = numbers["kernel_power_in_top_5_percent"]
    assert shares["cnn"] > 0.8 > shares["fcnn"]


def test_training_follows_the_flow_from_the_same_start(learned):
    # one-sample steps at 1.5 % of their limit: measured 0.05 to 0.1 of s_1; another start would differ by about 1
    assert max(learned.gap("cnn"), learned.gap("fcnn")) < 0.25
    flow, trained = (median_times(learned.times("cnn", trained=value)) for value in (False, True))
    np.testing.assert_allclose(trained, flow, rtol=0.1)


def test_compute_is_the_same_in_any_number_of_threads(learned):
    again = learning.compute(learned.dataset, learning.moments_of(learned.dataset), learned.plan, runs=2, seed=0)
    np.testing.assert_array_equal(again.stack("cnn", "diagonal"), learned.stack("cnn", "diagonal"))
    np.testing.assert_array_equal(
        again.stack("fcnn", "loss", trained=True), learned.stack("fcnn", "loss", trained=True)
    )


def test_an_error_in_one_job_ends_all():
    done = []

    def work(job):
        done.append(job)
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        in_threads(list(range(500)), work, lambda: None)
    assert len(done) < 500


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_page_stands_alone(report):
    html = report[1].read_text(encoding="utf-8")
    sources = re.findall(r'<img src="([^"]{0,30})', html)
    assert len(sources) > 20
    assert all(source.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,")) for source in sources)
    assert not re.findall(r'(?:href|src)="(?!#|data:|claims/)', html)
    assert "@import" not in html
    assert "url(" not in html
    assert "<script" not in html


def test_every_picture_has_a_caption_and_files(report):
    html = report[1].read_text(encoding="utf-8")
    assert html.count("<figcaption>") == html.count("<img ") == len(re.findall(r'alt="[^"]{10,}"', html))
    files = {p.name for p in (report[0] / "figures").iterdir()}
    assert {p.removesuffix(".svg") for p in files if p.endswith(".svg")} == {
        p.removesuffix(".png") for p in files if p.endswith(".png")
    }
    assert len(files) == 2 * html.count("<img ")


def test_the_ledger_shows_each_claim_with_its_verdict(report):
    html, entries = report[1].read_text(encoding="utf-8"), report[2]
    assert {"E1", "E2", "E6", "E7", "E11"} <= {entry.claim.id for entry in entries}
    assert all(entry.as_expected for entry in entries)
    witnesses = [entry for entry in entries if entry.verdict.witness is not None]
    assert html.count('<article class="claim ') == html.count('class="witness"') == len(witnesses)
    assert html.count('<td class="outcome ') == len(entries)


def test_each_claim_has_a_page_that_the_ledger_and_its_neighbours_link_to(report):
    folder, _, entries = report
    ids = {entry.claim.id for entry in entries}
    assert {p.stem for p in (folder / "claims").glob("*.html")} == ids
    assert set(re.findall(r'href="claims/([^"]+)\.html"', report[1].read_text(encoding="utf-8"))) == ids
    for entry in entries:
        html = (folder / "claims" / f"{entry.claim.id}.html").read_text(encoding="utf-8")
        linked = re.findall(r'href="([^"]+)"', html)
        assert all((folder / "claims" / link.split("#")[0]).exists() for link in linked), linked
        assert html.count(f" of {entry.verdict.n}</td>") == len(entry.claim.mutants)


def test_the_witness_beside_a_page_replays_to_its_residual(report):
    for claim_id, entry in {entry.claim.id: entry for entry in report[2]}.items():
        case = entry.verdict.witness or entry.verdict.worst_case
        assert Witness.load(report[0] / "claims" / f"{claim_id}.json").replay() == case.residual


@pytest.mark.parametrize("seed", range(20))
def test_bars_of_the_histogram_are_the_counts_on_their_side_of_the_tolerance(seed):
    rng = np.random.default_rng(seed)
    tolerance = 10.0 ** -int(rng.integers(1, 14))
    beyond = [float(tolerance * 10.0**x) for x in rng.uniform(0.01, 6, int(rng.integers(0, 5)))]
    within = [float(0.1 * tolerance * 10.0**-x) for x in rng.uniform(0.01, 3, int(rng.integers(0, 5)))]
    svg = str(histogram([*beyond, *within, 0.0, None], tolerance))
    bars = re.findall(r'<rect class="(\w+)"[^>]*/><text[^>]*>(\d+)</text>', svg)
    counted = {side: sum(int(n) for s, n in bars if s == side) for side in ("within", "beyond")}
    assert counted == {"within": len(within) + 1, "beyond": len(beyond) + 1}  # the zero; the one without residual


def test_tiles_draw_every_number_of_every_array():
    instance = {
        "text": "a case",
        "weights": [np.ones((2, 1, 3, 1)), np.array([1.0, np.inf])],
        "spectrum": np.array([1j, -2.0]),
        "large": np.zeros(10_000),
        "scale": 0.5,
        "shape": [2, 3],
    }
    tiles = tiles_of(instance)
    assert [tile.name for tile in tiles] == ["weights[0]", "weights[1]", "Re spectrum", "Im spectrum", "large"]
    assert [tile.svg.count("<rect") for tile in tiles] == [6, 2, 2, 2, 0]
    assert "#888888" in tiles[1].svg  # infinity has no colour
    assert "#2166ac" in tiles[2].svg  # -2, the most negative
    assert numbers_of(instance) == [("scale", "0.5"), ("shape", "2, 3")]


def test_numbers_are_strict_json_that_says_how_they_were_made(report):
    def refuse(constant):
        raise AssertionError(constant)

    numbers = json.loads((report[0] / "numbers.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert numbers["program"] == MARK
    assert {"python", "numpy", "numba", "lineardyn"} <= set(numbers["versions"])
    assert numbers["arguments"]["seed"] == 0
    assert len(numbers["sections"]["shapes-modes"]["singular_values"]) == 5
    assert {"shapes-learning", "patches-learning", "pure-cosines", "sums-of-cosines", "ledger"} <= set(
        numbers["sections"]
    )


def test_indices_are_set_below_the_line_and_names_left_alone():
    assert mathematics("|κ_f| < 10^−9") == "|κ<sub>f</sub>| &lt; 10<sup>−9</sup>"
    assert mathematics("A_{l+1} from learning_rate") == "A<sub>l+1</sub> from learning_rate"
    assert mathematics("‖A‖_{S_{p_i}}^2") == "‖A‖<sub>S<sub>p<sub>i</sub></sub></sub><sup>2</sup>"
    assert mathematics("P^{-(L-1)/L}") == "P<sup>-(L-1)/L</sup>"


def test_plain_has_no_nan():
    assert plain({"a": np.array([1.0, np.nan]), "b": (np.float64("inf"), np.int64(2))}) == {
        "a": [1.0, None],
        "b": [None, 2],
    }


# -- the folder ----------------------------------------------------------------------------------------------------


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_an_earlier_report_is_replaced_whole(tmp_path):
    out = tmp_path / "a" / "b"
    for text in ("one", "two"):
        with ReportFolder(out) as folder:
            (folder.path / "numbers.json").write_text(json.dumps({"program": MARK}), encoding="utf-8")
            (folder.path / text).write_text(text, encoding="utf-8")
            folder.finish()
    assert names(out) == ["figures", "numbers.json", "two"]
    assert names(tmp_path / "a") == ["b"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_is_interrupted_leaves_nothing_and_spares_the_earlier_report(tmp_path, error):
    out = tmp_path / "a" / "report"
    with pytest.raises(error), ReportFolder(out) as folder:  # noqa: PT012
        (folder.path / "index.html").write_text("half", encoding="utf-8")
        raise error
    assert names(tmp_path) == []
    with ReportFolder(out) as folder:
        (folder.path / "numbers.json").write_text(json.dumps({"program": MARK}), encoding="utf-8")
        folder.finish()
    with pytest.raises(error), ReportFolder(out):
        raise error
    assert names(out) == ["figures", "numbers.json"]
    assert names(tmp_path / "a") == ["report"]


def test_the_earlier_report_comes_back_if_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    out = tmp_path / "report"
    with ReportFolder(out) as folder:
        (folder.path / "numbers.json").write_text(json.dumps({"program": MARK}), encoding="utf-8")
        folder.finish()
    rename = type(out).rename

    def fails_for_the_new_one(self, target):
        if target == out and self.parent == tmp_path:  # the earlier report comes back from a folder below
            raise OSError("somebody holds it open")
        return rename(self, target)

    with pytest.raises(OSError, match="holds it open"), ReportFolder(out) as folder:  # noqa: PT012
        monkeypatch.setattr(type(out), "rename", fails_for_the_new_one)
        folder.finish()
    assert names(tmp_path) == ["report"]
    assert "numbers.json" in names(out)


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("", encoding="utf-8")
    with pytest.raises(ArgumentError, match="holds files that are no earlier report"), ReportFolder(tmp_path):
        pass
    assert names(tmp_path) == ["thesis.tex"]


def test_no_picture_takes_the_file_of_another(report):
    """The data set "cosines" and the section on pure cosines once shared ``cosines-cnn.png``."""
    sources = re.findall(r'<figure.*?src="([^"]+)"', report[1].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(sources) == len(set(sources)) == len(list((report[0] / "figures").glob("*.png")))
