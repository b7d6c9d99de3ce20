"""What comes back: indexing, interpolation, evaluation on other data, files that are whole or not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, Status
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.training import gradient_descent
from lineardyn.trajectory import Trajectory
from tests import oracles
from tests.lineardyn.problems import PROBLEMS

TIMES = np.linspace(0, 2, 9)


def flow(name="cnn-dense-channels", **options):
    p = PROBLEMS[name]
    return gradient_flow(p.network, p.moments, p.weights, TIMES, weight_decay=p.decay, **options)


def descent(name="cnn-dense-channels"):
    p = PROBLEMS[name]
    data = (p.data.images, p.data.targets)
    return gradient_descent(p.network, data, p.weights, learning_rate=0.05, n_steps=20, record_every=4)


def same(a, b):
    """All that two trajectories tell is equal bit for bit."""
    assert a.network == b.network
    assert (a.status, a.message, a.stats) == (b.status, b.message, b.stats)
    for name in ("t", "loss", "effective_singular_values", "kernel_spectrum"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    for i in range(len(a)):
        assert all(np.array_equal(x, y) for x, y in zip(a.weights(i), b.weights(i), strict=True))


@pytest.mark.parametrize("name", sorted(PROBLEMS))
@pytest.mark.parametrize("make", [flow, descent])
def test_saved_and_loaded_it_is_the_same_bit_for_bit(make, name, tmp_path):
    one = make(name)
    one.save(tmp_path / "run.npz")
    two = Trajectory.load(tmp_path / "run.npz")
    same(one, two)
    middle = float(one.t[0] + 0.3 * (one.t[-1] - one.t[0]))
    assert all(np.array_equal(x, y) for x, y in zip(one.at(middle), two.at(middle), strict=True))
    assert two.moments.form == one.moments.form
    assert np.array_equal(two.moments.gram(), one.moments.gram())
    assert np.array_equal(two.evaluate(two.moments), one.evaluate(one.moments))


@pytest.mark.parametrize("make", [flow, descent])
def test_shapes_are_those_of_the_design(make):
    run, p = make(), PROBLEMS["cnn-dense-channels"]
    n, (c, h, w) = len(run), p.network.image_shape
    r = min(p.network.n_outputs, c * h * w)
    assert run.t.shape == run.loss.shape == (n,)
    assert run.effective_singular_values.shape == (n, r, r)
    assert run.kernel_spectrum.shape == (n, c, h, w)
    assert run.network == p.network
    assert run.status is Status.SUCCESS


def test_weights_take_negative_numbers_and_refuse_others():
    run = flow()
    assert all(np.array_equal(a, b) for a, b in zip(run.weights(-1), run.weights(len(run) - 1), strict=True))
    for i in (len(run), -len(run) - 1):
        with pytest.raises((ArgumentError, IndexError), match=str(len(run))):
            run.weights(i)


def test_weights_are_copies():
    run = flow()
    run.weights(3)[0][:] = 7
    assert not (run.weights(3)[0] == 7).any()


@pytest.mark.parametrize("make", [flow, descent])
def test_at_the_recorded_times_the_states_come_back(make):
    run = make()
    for i, t in enumerate(run.t):
        assert oracles.worst(run.at(float(t)), run.weights(i)) <= 1e-13


@pytest.mark.parametrize("make", [flow, descent])
def test_at_refuses_times_outside(make):
    run = make()
    for t in (-0.1, float(run.t[-1]) + 0.1, np.nan):
        with pytest.raises(ArgumentError, match="t is"):
            run.at(t)


def test_at_tells_when_the_integration_stops_early():
    run = flow("cnn-decay")
    few = replace(run, settings=replace(run.settings, max_steps=1))
    with pytest.raises(ComputationError, match=r"^at\(.*stopped early.*max_steps"):
        few.at(0.999 * float(run.t[1]))


def test_evaluate_is_the_loss_on_other_data_without_penalty():
    p = PROBLEMS["cnn-decay"]
    run = flow("cnn-decay")
    rng = np.random.default_rng(5)
    images, targets = rng.standard_normal((7, *p.network.image_shape)), rng.standard_normal((7, p.network.n_outputs))
    wanted = [oracles.loss(run.weights(i), images, targets) for i in range(len(run))]
    for form in ("dense", "samples"):
        test = SecondMoments.from_data(images, targets, form=form)
        assert oracles.error(run.evaluate(test), np.array(wanted)) <= 1e-12


def test_evaluate_refuses_moments_of_other_images():
    other = PROBLEMS["fcn-dense"].moments
    with pytest.raises(ArgumentError, match="expected"):
        flow().evaluate(other)


def test_an_interrupted_save_leaves_what_was_there(tmp_path, monkeypatch):
    """Ctrl-C while numpy writes: the old file is whole, and nothing else lies about."""
    path = tmp_path / "run.npz"
    flow().save(path)
    before = path.read_bytes()

    def interrupted(file, *args, **kwargs):
        if hasattr(file, "write"):
            file.write(b"half")
        else:
            Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    for name in ("savez", "savez_compressed"):
        monkeypatch.setattr(np, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        descent().save(path)
    assert path.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["run.npz"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises((ArgumentError, DataFileError), match="nowhere"):
        flow().save(tmp_path / "nowhere" / "run.npz")


BROKEN = {
    "missing": None,
    "empty": b"",
    "text": b"no archive at all",
    "truncated": "truncated",
    "foreign": "foreign",
    "folder": "folder",
    "array": "array",
}


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_file_that_holds_no_trajectory_is_named(kind, tmp_path):
    path = tmp_path / "run.npz"
    if kind == "truncated":
        flow().save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "folder":
        path.mkdir()
    elif kind == "array":
        with path.open("wb") as stream:
            np.save(stream, np.ones(3))
    elif kind == "foreign":
        np.savez(path, a=np.ones(3))
    elif BROKEN[kind] is not None:
        path.write_bytes(BROKEN[kind])
    with pytest.raises((ArgumentError, DataFileError), match=r"run\.npz"):
        Trajectory.load(path)


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / "run.npz"
    np.savez(path, t=np.array([{"a": 1}], dtype=object))
    with pytest.raises((ArgumentError, DataFileError), match=r"run\.npz"):
        Trajectory.load(path)


def test_a_partial_run_is_a_trajectory_like_any_other(tmp_path):
    with pytest.raises(ComputationError) as caught:
        flow(max_steps=2, method="bs32", rtol=1e-10)
    partial = caught.value.result
    partial.save(tmp_path / "partial.npz")
    same(partial, Trajectory.load(tmp_path / "partial.npz"))


@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "fcn-dense", "cnn-one-layer", "cnn-one-pixel"])
@pytest.mark.parametrize("make", [flow, descent])
def test_plot_draws(make, name):
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    figure = make(name).plot()
    assert isinstance(figure, Figure)
    assert figure.axes
    assert any(ax.lines or ax.images or ax.collections for ax in figure.axes)
    figure.canvas.draw()
    plt.close(figure)


MISFITS = {
    "a state short": lambda a: {"states": a["states"][:-1]},
    "a weight short": lambda a: {"states": a["states"][:, :-1]},
    "not finite": lambda a: {"states": np.nan * a["states"]},
    "other images": lambda a: {"sigma_yx": a["sigma_yx"][..., :1]},
    "other statistics": lambda a: {"matrix": a["matrix"][:1], "rows": a["rows"][:, :1]},
    "no times": lambda a: {"t": a["t"][:, None]},
}


@pytest.mark.parametrize("name", sorted(MISFITS))
@pytest.mark.parametrize("form", ["dense", "samples"])
def test_arrays_that_do_not_fit_one_another_are_refused(name, form, tmp_path):
    """Compiled code trusts the shapes of what a file holds: a wrong one would read memory that is not its own."""
    p = PROBLEMS["cnn-dense-channels"]
    moments = SecondMoments.from_data(p.data.images, p.data.targets, form=form)
    path = tmp_path / "run.npz"
    gradient_flow(p.network, moments, p.weights, TIMES).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, **MISFITS[name](arrays)})
    with pytest.raises(DataFileError, match="holds no saved trajectory"):
        Trajectory.load(path)
