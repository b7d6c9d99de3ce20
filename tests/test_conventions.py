"""CONVENTIONS.md line by line: each test pins one line, against sums written out here and against PyTorch.

Tolerance, where none is given: TIGHT = 1e-12 relative, some thousand roundings of 1e-16 in sums of a few hundred terms.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lineardyn
from lineardyn import LinearCNN, LinearFCN, SecondMoments, fourier
from lineardyn.closed_form import convert_weight_decay
from lineardyn.errors import ArgumentError

TIGHT = 1e-12
C, H, W, K = 2, 3, 4, 3
P = H * W
ROOT = Path(__file__).resolve().parents[1]


def dft(x: Any) -> Any:
    """The definition: Σ_ij x[i,j] exp(-2πi(ui/H + vj/W)) / √P."""
    height, width = x.shape[-2:]
    rows = np.exp(-2j * np.pi * np.outer(np.arange(height), np.arange(height)) / height)
    columns = np.exp(-2j * np.pi * np.outer(np.arange(width), np.arange(width)) / width)
    return np.einsum("ui,...ij,vj->...uv", rows, x, columns) / np.sqrt(height * width)


def true_convolution(w: Any, x: Any) -> Any:
    y = np.zeros((len(w), H, W))
    for i, j, m, n in np.ndindex(H, W, H, W):
        y[:, i, j] += w[:, m, n, :] @ x[:, (i - m) % H, (j - n) % W]
    return y


def correlation(w: Any, x: Any) -> Any:
    y = np.zeros((len(w), H, W))
    for i, j, m, n in np.ndindex(H, W, H, W):
        y[:, i, j] += w[:, m, n, :] @ x[:, (i + m) % H, (j + n) % W]
    return y


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def multiply(spectrum: Any, x: Any) -> Any:
    """√P ŵ x̂ at each frequency; spectra (o, c, u, v) and (c, u, v)."""
    return np.sqrt(P) * np.einsum("ocuv,cuv->ouv", spectrum, dft(x))


def kernel_spectrum(w: Any) -> Any:
    return dft(w.transpose(0, 3, 1, 2))


@pytest.fixture
def problem() -> tuple[LinearCNN, list[Any], Any, Any]:
    """A two-layer network with weights, 5 images far from centred, and their targets."""
    network = LinearCNN((C, H, W), widths=(2,), n_outputs=K)
    return network, network.init_small(0.5, rng=1), 1.0 + random(5, C, H, W), random(5, K, seed=2)


def half_squares(network: LinearCNN, weights: list[Any], images: Any, targets: Any) -> float:
    return 0.5 * float(np.mean(np.sum((targets - network.predict(weights, images)) ** 2, axis=1)))


def test_every_line_names_its_test():
    table = [line for line in (ROOT / "CONVENTIONS.md").read_text(encoding="utf-8").splitlines() if "`test_" in line]
    named = [re.findall(r"`(test_\w+)`", line)[-1] for line in table]
    here = [name for name in globals() if name.startswith("test_") and name != "test_every_line_names_its_test"]
    assert sorted(named) == sorted(here)


def test_images_are_channels_first():
    images = random(4, C, H, W)
    assert SecondMoments.from_data(images, [0, 1, 2, 0]).power_spectrum().shape == (C, H, W)
    with pytest.raises(ArgumentError, match="channels-last"):
        SecondMoments.from_data(random(4, 8, 8, 3), [0, 1, 2, 0])


def test_weights_are_listed_from_the_input():
    network = LinearCNN((C, H, W), widths=(5, 6), n_outputs=K)
    assert [w.shape for w in network.init_small(1.0, rng=0)] == [(5, H, W, C), (6, H, W, 5), (K, H, W, 6)]
    dense = LinearFCN((C, H, W), widths=(5, 6), n_outputs=K)
    assert [w.shape for w in dense.init_small(1.0, rng=0)] == [(5, C * P), (6, 5), (K, 6)]


def test_dft_is_unitary_over_the_spatial_axes():
    x = random(2, C, H, W)
    np.testing.assert_allclose(fourier.fft2(x), dft(x), rtol=0, atol=TIGHT)
    np.testing.assert_allclose(np.sum(np.abs(fourier.fft2(x)) ** 2), np.sum(x**2), rtol=TIGHT)


@pytest.mark.parametrize("shape", [(3, 4), (4, 4), (5, 3)])
def test_real_images_have_conjugate_symmetric_spectra(shape):
    spectrum = fourier.fft2(random(*shape))
    for f in np.ndindex(*shape):
        partner = (-f[0] % shape[0], -f[1] % shape[1])
        assert fourier.conjugate_frequency(f, shape) == partner
        assert abs(spectrum[partner] - spectrum[f].conj()) < TIGHT


@pytest.mark.parametrize(("shape", "count"), [((3, 5), 1), ((4, 5), 2), ((5, 4), 2), ((4, 6), 4)])
def test_number_of_self_conjugate_frequencies(shape, count):
    assert fourier.self_conjugate(shape).sum() == count
    assert sum(fourier.multiplicity(f, shape) == 1 for f in np.ndindex(*shape)) == count


def test_convolution_is_true_and_circular():
    w, x = random(K, H, W, C, seed=3), random(C, H, W)
    np.testing.assert_allclose(fourier.convolve(w, x), true_convolution(w, x), rtol=0, atol=TIGHT)
    assert not np.allclose(correlation(w, x), true_convolution(w, x))


@pytest.mark.torch
def test_frameworks_compute_the_correlation():
    torch = pytest.importorskip("torch")
    w, x = random(K, H, W, C, seed=3), random(C, H, W)
    padded = np.pad(x, ((0, 0), (0, H - 1), (0, W - 1)), mode="wrap")
    kernel = torch.from_numpy(np.ascontiguousarray(w.transpose(0, 3, 1, 2)))
    y = torch.nn.functional.conv2d(torch.from_numpy(padded)[None], kernel)[0].numpy()
    np.testing.assert_allclose(y, correlation(w, x), rtol=0, atol=TIGHT)
    np.testing.assert_allclose(dft(y), multiply(kernel_spectrum(w).conj(), x), rtol=0, atol=TIGHT)


def test_correlation_is_a_keyword(problem):
    convolving, weights, images, _ = problem
    correlating = LinearCNN((C, H, W), widths=(2,), n_outputs=K, convention="correlation")
    hidden = np.stack([correlation(weights[0], x) for x in images])
    outputs = np.einsum("khwo,nohw->nk", weights[1], hidden)
    np.testing.assert_allclose(correlating.predict(weights, images), outputs, rtol=0, atol=100 * TIGHT)
    assert not np.allclose(convolving.predict(weights, images), outputs)
    first, last = (kernel_spectrum(w).transpose(2, 3, 0, 1) for w in weights)
    for got, wanted in zip(correlating.spectra(weights), [first.conj(), last.conj()], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TIGHT)


@pytest.mark.torch
@pytest.mark.parametrize(("height", "width"), [(3, 4), (4, 4), (5, 5)])
def test_padding_same_shifts_the_correlation(height, width):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv2d(
        C, K, (height, width), padding="same", padding_mode="circular", bias=False, dtype=torch.float64
    )
    x = random(C, height, width)
    y = layer(torch.from_numpy(x)[None])[0].detach().numpy()
    u, v = np.arange(height)[:, None], np.arange(width)
    shift = np.exp(-2j * np.pi * (u * ((height - 1) // 2) / height + v * ((width - 1) // 2) / width))
    spectrum = dft(layer.weight.detach().numpy()).conj() * shift
    expected = np.sqrt(height * width) * np.einsum("ocuv,cuv->ouv", spectrum, dft(x))
    np.testing.assert_allclose(dft(y), expected, rtol=0, atol=TIGHT)


def test_convolution_theorem_has_the_root_of_the_pixels():
    w, x = random(K, H, W, C, seed=3), random(C, H, W)
    np.testing.assert_allclose(
        fourier.fft2(fourier.convolve(w, x)), multiply(kernel_spectrum(w), x), rtol=0, atol=10 * TIGHT
    )


def test_dot_product_has_a_conjugate():
    w, x = random(H, W, seed=3), random(H, W)
    a, b = fourier.fft2(w), fourier.fft2(x)
    assert np.sum(a.conj() * b) == pytest.approx(np.sum(w * x), rel=TIGHT)
    assert abs(np.sum(a * b) - np.sum(w * x)) > 0.1  # as printed


def test_effective_predictor_is_conjugate_to_the_pixel_predictor(problem):
    network, weights, images, _ = problem
    v = network.effective_predictor(weights)
    assert v.shape == (H, W, K, C)
    spectra = [kernel_spectrum(w) for w in weights]  # (o, c, u, v)
    product = np.sqrt(P) * np.einsum("kouv,ocuv->uvkc", spectra[1].conj(), spectra[0])
    np.testing.assert_allclose(v, product, rtol=0, atol=TIGHT)
    hidden = np.stack([true_convolution(weights[0], x) for x in images])
    outputs = np.einsum("khwo,nohw->nk", weights[1], hidden)
    np.testing.assert_allclose(np.einsum("uvkc,ncuv->nk", v, dft(images)), outputs, rtol=0, atol=100 * TIGHT)
    pixels = np.stack([network.predict(weights, e)[:, :] for e in np.eye(C * P).reshape(-1, 1, C, H, W)])
    pixel_predictor = pixels[:, 0].T.reshape(K, C, H, W)
    np.testing.assert_allclose(v.transpose(2, 3, 0, 1), dft(pixel_predictor).conj(), rtol=0, atol=100 * TIGHT)


def test_flow_loss_has_both_halves(problem):
    network, weights, images, targets = problem
    moments = SecondMoments.from_data(images, targets)
    norm = sum(np.sum(w**2) for w in weights)
    expected = half_squares(network, weights, images, targets) + 0.5 * 0.3 * norm
    assert network.loss(weights, moments, weight_decay=0.3) == pytest.approx(expected, rel=TIGHT)


def test_time_is_learning_rate_times_steps(problem):
    network, weights, images, targets = problem
    moments = SecondMoments.from_data(images, targets)
    descent = lineardyn.gradient_descent(network, moments, weights, learning_rate=1e-3, n_steps=5)
    np.testing.assert_allclose(descent.t, 1e-3 * np.arange(6), rtol=TIGHT)
    slope = network.gradient(weights, moments)
    for after, before, gradient in zip(descent.weights(1), weights, slope, strict=True):
        np.testing.assert_allclose(after, before - 1e-3 * gradient, rtol=0, atol=TIGHT)
    tiny = 1e-6
    flow = lineardyn.gradient_flow(network, moments, weights, [0.0, tiny], rtol=1e-10, atol=1e-14)
    euler = [w - tiny * g for w, g in zip(weights, slope, strict=True)]
    for after, before, g, h in zip(flow.weights(-1), weights, slope, network.gradient(euler, moments), strict=True):
        # Heun's step is off by t³ |w'''|/6: with |H| < 1e3 and |w'| < 1e2 here, below 2e-11
        np.testing.assert_allclose(after, before - 0.5 * tiny * (g + h), rtol=0, atol=2e-11)


def test_one_sample_steps_count_samples(problem):
    network, weights, images, targets = problem
    eta, n = 1e-3, 7
    run = lineardyn.gradient_descent(
        network, (images, targets), weights, learning_rate=eta, n_steps=n, batch_size=1, rng=0
    )
    np.testing.assert_allclose(run.t / eta, np.arange(n + 1), rtol=TIGHT)
    steps = []
    for image, target in zip(images, targets, strict=True):
        gradient = network.gradient(weights, SecondMoments.from_data(image[None], target[None]))
        steps.append(weights[0] - eta * gradient[0])
    assert min(np.abs(run.weights(1)[0] - step).max() for step in steps) < TIGHT


def test_regression_objective_is_twice_the_flow_loss(problem):
    network, weights, images, targets = problem
    objective = np.sum((targets - network.predict(weights, images)) ** 2) / len(images)
    objective += 0.3 * sum(np.sum(w**2) for w in weights)
    loss = network.loss(weights, SecondMoments.from_data(images, targets), weight_decay=0.3)
    assert objective == pytest.approx(2 * loss, rel=TIGHT)


def torch_step(problem: Any, loss: Any, **options: float) -> list[Any]:
    """One step of torch.optim.SGD on the network of ``problem``, with a loss of (outputs, targets, weights)."""
    torch = pytest.importorskip("torch")
    _, weights, images, targets = problem
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    x, y = torch.from_numpy(images), torch.from_numpy(targets)
    kernel, dense = parameters
    spectrum = torch.fft.fft2(kernel.permute(0, 3, 1, 2))
    hidden = torch.fft.ifft2(torch.einsum("ocuv,ncuv->nouv", spectrum, torch.fft.fft2(x))).real
    outputs = torch.einsum("khwo,nohw->nk", dense, hidden)
    optimiser = torch.optim.SGD(parameters, **options)
    loss(outputs, y, parameters).backward()
    optimiser.step()
    return [p.detach().numpy() for p in parameters]


def our_step(problem: Any, learning_rate: float, weight_decay: float) -> list[Any]:
    network, weights, images, targets = problem
    moments = SecondMoments.from_data(images, targets)
    run = lineardyn.gradient_descent(
        network, moments, weights, learning_rate=learning_rate, n_steps=1, weight_decay=weight_decay
    )
    return run.weights(-1)


def assert_same(ours: list[Any], theirs: list[Any]) -> None:
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=TIGHT)


def mse(outputs: Any, targets: Any, parameters: Any) -> Any:
    return pytest.importorskip("torch").nn.functional.mse_loss(outputs, targets)


def half(outputs: Any, targets: Any, parameters: Any) -> Any:
    return 0.5 * ((targets - outputs) ** 2).sum(1).mean()


@pytest.mark.torch
def test_learning_rate_of_mse(problem):
    ours = our_step(problem, lineardyn.convert_learning_rate(0.01, n_outputs=K, framework="torch"), 0.0)
    assert lineardyn.convert_learning_rate(0.01, n_outputs=K, framework="torch") == pytest.approx(2 * 0.01 / K)
    assert_same(ours, torch_step(problem, mse, lr=0.01))


@pytest.mark.torch
def test_weight_decay_of_torch(problem):
    assert_same(our_step(problem, 0.01, 0.3), torch_step(problem, half, lr=0.01, weight_decay=0.3))
    decay = convert_weight_decay(0.3, n_outputs=K, framework="torch")
    assert decay == pytest.approx(K * 0.3 / 2)
    ours = our_step(problem, 2 * 0.01 / K, decay)
    assert_same(ours, torch_step(problem, mse, lr=0.01, weight_decay=0.3))


@pytest.mark.torch
def test_weight_decay_of_keras(problem):
    def regularised(outputs: Any, targets: Any, parameters: Any) -> Any:  # what keras.regularizers.l2(0.3) adds
        return mse(outputs, targets, parameters) + 0.3 * sum((p**2).sum() for p in parameters)

    decay = convert_weight_decay(0.3, n_outputs=K, framework="keras")
    assert decay == pytest.approx(K * 0.3)
    assert_same(our_step(problem, 2 * 0.01 / K, decay), torch_step(problem, regularised, lr=0.01))


@pytest.mark.parametrize("form", ["dense", "samples"])
def test_statistics_are_uncentred(problem, form):
    network, weights, images, targets = problem
    moments = SecondMoments.from_data(images, targets, form=form)
    expected = np.einsum("nk,nchw->kchw", targets, images) / len(images)
    np.testing.assert_allclose(moments.sigma_yx, expected, rtol=0, atol=TIGHT)
    np.testing.assert_allclose(moments.power_spectrum(), np.mean(np.abs(dft(images)) ** 2, axis=0), rtol=1e-10)
    loss = half_squares(network, weights, images, targets)
    assert network.loss(weights, moments) == pytest.approx(loss, rel=TIGHT)


def test_modes_are_the_thin_svd():
    images, targets = random(9, C, H, W), random(9, K, seed=2)
    modes = SecondMoments.from_data(images, targets).modes()
    sigma_yx = np.einsum("nk,nchw->kchw", targets, images).reshape(K, -1) / 9
    assert (np.diff(modes.s) <= 0).all()
    flat = modes.v.reshape(K, -1)
    np.testing.assert_allclose(modes.u * modes.s @ flat, sigma_yx, rtol=0, atol=TIGHT)
    np.testing.assert_allclose(flat @ flat.T, np.eye(K), rtol=0, atol=TIGHT)
    np.testing.assert_allclose(modes.u.T @ modes.u, np.eye(K), rtol=0, atol=TIGHT)
    assert all(v[np.argmax(np.abs(v))] > 0 for v in flat)
    np.testing.assert_allclose(modes.q, dft(modes.v), rtol=0, atol=TIGHT)


def test_null_modes_are_marked():
    images, labels = random(K, 1, H, W), np.arange(K)
    centred = SecondMoments.from_data(images - images.mean(axis=0), labels)  # the class means sum to zero
    assert centred.modes().null.tolist() == [False, False, True]
    network = LinearCNN((1, H, W), n_outputs=K)
    flow = lineardyn.gradient_flow(network, centred, network.init_small(0.1, rng=0), [0.0, 1.0])
    effective = flow.effective_singular_values
    assert not effective[:, 2, :].any()
    assert not effective[:, :, 2].any()
    assert effective[-1, 0, 0] != 0


def test_coherent_classes_have_d_equal_to_k_s_squared():
    images = np.repeat(random(K, C, H, W), 4, axis=0)
    moments = SecondMoments.from_data(images, np.repeat(np.arange(K), 4))
    modes = moments.modes()
    np.testing.assert_allclose(modes.d, K * modes.s**2, rtol=1e-11)
    flat = modes.v.reshape(K, -1)
    sigma_xx = images.reshape(len(images), -1).T @ images.reshape(len(images), -1) / len(images)
    np.testing.assert_allclose(flat.T * modes.d @ flat, sigma_xx, rtol=0, atol=10 * TIGHT)
    assert moments.coherence() == pytest.approx(1, rel=1e-11)


def test_effective_singular_values_are_in_the_bases_of_the_modes(problem):
    network, weights, images, targets = problem
    moments = SecondMoments.from_data(images, targets)
    modes = moments.modes()
    predicted = network.predict(weights, images)
    sigma_px = np.einsum("nk,nchw->kchw", predicted, images).reshape(K, -1) / len(images)
    expected = modes.u.T @ sigma_px @ modes.v.reshape(K, -1).T
    flow = lineardyn.gradient_flow(network, moments, weights, [0.0, 1e-3])
    np.testing.assert_allclose(flow.effective_singular_values[0], expected, rtol=0, atol=100 * TIGHT)


@pytest.mark.parametrize("shape", [(3, 4), (5, 5)])
def test_radius_is_the_distance_on_the_torus(shape):
    for u, v in np.ndindex(*shape):
        distance = np.hypot(min(u, shape[0] - u), min(v, shape[1] - v))
        assert fourier.radius(shape)[u, v] == pytest.approx(distance)


def test_randomness_is_an_argument():
    network = LinearCNN((C, H, W), n_outputs=K)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the global state is what must not move)
    one, two = network.init_small(1.0, rng=5), network.init_small(1.0, rng=np.random.default_rng(5))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    with pytest.raises(TypeError):
        network.init_small(1.0)  # type: ignore[call-arg]
