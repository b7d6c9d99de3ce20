"""What the bottleneck's figures count and read: kept frequencies, gathering, coordinates, probes, made images."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.papers.digits import PAPER_COUNTS, counted, differing, gathered, shifted_shapes
from benchmarks.papers.disentangling import ALL, KEPT, linear_dimensions, readable, readings
from benchmarks.papers.kept import by_degree, coordinates, degrees, gathering, kept, middle, probe, scaled
from benchmarks.papers.scenes import BALL, Scenes, moving_ball, rings, shape_times_pattern, stripes
from lineardyn import geometric_shapes
from lineardyn.data import resize
from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN, pooling_eigenvalues
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.cbn.spectrum import filters_of_blocks


def projection(shape, frequencies):
    """Blocks (H, W, 1, 1) of the projection on these frequencies and their conjugates."""
    blocks = np.zeros((*shape, 1, 1))
    for u, v in frequencies:
        blocks[u % shape[0], v % shape[1]] = blocks[-u % shape[0], -v % shape[1]] = 1.0
    return blocks


def test_a_built_bottleneck_gathers_exactly():
    shape, m = (6, 5), pooling_eigenvalues((6, 5), "local", 0.3)
    blocks = projection(shape, [(0, 0), (1, 0), (2, 1)])
    net = build_bottleneck(blocks, blocks, depth=9, pooling=m).network
    expected = np.zeros(shape, dtype=int)
    expected[0, 0], expected[1, 0], expected[5, 0], expected[2, 1], expected[4, 4] = 1, 1, 1, 1, 1
    for layer in middle(9):
        np.testing.assert_array_equal(kept(net, layer), expected)
    found = gathering(net)
    # identity layers are projections over m_ω: |m_ω| s is 1 or 0 up to the round-off of a transform
    assert (found.low, found.median, found.high) == pytest.approx((1, 1, 1), abs=1e-12)
    assert (found.n_kept, found.between) == (5 * 3, 0)
    assert by_degree(expected) == [1, 2, 0, 2, 0, 0]
    assert by_degree(expected, pairs=True) == [1, 1, 0, 1, 0, 0]
    assert gathered(net, decides=True).holds is True
    assert scaled(net, 4)[1, 0, 0] == pytest.approx(1.0)  # and without m_ω
    assert np.linalg.svd(net.operator_blocks()[4])[1][1, 0, 0] == pytest.approx(1 / m[1, 0])


def test_what_does_not_gather_is_said_so():
    net = CyclicCNN.random((4, 4), (3, 3, 3, 3), rng=0)
    found = gathered(net, decides=True)
    assert found.holds is False
    assert gathered(net, decides=False).holds is None
    nothing = gathered(net.with_parameters(0 * net.parameters()), decides=True)
    assert nothing.holds is False
    assert "has no value" in nothing.text


def test_degrees_are_distances_along_the_axes():
    found = degrees((5, 6))
    for u in range(-2, 3):
        for v in range(-2, 4):
            assert found[u % 5, v % 6] == abs(u) + abs(v)
    assert sum(by_degree(np.ones((5, 6), dtype=int))) == 30
    assert sum(by_degree(np.ones((5, 6), dtype=int), pairs=True)) == 16  # 2 of 30 are their own conjugates


def test_counts_beside_the_papers():
    def net(*frequencies):
        blocks = projection((6, 6), frequencies)
        return CyclicCNN([filters_of_blocks(blocks)] * 3)

    assert sum(differing(PAPER_COUNTS)) == 0
    assert differing([1]) == [2, 4, 1]
    nets = {0.1: net((0, 0), (1, 0), (0, 1)), 0.2: net((0, 0))}
    found = counted(nets, 0.1, decides=True)
    assert (found.value, found.interval, found.holds) == (2 + 0 + 1, (3.0, 7.0), False)
    assert "1 of degree 0, 4 of degree 1" in found.text
    assert counted(nets, 0.1, decides=False).holds is None


@pytest.mark.parametrize("shape", [(5, 5), (6, 4)])
def test_coordinates_hold_all_that_a_layer_reads(shape):
    """Of kept singular values that are all there are, the coordinates of ω and -ω give the layer's input back."""
    generator = np.random.default_rng(2)
    first = CyclicCNN.random(shape, (2, 3), rng=generator).weights[0]
    pulse = np.zeros((3, *shape, 3))
    pulse[range(3), 0, 0, range(3)] = 1.0  # the identity: all singular values 1
    net = CyclicCNN([first, pulse])
    images = generator.standard_normal((7, 2, *shape))
    found = coordinates(net, images, 1)
    read = net.activations(images)[1]
    own = sum((-u % shape[0], -v % shape[1]) == (u % shape[0], v % shape[1]) for u, v in found)
    assert len(found) == (np.prod(shape) + own) // 2
    assert sum(part.shape[1] for part in found.values()) == 3 * np.prod(shape)
    # Parseval: pairs count twice
    power = sum(
        (1 if (-u % shape[0], -v % shape[1]) == (u % shape[0], v % shape[1]) else 2) * (part**2).sum(axis=1)
        for (u, v), part in found.items()
    )
    np.testing.assert_allclose(power, (read**2).sum(axis=(1, 2, 3)), rtol=1e-12)
    # and the same numbers whatever the other images are: no sign is taken from the sample
    alone = coordinates(net, images[3:4], 1)
    for place, part in found.items():
        np.testing.assert_allclose(alone[place][0], part[3], atol=1e-13)


