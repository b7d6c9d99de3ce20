"""The callback changes no bit of a training, and of a linear model records what this library computes itself.

A hundred steps of gradient descent by two programs differ by round-off alone: 1e-11 of numbers of order one.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, Trajectory, gradient_descent, to_torch
from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.fourier import fft2
from proofs_check.probes import TrackedTrajectory, frequency_sensitivity, track
from tests import strategies as own
from tests.proofs_check.probes.models import conv, images_of, nn, relu_net, torch

pytestmark = pytest.mark.torch

RATE = 0.02


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


class Noisy(nn.Module if nn else object):
    """Draws random numbers in evaluation mode as well."""

    def forward(self, x):
        return x + 0.01 * torch.randn_like(x)


def with_everything():
    return nn.Sequential(
        conv(1, 3, 3), nn.BatchNorm2d(3, dtype=torch.float64), nn.ReLU(inplace=True), nn.Dropout(0.3), Noisy(),
        nn.Flatten(), nn.Linear(48, 3, dtype=torch.float64),
    )  # fmt: skip


def trained(tracked, model_of):
    torch.manual_seed(3)
    model = model_of()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    images, labels = torch.tensor(images_of(12, 1, 4, 4)), torch.arange(12) % 3
    tracker = track(model, images, labels, learning_rate=0.01, every=2) if tracked else None
    for step in range(6):
        batch = torch.randperm(12)[:6]
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        if tracked:
            tracker(step)  # between the gradient and the step: it must leave the gradient alone
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    return model, tracker


MODELS = {"with everything": with_everything, "relu": lambda: relu_net((1, 2), (4, 4), 3)}


@pytest.mark.parametrize("kind", MODELS)
def test_training_is_the_same_to_the_bit(kind):
    plain, _ = trained(False, MODELS[kind])
    state = torch.get_rng_state()
    tracked, tracker = trained(True, MODELS[kind])
    assert torch.equal(torch.get_rng_state(), state)
    for (name, a), b in zip(plain.state_dict().items(), tracked.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert all(part.training for part in tracked.modules())
    assert tracker.steps == [0, 2, 4]


def linear_run(weight_decay, widths=(2,)):
    data = own.make_data("incoherent", (1, 4, 3), 3, seed=2)
    moments = SecondMoments.from_data(data.images, data.targets)
    network = LinearCNN(data.image_shape, widths=widths, n_outputs=data.n_outputs)
    weights = network.init_glorot(rng=0)
    run = gradient_descent(
        network, moments, weights, learning_rate=RATE, n_steps=40, record_every=10, weight_decay=weight_decay
    )
    model = to_torch(network, weights)
    x, y = torch.tensor(data.images), torch.tensor(data.targets)
    tracker = track(model, data.images, data.targets, learning_rate=RATE, every=10, weight_decay=weight_decay)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=weight_decay)
    for step in range(41):
        tracker(step)
        optimizer.zero_grad()
        (0.5 * ((y - model(x)) ** 2).sum() / len(x)).backward()
        optimizer.step()
    return run, tracker.trajectory()


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_of_a_linear_model_it_is_the_trajectory_of_gradient_descent(weight_decay):
    run, found = linear_run(weight_decay)
    assert isinstance(found, Trajectory)
    assert np.allclose(found.t, run.t, rtol=1e-13)
    for name in ("loss", "effective_singular_values", "kernel_spectrum"):
        wanted = getattr(run, name)
        assert getattr(found, name).shape == wanted.shape
        assert np.abs(getattr(found, name) - wanted).max() <= 1e-11 * np.abs(wanted).max(), name
    for i in range(len(run)):
        (kernel,) = found.weights(i)
        predictor = run.network.effective_predictor(run.weights(i))
        assert np.abs(found.network.effective_predictor([kernel]) - predictor).max() <= 1e-11
        lengths = np.linalg.norm(predictor, axis=2).transpose(2, 0, 1)
        assert np.abs(found.sensitivity[i] - lengths).max() <= 1e-11
        norms = [np.sum(w**2) for w in run.weights(i)]
        assert np.allclose(found.layer_norms[i], norms, rtol=1e-11)
    assert np.allclose(found.evaluate(found.moments) + 0.5 * weight_decay * found.layer_norms.sum(axis=1), found.loss)


def test_it_plots_like_a_trajectory_and_interpolates():
    _, found = linear_run(0.0)
    lines = [line for ax in found.plot().axes for line in ax.lines]
    assert any(np.array_equal(line.get_ydata(), found.loss) for line in lines)
    half = found.at(0.5 * (found.t[1] + found.t[2]))[0]
    assert np.allclose(half, 0.5 * (found.weights(1)[0] + found.weights(2)[0]))


def test_saved_and_loaded(tmp_path):
    _, found = linear_run(0.3)
    found.save(tmp_path / "run.npz")
    again = TrackedTrajectory.load(tmp_path / "run.npz")
    for name in ("t", "states", "loss", "effective_singular_values", "kernel_spectrum", "sensitivity", "layer_norms"):
        assert np.array_equal(getattr(again, name), getattr(found, name)), name
    assert again.settings == found.settings
    assert again.stats == found.stats
    with pytest.raises(DataFileError, match="no saved trajectory"):
        Trajectory.load(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        parts = dict(file)
    for name, broken in [("measured_loss", parts["measured_loss"][:-1]), ("measured_sensitivity", None)]:
        arrays = {key: value for key, value in {**parts, name: broken}.items() if value is not None}
        np.savez(tmp_path / "broken.npz", **arrays)
        with pytest.raises(DataFileError, match="no saved tracked trajectory"):
            TrackedTrajectory.load(tmp_path / "broken.npz")


def test_the_spectrum_of_a_small_filter_is_that_of_the_filter_filled_up():
    model = relu_net((2, 3), (5, 4), 2)
    tracker = track(model, images_of(3, 2, 5, 4), np.eye(2)[[0, 1, 1]], learning_rate=1.0)
    tracker(0)
    full = np.zeros((3, 2, 5, 4))
    full[:, :, :3, :3] = model[0].weight.detach().numpy()
    wanted = np.sqrt((np.abs(fft2(full)) ** 2).sum(axis=0))
    assert np.allclose(tracker.trajectory().kernel_spectrum[0], wanted, rtol=1e-12)
    dense = nn.Sequential(nn.Flatten(), nn.Linear(40, 2, dtype=torch.float64))
    tracker = track(dense, images_of(3, 2, 5, 4), np.eye(2)[[0, 1, 1]], learning_rate=1.0)
    tracker(0)
    rows = dense[1].weight.detach().numpy().reshape(2, 2, 5, 4)
    wanted = np.sqrt((np.abs(fft2(rows)) ** 2).sum(axis=0))
    assert np.allclose(tracker.trajectory().kernel_spectrum[0], wanted, rtol=1e-12)


def test_sensitivity_is_that_of_the_first_images():
    model, images = relu_net((1, 2), (4, 4), 2), images_of(5, 1, 4, 4)
    tracker = track(model, images, np.arange(5) % 2, learning_rate=1.0, n_sensitivity=2, batch_size=1)
    tracker(0)
    wanted = frequency_sensitivity(model, images[:2]).mean
    assert np.allclose(tracker.trajectory().sensitivity[0], wanted, rtol=1e-12)


def test_norms_are_those_of_weights_without_biases():
    model = relu_net((1, 2), (4, 4), 2)
    tracker = track(model, images_of(5, 1, 4, 4), np.arange(5) % 2, learning_rate=1.0)
    tracker(0)
    wanted = [(model[i].weight.detach().numpy() ** 2).sum() for i in (0, 3)]
    assert tracker.trajectory().layer_norms[0] == pytest.approx(wanted, rel=1e-12)


def test_it_goes_on_after_what_a_checkpoint_holds(tmp_path):
    model, images = relu_net((1, 2), (4, 4), 3), images_of(5, 1, 4, 4)
    targets = np.eye(3)[np.arange(5) % 3]

    def tracker():
        return track(model, images, targets, every=2, learning_rate=0.1)

    first, whole = tracker(), tracker()
    first.record(0)
    whole.record(0)
    torch.save(first.state_dict(), tmp_path / "tracker.pt")
    with torch.no_grad():
        next(model.parameters()).mul_(0.5)
    second = tracker()
    second.load_state_dict(torch.load(tmp_path / "tracker.pt", weights_only=True))
    second.record(2)
    whole.record(2)
    assert second.steps == whole.steps == [0, 2]
    for name, values in whole.trajectory().measured.items():
        np.testing.assert_array_equal(second.trajectory().measured[name], values)
    with pytest.raises(ArgumentError, match="expected more than 2"):
        second.record(2)
    empty = tracker()
    empty.load_state_dict(tracker().state_dict())
    assert empty.steps == []


def test_records_come_in_order_and_bad_calls_are_told():
    model, images, labels = relu_net((1, 2), (4, 4), 2), images_of(4, 1, 4, 4), np.arange(4) % 2
    tracker = track(model, images, labels, learning_rate=0.1, every=3)
    with pytest.raises(ArgumentError, match="nothing is recorded yet"):
        tracker.trajectory()
    for step in (-1, 0.5):
        for call in (tracker, tracker.record):
            with pytest.raises(ArgumentError, match="step is"):
                call(step)
    for step in range(5):
        tracker(step)
    assert tracker.steps == [0, 3]
    for step in (3, 2):
        with pytest.raises(ArgumentError, match=f"step is {step}, expected more than 3"):
            tracker.record(step)
    tracker.record(4)
    assert tracker.trajectory().t.tolist() == pytest.approx([0.0, 0.3, 0.4])
    for bad, said in [
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"every": 0}, "every is 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
        ({"n_sensitivity": 0}, "n_sensitivity is 0"),
    ]:
        with pytest.raises(ArgumentError, match=said):
            track(model, images, labels, **{"learning_rate": 0.1, **bad})
    with pytest.raises(ArgumentError, match="model has 2 outputs, expected 3"):
        track(model, images, np.eye(3)[[0, 1, 2, 0]], learning_rate=0.1)
    with pytest.raises(ArgumentError, match="neither a Conv2d nor a Linear of 16 inputs"):
        track(nn.Sequential(nn.Flatten()), images, labels, learning_rate=0.1)
    with pytest.raises(ArgumentError, match="takes 1 channels in 1 groups"):
        track(model, images_of(4, 2, 4, 4), labels, learning_rate=0.1)
