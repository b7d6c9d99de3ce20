"""Every figure of the papers at the scale *tiny*, from data to picture; what its parts compute; bad input."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.fft

from benchmarks.papers import making
from benchmarks.papers.__main__ import main
from benchmarks.papers.covariance import by_distance, fourier_covariance
from benchmarks.papers.deep import verdict
from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from benchmarks.papers.learned import mean_correlation, ordered
from benchmarks.papers.making import finished, make, make_all
from benchmarks.papers.registry import FIGURES, chosen
from benchmarks.papers.sensitivities import exception, falling, radial_moment, trend
from benchmarks.papers.sheet import Sheet
from benchmarks.papers.sweeps import Case
from lineardyn.fourier import radius

# value, and whether the statement holds: what is the same on every machine. Trainings of seconds decide nothing.
EXPECTED = {
    "p2": lambda v, low, high, holds: v < 1e-12 and holds,
    "p3": lambda v, low, high, holds: 1e-4 < v < 0.02 and holds,  # of first order in the learning rate
    "p4": lambda v, low, high, holds: v > 0.7 and holds,
    "p5": lambda v, low, high, holds: v == high == 1.0 and low > 0.7 and holds,
    "p6": lambda v, low, high, holds: v is None or low <= v <= high,
    "s1": lambda v, low, high, holds: v < 0.01 and holds,
    "s2": lambda v, low, high, holds: v < 0.01 and holds,
    "s4": lambda v, low, high, holds: v < 1e-12 < high and holds,
    "s5": lambda v, low, high, holds: v > 0.8 and low > 0 and holds,
    "g1": lambda v, low, high, holds: low < v < high and abs(v - 2) < 0.1 and holds,
    "g6": lambda v, low, high, holds: low < v < high and v > 0,
    "w1": lambda v, low, high, holds: 0.5 < low < v < high,
    "w2": lambda v, low, high, holds: v == low == high == int(v) >= 0,  # one λ
    "w3": lambda v, low, high, holds: 0.95 < v == low < high <= 1 and holds,
    "w4": lambda v, low, high, holds: 0.5 < v == low < high <= 1,
}
SHARES = ("statement", "quantity", "value", "interval", "interval_of", "holds", "text")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("figures")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.torch] if FIGURES[name].torch else []) for name in FIGURES]
)
def test_figure(name, folder):
    figure = FIGURES[name]
    if figure.torch:
        pytest.importorskip("torch")
    make(figure, Run("tiny", folder))
    told = json.loads((folder / f"{name}.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert (told["id"], told["scale"], told["paper_says"]) == (name, "tiny", figure.paper_says)
    assert told["versions"]["numpy"] == np.__version__
    assert told["numbers"]
    assert told["seeds"]
    assert told["seconds"] > 0
    agreement = told["agreement"]
    assert set(SHARES) <= set(agreement)
    value, (low, high) = agreement["value"], agreement["interval"]
    assert EXPECTED.get(name, lambda v, low, high, holds: -1 <= v <= 1)(value, low, high, agreement["holds"])
    page = ElementTree.parse(folder / f"{name}.svg")
    words = " ".join("".join(text.itertext()) for text in page.iter("{http://www.w3.org/2000/svg}text"))
    assert all(word in words for word in re.findall(r"\w+", figure.paper_says))
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) > 20
    assert finished(folder, figure, "tiny")
    assert not list(folder.glob(".*"))  # neither partial files nor checkpoints


def figure_of(name, measure, needs=()):
    return PaperFigure(name, "title", "what is said", measure, needs)


def found(value=1.0):
    return Findings({"x": np.nan}, Agreement("it is", "x", value, (0.0, 2.0), "over all", True), "none", [0], [])


def test_a_figure_is_whole_or_not_there_and_made_once(tmp_path):
    said, count = [], []
    good = figure_of("good", lambda run: count.append(run) or found())
    assert make_all([good, good], "tiny", tmp_path, fresh=False, say=said.append) == 0
    assert (len(count), said[-1]) == (1, "[2/2] good: there already")
    assert json.loads((tmp_path / "good.json").read_text("utf-8"))["numbers"] == {"x": None}
    assert make_all([good], "tiny", tmp_path, fresh=True, say=said.append) == 0
    assert make_all([good], "cpu", tmp_path, fresh=False, say=said.append) == 0  # of another scale: another figure
    assert len(count) == 3
    (tmp_path / "good.svg").unlink()
    assert not finished(tmp_path, good, "cpu")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        make(figure_of("bad", stopped), Run("tiny", tmp_path))
    assert sorted(tmp_path.iterdir()) == before


def test_a_stop_between_the_two_files_leaves_the_figure_unfinished(tmp_path, monkeypatch):
    figure = figure_of("good", lambda run: found())
    make(figure, Run("tiny", tmp_path))

    def full_disk(path, text, write=making._write):
        if path.suffix == ".json":
            raise OSError("no space left on device")
        write(path, text)

    monkeypatch.setattr(making, "_write", full_disk)
    with pytest.raises(OSError, match="no space"):
        make(figure, Run("tiny", tmp_path))
    assert not finished(tmp_path, figure, "tiny")  # not the old numbers beside the new picture


def stopped(run):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["p22"], ["FIGURE is 'p22'", "did you mean p2?"]),
        (["G-1"], ["did you mean g1?"]),
        (["p2", "--out", "FILE"], ["--out", "FILE", "cannot be written"]),
    ],
)
def test_bad_input(arguments, texts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert all(text in error for text in texts)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["FILE"]


def test_unknown_scale_and_no_figure(capsys):
    for arguments in (["p2", "--scale", "small"], []):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2
    assert "tiny" in capsys.readouterr().err


@pytest.mark.parametrize("root", ["", "nowhere", "."])
def test_absent_data_say_where_they_were_looked_for(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LINEARDYN_DATA", str(tmp_path / root) if root else "")
    figures = [figure_of("needs", stopped, ("CIFAR-10",)), figure_of("none", lambda run: found())]
    said = []
    assert make_all(figures, "cpu", tmp_path, fresh=False, say=said.append) == 1
    told = said[0]
    assert told.startswith("[1/2] needs: not made.")
    assert "LINEARDYN_DATA" in told
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in told
    assert (str(tmp_path) in told) == bool(root)
    assert finished(tmp_path, figures[1], "cpu")  # the others are made all the same
    monkeypatch.chdir(tmp_path)
    assert main(["s4"]) == 2
    assert "LINEARDYN_DATA" in capsys.readouterr().out


def test_all_and_doubles():
    assert [figure.id for figure in chosen(["all"])] == list(FIGURES)
    assert [figure.id for figure in chosen(["G1", "p2", "g1"])] == ["g1", "p2"]


def test_a_sheet_keeps_the_names_of_its_pictures_apart():
    from lineardyn.plots import plot_singular_values

    picture = plot_singular_values(np.array([2.0, 1.0]))
    text = Sheet([("A & B <", "title")], [(picture, "first"), (picture, "second"), (picture, "third")]).svg()
    page = ElementTree.fromstring(text)
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    assert len(ids) == len(set(ids))
    assert used <= set(ids)
    assert "A & B <" in "".join(page.itertext())


@pytest.mark.parametrize("shape", [(1, 4, 3), (2, 3, 4)])
def test_covariance_in_fourier_space_by_its_definition(shape):
    images = np.random.default_rng(3).standard_normal((7, *shape)) + 1.0
    sigma = fourier_covariance(images)
    spectra = scipy.fft.fft2(images, norm="ortho")
    spectra -= spectra.mean(axis=0)
    expected = np.einsum("nchw,nduv->chwduv", spectra, spectra.conj()) / len(images)
    # sums of 7 products of numbers of size 1
    np.testing.assert_allclose(sigma, expected, atol=1e-13)
    for torus, apart in itertools.product((False, True), repeat=2):
        distance, mean = by_distance(sigma, torus=torus, channels_apart=apart)
        rings: dict[int, list[float]] = {}
        places = list(itertools.product(*map(range, shape)))
        for a, b in itertools.product(places, repeat=2):
            steps = [abs(i - j) for i, j in zip(a, b, strict=True)]
            steps[0] *= apart
            if torus:
                steps[1:] = [min(d, n - d) for d, n in zip(steps[1:], shape[1:], strict=True)]
            rings.setdefault(round(float(np.hypot(np.hypot(*steps[:2]), steps[2]))), []).append(abs(sigma[a + b]))
        assert distance.tolist() == sorted(rings)
        np.testing.assert_allclose(mean, [np.mean(rings[int(r)]) for r in distance], rtol=1e-12)


def sweep_of(values, seeds, law, noise=0.02):
    generator = np.random.default_rng(0)
    r = radius((16, 16))
    return [
        (float(v), {"sensitivity": (np.exp(-law(v) * r) * (1 + noise * generator.random(r.shape)))[None].tolist()})
        for v in values
        for _ in range(seeds)
    ]


def test_radial_moment_is_of_the_radial_average():
    delta = np.zeros((2, 8, 8))
    delta[:, 0, 3] = 1.0
    # one of the frequencies of one ring of mean radius ρ: the moments are ρ and ρ²
    ring = np.rint(radius((8, 8))) == 3
    mean = radius((8, 8))[ring].mean()
    assert radial_moment(delta, 1) == pytest.approx(mean, rel=1e-13)
    assert radial_moment(delta, 2) == pytest.approx(mean**2, rel=1e-13)
    # a flat map counts each ring once, not each frequency
    assert radial_moment(np.ones((1, 64, 64)), 1) == pytest.approx(22.5, abs=0.3)


def test_trend_and_its_verdicts():
    tau, (low, high), p = trend([1, 2, 4, 8] * 3, [4, 3, 2, 1] * 3, falls=True)
    assert (tau, low, high) == pytest.approx((-1, -1, -1))
    assert p < 1e-3
    steeper = sweep_of([1, 2, 4, 8], 3, lambda depth: 0.1 * depth)
    flat = sweep_of([1, 2, 4, 8], 3, lambda depth: 0.1)
    assert falling(steeper, "depth").holds is True
    assert falling(flat, "depth").holds is False
    assert falling(flat[:2] + flat[-2:], "depth").holds is None
    assert exception(steeper, flat, flat).holds is True
    assert exception(steeper, flat, flat).value > 1
    assert exception(flat, steeper, flat).holds is False
    assert exception(steeper, flat, steeper).holds is False  # of ResNet
    assert "12 trainings" in falling(steeper, "depth").quantity


def test_the_later_network_in_every_run():
    def cell(*times):
        steps = np.arange(100.0)
        b = np.stack([s * (steps >= 2 * t) for s, t in zip((2.0, 1.0), times, strict=True)], axis=1)
        return {"steps": steps.tolist(), "singular_values": [2.0, 1.0], "diagonal": b.tolist()}

    def told(linear, other):
        return verdict({"linear": [cell(*times) for times in linear], "ReLU": [cell(*times) for times in other]})

    good = told([(5, 10)] * 3, [(10, 20), (12, 22), (10, 30)])
    assert good.holds is True
    assert good.value == pytest.approx(2.1, abs=0.3)  # the median of 2, 2, 2.2, 2.2, 2.4, 3, read between steps
    assert told([(5, 10)] * 3, [(10, 20), (12, 22), (4, 30)]).holds is False  # one run is not later
    assert told([(5, 10)] * 3, [(10, 20), (22, 12), (10, 30)]).holds is False  # one run is not in order
    assert told([(5, 10)], [(4, 8)]).holds is None  # one run decides nothing
    never = told([(5, 10)], [(70, 80)])
    assert never.holds is None
    assert "has no value" in never.text


def test_order_and_correlation():
    s = np.array([3.0, 1.0, 0.99])
    times = np.array([[1.0, 3.0, 2.0], [2.0, 1.0, 3.0], [1.0, np.nan, 2.0], [np.nan, np.nan, 2.0]])
    assert ordered(times, s).tolist() == [True, False, True, False]
    middle, low, high = mean_correlation([0.2, 0.6, 0.9])
    assert -1 < low < middle < high < 1


@pytest.mark.torch
@pytest.mark.parametrize("size", [5, 6])
def test_circular_convolution_is_that_of_pytorch(size):
    torch = pytest.importorskip("torch")
    from benchmarks.papers.models import CircularConv2d

    torch.manual_seed(0)
    layer = CircularConv2d(3, 2, size).double()
    images = torch.randn(4, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        # sums of at most 108 products of size below 1
        torch.testing.assert_close(layer(images), torch.nn.Conv2d.forward(layer, images), atol=1e-13, rtol=0)


@pytest.mark.torch
def test_models_have_the_papers_sizes():
    torch = pytest.importorskip("torch")
    from benchmarks.papers import models

    def size(model):
        return sum(p.numel() for p in model.parameters())

    assert size(models.MyrtleCNN()) == 1_556_106  # G table C.5 (b)
    assert size(models.ConvActually(1).blocks[0]) == 196_672  # G table C.5 (a)
    assert size(models.ResNet(3)) == 272_474  # He 2016: 0.27 million; two of the ways have 1×1 convolutions
    images = torch.randn(2, 3, 8, 8)
    small = [
        models.ConvActually(3, 4, size=8, residual=True), models.MyrtleCNN(2), models.ResNet(1, 4),
        models.DeepLinear(4, size=8), models.DeepReLU(4, size=8),
    ]  # fmt: skip
    for model in small:
        assert model(images).shape == (2, 10)
    linear = models.DeepLinear(4, size=8)
    torch.testing.assert_close(linear(2 * images), 2 * linear(images))
    pooling = torch.full((8, 8), 0.7)
    pooling[0, 0] = 1.0
    cyclic = models.CyclicBottleneck(3, 4, size=8, inputs=3, outputs=3, pooling=pooling)
    moved = cyclic(torch.roll(images, (1, 2), (-2, -1)))
    torch.testing.assert_close(moved, torch.roll(cyclic(images), (1, 2), (-2, -1)), atol=1e-5, rtol=1e-5)


@pytest.mark.torch
def test_a_residual_block_adds_its_input():
    torch = pytest.importorskip("torch")
    from benchmarks.papers.models import ConvActually

    model = ConvActually(3, 4, size=6, inputs=1, residual=True)
    for block in model.blocks[1:]:
        torch.nn.init.zeros_(block[0].weight)
        torch.nn.init.zeros_(block[0].bias)
    images = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(model(images), model.dense(model.blocks[0](images).flatten(1)))


@pytest.mark.torch
def test_training_goes_on_where_it_was_stopped(tmp_path):
    torch = pytest.importorskip("torch")
    from benchmarks.papers.models import ConvActually
    from benchmarks.papers.training import Recipe, accuracy, train

    images, targets = np.random.default_rng(0).standard_normal((24, 1, 4, 4)), np.eye(3)[np.arange(24) % 3]

    def build():
        return ConvActually(2, 2, size=4, inputs=1, outputs=3)

    state = torch.random.get_rng_state()
    recipe = Recipe(0.05, 5, 3, weight_decay=1e-3)
    whole = train(build, images, targets, recipe, seed=1)
    train(build, images, targets, Recipe(0.05, 5, 1, weight_decay=1e-3), seed=1, checkpoint=tmp_path / "a.pt")
    parts = train(build, images, targets, recipe, seed=1, checkpoint=tmp_path / "a.pt")
    other = train(build, images, targets, recipe, seed=2)
    for a, b, c in zip(whole.parameters(), parts.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert torch.equal(state, torch.random.get_rng_state())  # nothing global
    assert 0 <= accuracy(whole, images, targets, batch_size=7) <= 1


@pytest.mark.torch
def test_a_deep_training_goes_on_after_its_last_record(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks.papers import deep
    from proofs_check.probes.tracking import Tracker

    setting = replace(deep.SETTINGS["tiny"], n_steps=60, n_records=4)
    data, record = deep.data_at("tiny"), Tracker.record
    whole = deep.trained(setting, "ReLU", 0, data)
    resumed = tmp_path / "a.pt"

    def power_cut(self, step):
        if step == 27:  # of 0, 7, 27, 60
            raise KeyboardInterrupt
        record(self, step)

    monkeypatch.setattr(Tracker, "record", power_cut)
    with pytest.raises(KeyboardInterrupt):
        deep.trained(setting, "ReLU", 0, data, resumed)
    monkeypatch.setattr(Tracker, "record", record)
    assert resumed.exists()
    # the start is another one: what comes out is what the checkpoint holds
    parts = deep.trained(replace(setting, gain=2.0), "ReLU", 0, data, resumed)
    assert not resumed.exists()
    assert all(parts[name] == whole[name] for name in ("steps", "diagonal", "loss"))


def test_a_case_has_a_name_of_its_own():
    names = {Case(m, d, w, s).key for m in ("a", "b") for d in (1, 2) for w in (1e-5, 1e-4) for s in (0, 1)}
    assert len(names) == 16


def test_the_gallery_is_what_lies_in_its_folder():
    from benchmarks.papers import gallery

    assert gallery.PAGE.read_text(encoding="utf-8") == gallery.page(), "python -m benchmarks.papers.gallery"
    shown = {path.stem for path in gallery.FOLDER.glob("*.svg")}
    kept = {path.stem for path in gallery.FOLDER.glob("*.trained.json")}
    assert shown == {path.stem for path in gallery.FOLDER.glob("*.json")} - kept
    assert shown