def test_coordinates_leave_out_what_is_not_kept():
    shape = (6, 6)
    blocks = projection(shape, [(0, 0), (0, 1), (3, 3)]) + 0.4 * projection(shape, [(2, 2)])
    net = CyclicCNN([filters_of_blocks(blocks)] * 2, slope=1.0)
    images = np.random.default_rng(0).standard_normal((4, 1, *shape))
    found = coordinates(net, images, 1)
    assert {place: part.shape[1] for place, part in found.items()} == {(0, 0): 1, (0, 1): 2, (3, 3): 1}
    hat = np.fft.fft2(images[:, 0], norm="ortho")[:, 0, 1]  # the projection leaves it as it is
    np.testing.assert_allclose(np.hypot(*found[0, 1].T), np.abs(hat), rtol=1e-12)
    w = net.weights[0]
    wide = CyclicCNN([np.concatenate([w] * 3), np.concatenate([w / 3] * 3, axis=-1)], slope=1.0)  # 1/√3 is kept
    every = coordinates(wide, images, 1, projected=False)
    assert {place: part.shape[1] for place, part in every.items()} == {(0, 0): 3, (0, 1): 6, (3, 3): 3}
    for channel in range(3):
        np.testing.assert_allclose(every[0, 1][:, channel], hat.real, atol=1e-13)


@pytest.mark.parametrize("shape", [(5, 5), (6, 4)])
def test_coordinates_give_the_layers_output(shape):
    """``‖ẑ_ω‖² = Σ_i s_i² |v_i^* α̂_ω|²`` where all that is not kept is 0: of fewer outputs than inputs."""
    net = CyclicCNN.random(shape, (3, 4, 2), rng=1, scale=9.0)
    images = np.random.default_rng(0).standard_normal((5, 3, *shape))
    after = np.fft.fft2(net(images), norm="ortho")
    for (u, v), part in coordinates(net, images, 1).items():
        s = scaled(net, 1)[u, v]
        squares = part.reshape(5, -1, 2) ** 2
        assert s.min() > 0.5
        np.testing.assert_allclose((squares.sum(axis=1) * s**2).sum(axis=1), (abs(after[:, :, u, v]) ** 2).sum(axis=1))


