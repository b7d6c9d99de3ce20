"""One frequency from starts that are neither aligned nor balanced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from lineardyn.closed_form import cosine_from_any_start, sigmoid
from lineardyn.fourier import fft2, ifft2
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests.lineardyn.problems import cosine_images


@pytest.mark.parametrize("scale", [0.05, 1.0])
@pytest.mark.parametrize("case", ["self-conjugate", "common phase", "fully connected"])
def test_any_start_of_a_network_in_pixel_space(case, scale):
    """Three outputs, one image: random weights everywhere, at a pair of frequencies with one phase."""
    shape, rng = (4, 3), np.random.default_rng(2)
    f = (1, 1) if case == "common phase" else (2, 0)
    images, targets = cosine_images(shape, [f], [0.9]), np.array([[0.3, -1.1, 0.5]])
    moments = SecondMoments.from_data(images, targets)
    modes = moments.modes()
    if case == "fully connected":
        network, pixels = LinearFCN((1, *shape), widths=(1,), n_outputs=3), {"n_pixels": 1, "multiplicity": 1}
        start = network.init_small(scale, rng=3)
    else:
        network = LinearCNN((1, *shape), n_outputs=3)
        pixels = {"n_pixels": 12, "multiplicity": 2 if case == "common phase" else 1}
        start = network.init_small(scale, rng=3)
        if case == "common phase":
            kernel, dense = fft2(start[0][0, ..., 0]), fft2(start[1][..., 0])
            phase, values = np.exp(0.7j), scale * rng.standard_normal(4)
            q = modes.q[0, 0, 1, 1]
            for place, turn in (((1, 1), phase), ((-1, -1), phase.conj())):
                size = q / abs(q) if place == (1, 1) else q.conj() / abs(q)
                kernel[place] = values[0] * turn * size.conj()
                dense[(slice(None), *place)] = values[1:] * turn  # conj(A) = ŵ: the phase of κ q
            start = [ifft2(kernel).real[None, ..., None], ifft2(dense).real[..., None]]

    def coordinates(weights):
        if case == "fully connected":
            return (weights[0] @ modes.v[0].ravel()).item(), modes.u.T @ weights[1][:, 0]
        q = modes.q[0, 0][f]
        turn = np.exp(-0.7j) if case == "common phase" else 1.0
        k = fft2(weights[0][0, ..., 0])[f] * q / abs(q) * turn
        a = modes.u.T @ fft2(weights[1][..., 0])[(slice(None), *f)] * turn
        assert abs(k.imag) + np.abs(a.imag).max() <= 1e-12  # one phase for all, kept by the reference to its rtol
        return k.real, a.real

    kappa0, a0 = coordinates(start)
    for t in (0.1, 0.7):
        kappa, a = cosine_from_any_start(t, s=modes.s[0], d=modes.d[0], kappa0=kappa0, a0=a0, mode=0, **pixels)
        end = oracles.flow(start, images, targets, np.array([t]), rtol=1e-13)[-1]
        wanted = coordinates(end)
        # the reference's 1e-13 a step, amplified by the growth from the small start, 20
        assert kappa == pytest.approx(wanted[0], abs=5e-12)
        np.testing.assert_allclose(a, wanted[1], atol=5e-12)


@given(seed=st.integers(0, 10**6), log_scale=st.floats(-6, 1), n=st.integers(1, 5), t=st.floats(0, 3))
def test_any_start_satisfies_the_equation_and_conserves_and_restarts(seed, log_scale, n, t):
    rng = np.random.default_rng(seed)
    mode = {"s": 1.3, "d": 0.7, "mode": int(rng.integers(n)), "n_pixels": 9, "multiplicity": int(rng.integers(1, 3))}
    x0 = 10**log_scale * rng.standard_normal(n + 1)
    c = np.sqrt(9 / mode["multiplicity"])
    w = mode["multiplicity"] * c * 0.7

    def slope(_, x):
        errors = -w * x[0] * x[1:]
        errors[mode["mode"]] += 1.3
        return c * np.concatenate([[errors @ x[1:]], x[0] * errors])

    kappa, a = cosine_from_any_start(t, kappa0=x0[0], a0=x0[1:], **mode)
    # atol far below the start's size: errors there grow by e^{cst}, at most 1e5 (then the state is of size 1)
    wanted = solve_ivp(slope, (0, max(t, 1e-9)), x0, rtol=1e-12, atol=1e-25, method="DOP853").y[:, -1]
    size = np.abs(wanted).max()
    np.testing.assert_allclose(np.append(kappa, a), wanted, atol=1e-9 * size + 1e-9 * np.abs(slope(0, x0)).max())
    invariant = kappa**2 - a @ a
    assert invariant == pytest.approx(x0[0] ** 2 - x0[1:] @ x0[1:], abs=1e-13 * (kappa**2 + a @ a + x0 @ x0))
    half = cosine_from_any_start(t / 2, kappa0=x0[0], a0=x0[1:], **mode)
    again = cosine_from_any_start(t / 2, kappa0=float(half[0]), a0=half[1], **mode)
    # the middle state's round-off grows by e^{cst/2}; not for starts on the separatrix, which random ones miss
    np.testing.assert_allclose(np.append(*again), np.append(kappa, a), atol=1e-10 * size)


def test_aligned_balanced_start_is_the_sigmoid():
    t = np.array([0.0, 0.3, 1.0, np.inf])
    kappa, a = cosine_from_any_start(t, s=1.3, d=0.7, kappa0=0.01, a0=[0.0, 0.01], mode=1, n_pixels=9, multiplicity=2)
    w = 2 * np.sqrt(4.5) * 0.7
    # 1e-16 times the growth, 100
    np.testing.assert_allclose(
        w * kappa * a[:, 1], sigmoid(t, s=1.3, b0=w * 1e-4, n_pixels=9, multiplicity=2), rtol=1e-13
    )
    assert (a[:, 0] == 0).all()


def test_limits_and_starts_that_are_never_learned():
    mode = {"s": 1.0, "d": 1.0, "mode": 0, "n_pixels": 4, "multiplicity": 1}
    t = np.array([0.0, 1.0, 1e300, np.inf])
    kappa, a = cosine_from_any_start(t, kappa0=0.1, a0=[-0.05, 0.3], **mode)
    assert kappa[0] == 0.1
    assert a[0].tolist() == [-0.05, 0.3]
    for i in (2, 3):  # w = 2: B = (s, 0)
        np.testing.assert_allclose(2 * kappa[i] * a[i], [1.0, 0.0], atol=1e-15)
    down, column = cosine_from_any_start(t, kappa0=-0.5, a0=[0.5], **mode)
    np.testing.assert_allclose(column[:, 0], -down)  # a = -κ stays so ..
    assert down[-1] == 0.0  # .. until nothing is left
    still = cosine_from_any_start(t, kappa0=0.0, a0=[0.0, 0.5], **mode)
    assert (still[0] == 0).all()
    assert (still[1] == [0.0, 0.5]).all()
