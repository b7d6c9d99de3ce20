"""Effective singular values of models against those of a Trajectory and of their definition (round-off 1e-12)."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, gradient_flow, to_torch
from lineardyn.errors import ArgumentError
from proofs_check.probes import effective_singular_values
from tests import strategies as own
from tests.proofs_check.probes.models import images_of, nn, relu_net, torch

pytestmark = pytest.mark.torch

ROUND_OFF = 1e-12


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


@pytest.mark.parametrize("kind", own.DEGENERATE)
@pytest.mark.parametrize("widths", [(), (2,), (2, 3)])
def test_of_a_linear_model_they_are_those_of_its_trajectory(kind, widths):
    data = own.make_data(kind, (2, 4, 3), 3, seed=1)
    moments = SecondMoments.from_data(data.images, data.targets)
    network = LinearCNN(data.image_shape, widths=widths, n_outputs=data.n_outputs)
    run = gradient_flow(network, moments, network.init_glorot(rng=0), [0.0, 0.3])
    for i in (0, 1):
        found = effective_singular_values(to_torch(network, run.weights(i)), data.images, data.targets, batch_size=2)
        wanted = run.effective_singular_values[i]
        assert np.abs(found - wanted).max() <= ROUND_OFF * max(np.abs(wanted).max(), 1.0)


def test_of_any_model_they_are_those_of_their_definition():
    model, images = relu_net((1, 3), (4, 4), 3), images_of(6, 1, 4, 4)
    targets = np.eye(3)[[0, 1, 2, 0, 1, 1]]
    outputs = model(torch.tensor(images)).detach().numpy()
    modes = SecondMoments.from_data(images, targets).modes()
    wanted = modes.u.T @ (outputs.T @ images.reshape(6, -1) / 6) @ modes.v.reshape(3, -1).T
    found = effective_singular_values(model, images, targets)
    assert np.abs(found - wanted).max() <= ROUND_OFF


def test_labels_tensors_lists_and_narrow_types_are_the_same_data():
    model, images = relu_net((1, 3), (4, 4), 3), images_of(6, 1, 4, 4).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1, 1])
    wanted = effective_singular_values(model, images, np.eye(3)[labels])
    t = torch.tensor(images)
    ways = [
        (images, labels),
        (t, torch.tensor(labels)),
        (t.requires_grad_(), torch.tensor(np.eye(3)[labels])),
        (list(t), labels.tolist()),
        (images.tolist(), labels),
        (images.astype(">f4"), labels.astype(np.uint8)),
        (images.astype(np.longdouble), labels),
    ]
    for x, y in ways:
        assert np.array_equal(effective_singular_values(model, x, y), wanted)
    coarse = effective_singular_values(model, t.detach().bfloat16(), labels)
    assert np.abs(coarse - wanted).max() <= 2.0**-8 * np.abs(images).max() ** 2  # 8 bits of each image
    narrow = effective_singular_values(relu_net((1, 3), (4, 4), 3).float(), images, labels)
    assert np.abs(narrow - wanted).max() <= 1e-6 * np.abs(wanted).max() * 3


def test_modes_of_another_data_set():
    model, images = relu_net((1, 3), (4, 4), 3), images_of(6, 1, 4, 4)
    labels = np.array([0, 1, 2, 0, 1, 1])
    modes = SecondMoments.from_data(images, labels).modes()
    assert np.array_equal(
        effective_singular_values(model, images, labels, modes=modes), effective_singular_values(model, images, labels)
    )
    few = effective_singular_values(model, images[:2], labels[:2], modes=modes)  # which lack the last class
    assert few.shape == (3, 3)
    with pytest.raises(ArgumentError, match=r"modes are of images \(1, 4, 4\), expected \(1, 4, 5\)"):
        effective_singular_values(relu_net((1, 3), (4, 5), 3), images_of(6, 1, 4, 5), labels, modes=modes)
    with pytest.raises(ArgumentError, match="modes is 'none', expected SecondMoments"):
        effective_singular_values(model, images, labels, modes="none")


def test_outputs_must_be_as_many_as_targets_have_columns():
    with pytest.raises(ArgumentError, match="model has 4 outputs, expected 3"):
        effective_singular_values(relu_net((1, 2), (3, 3), 4), images_of(3, 1, 3, 3), np.arange(3))
    with pytest.raises(ArgumentError, match="targets has 2 rows, expected 3"):
        effective_singular_values(relu_net((1, 2), (3, 3), 2), images_of(3, 1, 3, 3), np.arange(2))


def test_an_autoencoder_has_its_images_as_targets():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 1, 1, dtype=torch.float64, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(0.5)
    images = images_of(20, 1, 2, 3)
    modes = SecondMoments.from_data(images, images.reshape(20, -1)).modes()
    found = effective_singular_values(model, images, images.reshape(20, -1))
    assert np.abs(found - np.diag(0.5 * modes.s)).max() <= ROUND_OFF * modes.s[0]