def test_probe_is_least_squares_on_other_samples():
    generator = np.random.default_rng(0)
    x, held = generator.standard_normal((4000, 3)), generator.standard_normal((4000, 3))

    def factors(rows, noise):
        exact = rows @ [1.0, -2.0, 0.0] + 5.0
        return np.column_stack([exact, exact + noise, noise, rows[:, 0] ** 2])

    a, b = (2.0 * generator.standard_normal(4000) for _ in range(2))
    found = probe(x, factors(x, a), held, factors(held, b))
    assert found[0] == pytest.approx(1.0, abs=1e-12)
    # variance 5 of the signal, 4 of the noise; three standard errors of 4000 samples
    assert found[1] == pytest.approx(5 / 9, abs=0.04)
    # chance alone: slopes of deviation up to √(10/4000) in either sample
    assert found[2:] == pytest.approx([0, 0], abs=0.03)
    with pytest.raises(ArgumentError, match="more samples than features"):
        probe(x[:3], x[:3], held, held)


def test_shape_and_pattern_are_where_theory_puts_them():
    size, scenes = 8, shape_times_pattern(8, 50, rng=1)
    x, half = scenes.images[:, 0], 4
    hat = np.fft.fft2(x)
    assert 0 <= x.min() <= x.max() <= 1
    chi = stripes(size)
    np.testing.assert_allclose(np.tensordot(scenes.factors["pattern"], chi, 1) ** 2, 1.0)
    # x = (s ± χ s)/2: low frequencies hold s/2, those about (n/2, ..) the pattern's sign times the same
    a = scenes.factors["shape"]
    np.testing.assert_allclose(hat[:, 1, 0], size**2 * (a[:, 0] - 1j * a[:, 2]) / 16, atol=1e-12)
    np.testing.assert_allclose(hat[:, 0, 1], size**2 * (a[:, 1] - 1j * a[:, 3]) / 16, atol=1e-12)
    signs = np.stack([hat[:, half, 0], hat[:, 0, half], hat[:, half, half]], axis=1).real / (size**2 / 4)
    np.testing.assert_allclose(signs, scenes.factors["pattern"], atol=1e-12)
    used = np.abs(hat).max(axis=0) > 1e-9
    assert used.sum() == 20  # 5 of the shape, and 5 about each of three patterns
    # the product is one activation
    shape = 2 * np.fft.ifft2(hat * (np.minimum(degrees((8, 8)), 2) < 2)).real
    pattern = 0.5 + 0.5 * np.tensordot(scenes.factors["pattern"], chi, 1)
    np.testing.assert_allclose(np.maximum(shape + pattern - 1, 0), x, atol=1e-12)
    with pytest.raises(ArgumentError, match="even"):
        shape_times_pattern(7, 2, rng=0)


def test_the_ball_moves_as_told():
    n = 16
    scenes = moving_ball(n, 40, n_seen=2, n_next=3, fastest=0.2, rng=0)
    frames = np.concatenate([scenes.images, scenes.targets], axis=1)
    assert frames.shape == (40, 5, n, n)
    assert frames.max() <= 1
    hat = np.fft.fft2(frames)
    c, v = scenes.factors["position"], scenes.factors["velocity"]
    assert np.abs(v).max() <= 2 * np.pi * 0.2
    for t in range(-1, 4):
        # the phase of frequency (1, 0) is minus the place along the first axis
        for axis, place in enumerate(((1, 0), (0, 1))):
            phase = np.exp(-1j * np.angle(hat[:, t + 1, *place]))
            here = (c[:, axis] + 1j * c[:, 2 + axis]) * np.exp(1j * t * v[:, axis])
            np.testing.assert_allclose(phase, here, atol=1e-9)  # aliases of a profile that falls as I_k(1.5)
    # its profile, at a pixel
    top = np.exp(BALL * (c[:, :2].sum(axis=1) - 2))
    np.testing.assert_allclose(frames[:, 1, 0, 0], top, rtol=1e-12)


def test_rings_are_dark_in_the_middle_and_the_same_for_the_same_seed():
    images = rings(14, 30, rng=3)
    np.testing.assert_array_equal(images, rings(14, 30, rng=3))
    assert images.shape == (30, 1, 14, 14)
    assert images[:, 0, 6:8, 6:8].max() < 0.1 < 0.7 < images.max(axis=(1, 2, 3)).min()


