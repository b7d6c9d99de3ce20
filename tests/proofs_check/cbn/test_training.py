"""Trained networks against the network in numpy, exact minima of linear ones, and the bounds that no network beats."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, LineardynError, Status
from proofs_check.cbn import CyclicCNN, lower_bound, pooling_eigenvalues, representation_cost
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.cbn.training import train_cyclic

pytestmark = pytest.mark.torch

LOCAL = pooling_eigenvalues((6,), "local", 0.3)


@pytest.fixture(autouse=True)
def torch():
    return pytest.importorskip("torch")


def projection(x, kept=(0, 1, 5)):
    """The frequencies that are kept."""
    spectrum = np.fft.fft(x)
    mask = np.isin(np.arange(x.shape[-1]), kept)
    return np.fft.ifft(np.where(mask, spectrum, 0.0)).real


def images(count, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape))


def train(target, **changes):
    settings = {"depth": 3, "widths": 2, "weight_decay": 1e-2, "rng": 0, "n_steps": 30, "n_polish": 2}
    return train_cyclic(target, **{**settings, **changes})


# --- The same network in torch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "widths", "options"),
    [
        ((5,), (2, 3, 1), {}),
        ((6,), (1, 2, 2, 3), {"pooling": LOCAL, "slope": -0.5}),
        ((2, 3), (1, 2, 2), {"slope": 1.0}),
        ((4, 4), (2, 3, 3, 1), {"stride": 2}),
        ((1,), (1, 1), {}),
    ],
)
def test_function_norm_and_gradient_are_those_of_the_network(torch, grid, widths, options):
    from proofs_check.cbn.torch_network import TorchCyclic

    network = CyclicCNN.random(grid, widths, rng=1, bias_scale=0.5, **options)
    x = images(4, widths[0], *grid)
    model = TorchCyclic(network)
    outputs, sizes = model(torch.as_tensor(x.reshape(4, -1)), sizes=True)
    # the same sums in another order: 1e-15 of numbers of size 1
    np.testing.assert_allclose(outputs.detach().numpy(), network(x).reshape(4, -1), atol=1e-13)
    hidden = network.activations(x)[1:]
    expected = sum((a.reshape(4, -1) ** 2).sum(axis=1) for a in hidden) if hidden else np.zeros(4)
    np.testing.assert_allclose(sizes.detach().numpy(), expected, rtol=1e-12)
    assert model.squared_norm().item() == pytest.approx(network.norm(), rel=1e-13)
    (outputs**2).sum().backward()
    direction = np.random.default_rng(2).standard_normal(network.parameters().size)
    step = 1e-6
    ends = [(network.with_parameters(network.parameters() + s * direction)(x) ** 2).sum() for s in (step, -step)]
    # central differences: step² of the third derivative, 1e-16/step of the value
    assert model.parameters.grad.numpy() @ direction == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_the_result_says_what_the_network_is():
    x = images(10, 1, 6)
    result = train(projection, images=x, pooling=LOCAL)
    assert result.norm == pytest.approx(result.network.norm(), rel=1e-13)
    fit = ((result.network(x) - projection(x)) ** 2).sum(axis=(1, 2)).mean()
    assert result.fit == pytest.approx(fit, rel=1e-11)
    assert result.objective == pytest.approx(fit + 1e-2 * result.norm, rel=1e-11)
    assert result.status is Status.SUCCESS
    history = result.history
    assert history["step"].tolist() == [0, 10, 20, 30, 32]
    assert {len(column) for column in history.values()} == {5}
    assert history["objective"][-1] == result.objective < history["objective"][0]
    largest = max(sum((a[i] ** 2).sum() for a in result.network.activations(x)[1:]) for i in range(len(x)))
    assert history["activation"][-1] == pytest.approx(largest, rel=1e-11)


@pytest.mark.parametrize("target", [CyclicCNN.random((6,), (1, 2), rng=3), lambda x: np.concatenate([x, -x], axis=1)])
def test_networks_and_functions_are_targets(target):
    x = images(5, 1, 6)
    assert np.array_equal(
        train(target, images=x, n_steps=3).network.parameters(),
        train(target(x), images=x, n_steps=3).network.parameters(),
    )


# --- Linear networks: the exact minimum -----------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "pooling"), [(2, None), (2, LOCAL), (3, LOCAL)])
def test_linear_networks_reach_the_minimum_and_their_cost(depth, pooling):
    # x averages to 0 and x xᵀ to the identity: biases are of no use, the fit is Σ_ω |â_ω - t_ω|², and each frequency
    # is one number to be found
    x = np.sqrt(6) * np.concatenate([np.eye(6), -np.eye(6)])[:, None, :]
    gains = np.array([2.0, 1.5, 0.02, 1.0, 0.02, 1.5])
    target = np.fft.ifft(np.fft.fft(x) * gains).real
    m, decay = np.ones(6) if pooling is None else pooling, 0.02
    result = train_cyclic(
        target,
        images=x,
        depth=depth,
        widths=1,
        slope=1.0,
        pooling=pooling,
        weight_decay=decay,
        rng=2,
        n_steps=300,
        n_polish=10,
        learning_rate=0.05,
    )

    def least(gain, m_w):
        weight = decay * depth * m_w ** (-2 * (depth - 1) / depth)
        inside = minimize_scalar(
            lambda s: (s - gain) ** 2 + weight * s ** (2 / depth), bounds=(1e-9, 3), options={"xatol": 1e-10}
        )
        return min(inside.fun, gain**2)

    # L-BFGS stops where the objective no longer falls: its minimum to 1e-9
    exact = sum(least(gain, m_w) for gain, m_w in zip(gains, m, strict=True))
    assert result.objective == pytest.approx(exact, rel=1e-6)
    assert result.objective >= exact * (1 - 1e-9)
    blocks = np.fft.fft(result.network(np.eye(6)[:1, None])[0, 0] - result.network(np.zeros((1, 6)))[0])[:, None, None]
    cost = representation_cost(blocks, depth=depth, pooling=pooling)
    assert result.norm == pytest.approx(cost, rel=1e-4)


# --- ReLU networks: bounds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 6), {"pooling": LOCAL}),
        ((1, 6), {"depth": 5, "widths": 3}),
        ((2, 2, 3), {"slope": 0.3}),
        ((1, 6), {"stride": 2, "widths": [2, 3]}),
        ((1, 4, 4), {"stride": 2, "depth": 4}),
    ],
)
def test_no_trained_network_is_below_its_bounds(shape, options):
    x = images(12, *shape)
    result = train(lambda x: x, images=x, n_steps=60, **options)
    assert result.history["objective"][-1] < 0.9 * result.history["objective"][0]
    constants = [np.full(shape, level) for level in (0.5, -1.0)]
    bounds = [lower_bound(result.network, image) for image in [*x[:4], *constants]]
    for bound in bounds:
        assert bound.jacobian <= result.norm * (1 + 1e-9)
        assert bound.frequency is None or bound.frequency <= result.norm * (1 + 1e-9)
    if result.network.strides[0] == 1:
        assert bounds[-1].frequency is not None


@pytest.fixture(scope="module")
def toy():
    """n = 6, 1→6×5→1 of six layers, target the projection on 0, ±1, λ = 2e-3, with and without pooling."""
    pytest.importorskip("torch")
    x = images(64, 1, 6)
    settings = {"images": x, "depth": 6, "widths": 5, "weight_decay": 2e-3, "n_steps": 700, "n_polish": 8}
    return {
        "none": (np.ones(6), train_cyclic(projection(x), rng=1, **settings)),
        "local": (LOCAL, train_cyclic(projection(x), rng=1, pooling=LOCAL, **settings)),
    }


@pytest.mark.parametrize("kind", ["none", "local"])
def test_singular_values_of_the_middle_layers_are_near_those_of_the_bottleneck(toy, kind):
    m, result = toy[kind]
    assert result.fit < 5e-3
    # rank Ĵ at a constant image: frequencies 0 and ±1; a trained network keeps one dimension of DC more, or none
    for blocks in result.network.operator_blocks()[2:4]:
        s = np.linalg.svd(blocks, compute_uv=False)
        for w in (0, 1, 5):
            assert 0.95 < s[w, 0] * abs(m[w]) < 1.3
        assert s[1:, 1:].max() < 0.1
        assert s[2:5].max() < 0.1


@pytest.mark.parametrize("kind", ["none", "local"])
def test_norm_of_the_toy_lies_between_the_bound_and_twice_the_rank(toy, kind):
    m, result = toy[kind]
    per_layer = sum(1 / m[w] ** 2 for w in (0, 1, 5))
    bound = lower_bound(result.network, np.full((1, 6), 1.0)).frequency
    assert 0.9 * 6 * per_layer < bound <= result.norm
    # of the theory: 28.17 against 18 without pooling, one dimension of DC more a layer and what the ends cost
    assert 6 * per_layer < result.norm < 6 * (per_layer + 1) + 6


def test_from_a_constructed_network_the_norm_only_falls():
    # fit 0 there: fit + λ‖θ‖² ≤ λ‖θ_0‖², so that ‖θ‖² stays below the construction's
    blocks = np.zeros((6, 1, 1))
    blocks[[0, 1, 5]] = 1.0
    x = images(40, 1, 6)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    norms = []
    for depth in (4, 7):
        built = build_bottleneck(blocks, blocks, depth=depth)
        result = train_cyclic(
            projection(x),
            images=x,
            depth=depth,
            widths=built.network.widths[1:-1],
            start=built.network,
            weight_decay=1e-4,
            rng=0,
            method="lbfgs",
            n_steps=6,
        )
        norms.append(result.norm)
        bound = lower_bound(result.network, x[0])
        assert bound.jacobian * (1 - 1e-9) <= result.norm <= built.network.norm()
        assert result.objective < 1e-4 * built.network.norm()
    # one layer more costs about the rank, 3
    assert (norms[1] - norms[0]) / 3 == pytest.approx(3.0, abs=0.3)


# --- Large learning rates -------------------------------------------------------------------------------------------


def steep():
    """One pixel, two layers, f(1) = 3·0.1: far from balanced."""
    return CyclicCNN([[[[3.0]]], [[[0.1]]]])


def descend(rate, **changes):
    return train(
        np.ones((1, 1, 1)),
        images=np.ones((1, 1, 1)),
        depth=2,
        widths=1,
        weight_decay=0.0,
        method="plain",
        learning_rate=rate,
        start=steep(),
        n_steps=600,
        **changes,
    )


def test_where_large_steps_end_the_kernel_is_below_their_limit():
    # N = 1, one output: at zero loss the Hessian's only eigenvalue is 2 Tr Θ, and 2 Tr Θ ≤ 2/η
    small, large = descend(0.005), descend(0.13)
    assert max(small.fit, large.fit) < 1e-20
    traces = [float(r.network.ntk_trace(np.ones((1, 1))).total) for r in (small, large)]
    assert traces[0] > 1 / 0.13 > traces[1]
    # and with it the activations: Σ_{l≥2} ‖α_{l-1}‖² ‖B_l‖² ≤ Tr Θ, B_2 = 1
    assert small.history["activation"][-1] > 1 / 0.13 > large.history["activation"][-1]


def test_a_step_far_beyond_the_limit_diverges_and_keeps_the_last_network():
    with pytest.raises(ComputationError, match="diverged") as caught:
        descend(2.0)
    result = caught.value.result
    assert result.status is Status.DIVERGED
    assert result.objective == result.history["objective"][-1] <= 1e12
    assert result.fit == pytest.approx(((result.network(np.ones((1, 1))) - 1.0) ** 2).sum(), rel=1e-9)
    assert descend(2.0, throw=False).objective == result.objective


# --- Checkpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [10, 25])
def test_an_interrupted_run_goes_on_to_the_same_network(tmp_path, monkeypatch, stop):
    from proofs_check.cbn.training_loop import Training

    x, path = images(8, 1, 6), tmp_path / "run.pt"
    settings = {"images": x, "n_steps": 20, "n_polish": 8, "batch_size": 4, "record_every": 3}
    whole = train(projection(x), **settings)
    original = Training._after_step

    def interrupted(self, tell):
        original(self, tell)
        if self.step == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_after_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(projection(x), checkpoint=path, checkpoint_every=5, **settings)
    monkeypatch.undo()
    resumed = train(projection(x), checkpoint=path, checkpoint_every=5, **settings)
    assert np.array_equal(resumed.network.parameters(), whole.network.parameters())
    for name, column in whole.history.items():
        assert np.array_equal(resumed.history[name], column)
    # finished: nothing is left to do
    again = train(projection(x), checkpoint=path, checkpoint_every=5, **settings)
    assert np.array_equal(again.network.parameters(), whole.network.parameters())
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataFileError, match="another run"):
        train(projection(x), checkpoint=path, **{**settings, "batch_size": 5})


def test_what_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "run.pt"
    path.write_text("no checkpoint")
    with pytest.raises(DataFileError, match=r"run.pt is no checkpoint"):
        train(lambda x: x, images=images(3, 1, 4), checkpoint=path)


# --- The door -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"images": images(3, 4)}, r"^images has shape \(3, 4\), expected \(N, C, n\) or"),
        ({"images": images(3, 1, 17)}, r"^images has grid \(17,\), expected at most 16"),
        ({"images": images(3, 1, 9, 4)}, r"^images has grid \(9, 4\), expected at most 8"),
        ({"depth": 25}, r"^depth is 25, expected at most 24"),
        ({"widths": [2]}, r"^widths is \[2\], expected an integer or the 2 widths"),
        ({"widths": 0}, r"^widths is 0, expected an integer >= 1"),
        ({"weight_decay": -1.0}, r"^weight_decay is -1, expected a number >= 0"),
        ({"method": "sgd"}, r"^method is 'sgd', expected one of"),
        ({"batch_size": 4}, r"^batch_size is 4, expected at most 3"),
        ({"rng": -1}, r"^rng is -1, expected a seed"),
        ({"stride": 3}, r"^strides\[0\] is 3, expected a divisor"),
        ({"start": CyclicCNN.random((4,), (1, 1), rng=0)}, r"^start has widths \(1, 1\), expected \(1, 2, 2, 1\)"),
        ({"n_steps": 0}, r"^n_steps is 0, expected an integer >= 1"),
    ],
)
def test_bad_input_is_named(changes, text):
    with pytest.raises(ArgumentError, match=text):
        train(lambda x: x, **{"images": images(3, 1, 4), **changes})


def test_targets_of_another_shape_are_named():
    with pytest.raises(ArgumentError, match=r"^target has shape \(3, 1, 5\), expected \(3, any, 4\)"):
        train(np.zeros((3, 1, 5)), images=images(3, 1, 4))


def test_without_torch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(LineardynError, match=r"pip install 'lineardyn\[torch\]'"):
        train(lambda x: x, images=images(3, 1, 4))


def test_a_bar_is_shown_when_asked_for(capsys):
    train(lambda x: x, images=images(3, 1, 4), n_steps=2, n_polish=1, progress=True)
    assert "train: 100%" in capsys.readouterr().err