def test_shifted_shapes_are_the_shapes():
    images, targets = shifted_shapes(6, 200, rng=0)
    power = np.abs(np.fft.fft2(images[:, 0]))
    for shape, row in zip(resize(geometric_shapes(12)[0], 6)[:, 0], targets.T, strict=True):
        # no shift changes it; the noise adds .05² in each pixel, (6 · .05)² in each frequency
        mine = power[row == 1]
        assert np.abs(mine - np.abs(np.fft.fft2(shape))).max() < 6 * 0.05 * 5
        assert len(np.unique(np.round(images[row == 1, 0, 0, 0], 1))) > 3  # at many places
    assert targets.sum() == 200


def test_linear_dimensions_are_principal_components():
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.standard_normal((9, 9)))[0][:3]
    rows = (generator.standard_normal((500, 3)) * [3.0, 2.0, 1.0]) @ basis + 7.0
    targets = rows.reshape(500, 1, 3, 3)
    variances = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1][:3]
    assert linear_dimensions(targets, 1e-9) == 3
    assert linear_dimensions(targets, 1.001 * variances[2]) == 2
    assert linear_dimensions(targets, 0.999 * variances[2]) == 3
    assert linear_dimensions(targets, 2 * variances.sum()) == 0


def test_readings_find_which_frequency_carries_what():
    shape = (6, 6)
    blocks = projection(shape, [(0, 0), (1, 0), (0, 3)])
    net = CyclicCNN([filters_of_blocks(blocks)] * 3, slope=1.0)

    def scenes(seed):
        images = np.random.default_rng(seed).standard_normal((60, 1, *shape))
        hat = np.fft.fft2(images[:, 0])
        factors = {"wave": np.column_stack([hat[:, 1, 0].real, hat[:, 1, 0].imag]), "stripe": hat[:, 0, 3:4].real}
        return Scenes(images, images, factors)

    found = readings(net, scenes(0), scenes(1))
    assert list(found) == [ALL, KEPT, "(0, 0)", "(0, 3)", "(1, 0)"]
    for name in (ALL, KEPT):
        assert found[name]["wave"] == pytest.approx([1, 1], abs=1e-12)
    assert found["(0, 3)"]["stripe"] == pytest.approx([1], abs=1e-12)
    assert found["(0, 0)"]["wave"].max() < 0.2  # nothing but chance in 60 samples
    told = readable(found, "", tiny=False)
    assert told.holds is True
    assert "wave at (1, 0); stripe at (0, 3)" in told.text
    lost = readable({w: {"wave": row["wave"] - 0.1} for w, row in found.items()}, "", tiny=False)
    assert lost.holds is False


@pytest.mark.torch
@pytest.mark.parametrize("size", [5, 6])
def test_the_network_in_numpy_is_the_model(size):
    torch = pytest.importorskip("torch")
    from benchmarks.papers.decayed import as_cyclic, draw_weights, operator_norm
    from benchmarks.papers.models import CyclicBottleneck, CyclicClassifier

    m = pooling_eigenvalues((size, size), "local", 0.3)
    eigenvalues = torch.as_tensor(m)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = draw_weights(CyclicBottleneck(3, 4, size=size, inputs=2, pooling=eigenvalues)).double()
        other = draw_weights(CyclicClassifier(2, 4, size=size, outputs=3, pooling=eigenvalues)).double()
        for part in (*model.parameters(), *other.parameters()):
            torch.nn.init.normal_(part, std=0.1)
        images = torch.randn(5, 2, size, size, dtype=torch.float64)
    net = as_cyclic(model)
    with torch.no_grad():
        # float64 on both sides, sums of some hundred products
        np.testing.assert_allclose(net(images.numpy()), model(images).numpy(), atol=1e-12)
        assert float(operator_norm(model)) == pytest.approx(net.norm(), rel=1e-12)
        body, dense = as_cyclic(other), other[-1]
        norm = body.norm() + float((dense.weight**2).sum() / size**2 + (dense.bias**2).sum())
        assert float(operator_norm(other)) == pytest.approx(norm, rel=1e-12)
        alone = images[:, :1]
        told = body.pool(np.maximum(body(alone.numpy()), 0)).mean(axis=(2, 3)) @ dense.weight.numpy().T
        np.testing.assert_allclose(other(alone).numpy(), told + dense.bias.numpy(), atol=1e-12)
        moved = torch.roll(alone, (1, 2), (-2, -1))
        torch.testing.assert_close(other(moved), other(alone))


@pytest.mark.torch
def test_drawn_weights_have_operators_of_one_size():
    torch = pytest.importorskip("torch")
    from benchmarks.papers.decayed import as_cyclic, draw_weights
    from benchmarks.papers.models import CyclicClassifier

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = draw_weights(CyclicClassifier(3, 20, size=6, outputs=40))
    for blocks in as_cyclic(model).operator_blocks()[1:]:
        # entries of mean square 2/C, 36 · 400 of them
        assert (np.abs(blocks) ** 2).mean() == pytest.approx(2 / 20, rel=0.05)
    assert float((model[-1].weight.detach() ** 2).mean()) / 36 == pytest.approx(2 / 20, rel=0.2)


@pytest.mark.torch
def test_decay_and_rate_over_the_steps():
    pytest.importorskip("torch")
    from benchmarks.papers.decayed import Decayed

    recipe = Decayed(0.1, 0.01, 8, 1000, full=0.6)
    decays = [recipe.decay(s) for s in (0, 200, 400, 600, 999)]
    assert decays == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 0.1], rel=1e-12)
    assert recipe.rate(0) == pytest.approx(1e-4)
    assert recipe.rate(500) == pytest.approx(0.005)
    assert recipe.rate(1000) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.torch
def test_training_with_decay_goes_on_where_it_was_stopped(tmp_path):
    torch = pytest.importorskip("torch")
    from benchmarks.papers.decayed import Decayed, loss_of, squared, train_decayed, train_kept
    from benchmarks.papers.figure import Run
    from benchmarks.papers.models import CyclicBottleneck

    images = np.random.default_rng(0).standard_normal((20, 1, 4, 4))
    recipe = Decayed(1e-3, 0.01, 5, 20)

    def build(strength=0.3):
        m = torch.as_tensor(pooling_eigenvalues((4, 4), "local", strength), dtype=torch.float32)
        return CyclicBottleneck(2, 3, size=4, pooling=m)

    class Stopped(Exception):
        pass

    def stop(text):
        if text.startswith("step 14 "):
            raise Stopped

    said = []
    state = torch.random.get_rng_state()
    whole = train_kept(Run("tiny", tmp_path, said.append), "w", build, images, images, recipe, seed=1)
    path = tmp_path / "stopped.pt"
    with pytest.raises(Stopped):
        train_decayed(build, images, images, recipe, seed=1, checkpoint=path, say=stop)
    parts = train_decayed(build, images, images, recipe, seed=1, checkpoint=path)
    again = train_kept(Run("tiny", tmp_path, pytest.fail), "w", build, images, images, recipe, seed=1)  # no step
    other = train_kept(Run("tiny", tmp_path), "w", build, images + 1, images, recipe, seed=1)  # other data: anew
    train_kept(Run("tiny", tmp_path), "w", lambda: build(0.2), images, images, recipe, seed=1)  # and other pooling
    assert len(list(tmp_path.glob("w-*-tiny.trained.pt"))) == 3
    for a, b, c, d in zip(*(each.model.parameters() for each in (whole, parts, again, other)), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
        assert not torch.equal(a, d)
    assert len(said) == 10
    assert again.cpu_seconds > 0.5 * whole.cpu_seconds > 0  # it is kept with the rest, up to the last write
    assert torch.equal(state, torch.random.get_rng_state())  # nothing global
    first, last = (float(text.split("loss ")[1].split(",")[0]) for text in (said[0], said[-1]))
    assert last < first
    with torch.no_grad():
        exact = float(squared(whole.model(torch.as_tensor(images).float()), torch.as_tensor(images).float()))
    assert loss_of(whole.model, images, images, batch=7) == pytest.approx(exact, rel=1e-6)  # float32
