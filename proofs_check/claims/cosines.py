"""Claims about pure cosines (P §3, eq 22, appendix H): their constants, the delay, the sigmoid, discrete time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import LinearCNN, SecondMoments, gradient_flow
from lineardyn.closed_form import cosine_recursion, sgd_recursion, sigmoid
from lineardyn.fourier import multiplicity
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.pixel_space import (
    cosine_instance,
    draw_cosines,
    effective_singular_values,
    gradient,
    shift_matrices,
    two_layer_weights,
)
from proofs_check.verdict import Instance, Outcome

__all__ = [
    "ALTERNATING",
    "CORNERS",
    "COSINE_CLAIMS",
    "DELAY_REASON",
    "HYPOTHESES",
    "RECURSION_REASON",
    "class_constants",
    "delay_form",
    "delay_sides",
    "descend",
    "draw_steps",
    "with_steps",
]

Floats = NDArray[np.float64]

ALTERNATING = cosine_instance(
    (1, 2), [(0, 1)], [1.0], scale=0.5, direction=np.array([[1.0, 0.0]]), text="1×2, K = 1, x = (1, −1)"
)
"""The smallest image with a self-conjugate frequency that is not DC."""
CONSTANT = cosine_instance((1, 2), [(0, 0)], [1.0], scale=0.5, direction=np.array([[1.0, 0.0]]), text="1×2, x = (1, 1)")
TURNING = cosine_instance(
    (1, 3), [(0, 1)], [1.0], scale=0.5, direction=np.array([[1.0, 0.0, 0.0]]), text="1×3, one cosine that is not real"
)
CORNERS = (ALTERNATING, CONSTANT, TURNING)

HYPOTHESES = (
    "one pure cosine a class, all frequencies different up to conjugation, one image a class",
    "balanced, aligned start",
)


def class_constants(instance: Instance) -> tuple[Floats, Floats, list[int]]:
    """``s_α``, ``b_α(0)`` from its formula ``d_α √P Σ|q_αf||κ_f|²``, and the multiplicities m."""
    images = instance["images"]
    n_classes, height, width = images.shape
    norms = np.linalg.norm(images, axis=(1, 2))
    m = [multiplicity((int(u), int(v)), (height, width)) for u, v in instance["frequencies"]]
    start = norms**2 / n_classes * np.sqrt(height * width) * np.sqrt(m) * instance["scale"] ** 2
    return norms / n_classes, start, m


def constant_sides(
    instance: Instance, *, delay: bool = True, m_power: float = 0.5, power_of_p: float = 0.5, classes: float = 1.0
) -> tuple[Any, Any]:
    """Singular values of Σ^yx, eigenvalues of Σ^xx and ``|q_αf|`` of the images; their formulas, a the amplitude.

    Singular values over the largest and in descending order, as the modes have them.
    """
    images = instance["images"]
    n_classes, height, width = images.shape
    rows, n_pixels = images.reshape(n_classes, -1), height * width
    s = np.linalg.svd(rows / n_classes, compute_uv=False)
    d = np.linalg.eigvalsh(rows.T @ rows / n_classes)[::-1][:n_classes]
    spectra = np.fft.fft2(images, norm="ortho") / np.linalg.norm(rows, axis=1)[:, None, None]
    u, v = instance["frequencies"].T
    q = np.abs(spectra[np.arange(n_classes), u, v])
    counts = class_constants(instance)[2] if delay else np.ones(n_classes)
    root_m = np.power(np.asarray(counts, float), m_power)
    amplitudes = images[:, 0, 0]  # cos 0 = 1
    said = np.sort(amplitudes * n_pixels**power_of_p / root_m / n_classes**classes)[::-1]
    left, right = (s / s[0], d / d[0], q), (said / s[0], n_classes * said**2 / d[0], 1 / root_m)
    return np.concatenate(left), np.concatenate(right)


def delay_sides(instance: Instance, *, undelayed: str, exponent: float = 0.5) -> tuple[Any, Any]:
    """Rate ``ḃ/(b(1 - b/s))`` of each class, by one exact derivative in pixel space; and ``2√P s/m^½``.

    ``undelayed`` names the frequencies taken to have m = 1: "self-conjugate", "DC", "none", "all".
    """
    kernel, dense = instance["kernel"].ravel(), instance["dense"].reshape(len(instance["dense"]), -1)
    shifts, n_pixels = shift_matrices(instance["images"]), kernel.size
    k_dot, w_dot = (-g for g in gradient(shifts, np.eye(len(shifts)), kernel, dense))
    # b is bilinear in the two layers, so that this sum is its exact derivative
    b = effective_singular_values(shifts, kernel, dense)
    b_dot = effective_singular_values(shifts, k_dot, dense) + effective_singular_values(shifts, kernel, w_dot)
    s, _, true_m = class_constants(instance)
    dc = (instance["frequencies"] == 0).all(axis=1)
    count = {"self-conjugate": true_m, "DC": np.where(dc, 1, 2), "none": 2, "all": 1}[undelayed]
    return b_dot / (b * (1 - b / s)), 2 * np.sqrt(n_pixels) * s / np.power(np.asarray(count, float), exponent)


def delay_form(*, undelayed: str, exponent: float = 0.5) -> list[Any]:
    """One class of 1×2 or 1×3 pixels: the frequencies (0, 0) and (0, 1) of two, both self-conjugate; (0, 1) of three.

    ``ḃ - (2√P/√m) b (s - b)`` from the gradient in pixel space, for x = r u, u of norm 1, so that b = r f(x), s = r.
    """
    import sympy as sp

    r, size = sp.symbols("r kappa", positive=True)
    half = sp.Rational(1, 2)
    cases = (
        (sp.Matrix([1, 1]) / sp.sqrt(2), {"self-conjugate": 1, "DC": 1, "none": 2, "all": 1}),
        (sp.Matrix([1, -1]) / sp.sqrt(2), {"self-conjugate": 1, "DC": 2, "none": 2, "all": 1}),
        (sp.Matrix([1, -half, -half]) * sp.sqrt(2) / sp.sqrt(3), {"self-conjugate": 2, "DC": 2, "none": 2, "all": 1}),
    )
    differences = []
    for unit, multiplicities in cases:
        count = len(unit)
        pair = 2 if count == 3 else 1
        k = w = sp.sqrt(pair) * size * unit  # |κ_f| = size, aligned: the spectrum of an even image is real
        moved = sp.Matrix(count, count, lambda i, m, u=unit: r * u[(i - m) % len(u)])
        b = r * (w.T * moved * k)[0]
        gain = (w.T * moved * moved.T * w)[0] + (k.T * moved.T * moved * k)[0]
        pace = 2 * sp.sqrt(count) / sp.Integer(multiplicities[undelayed]) ** sp.nsimplify(exponent)
        differences.append(sp.expand(r * gain * (1 - b / r) - pace * b * (r - b)))
    return differences


def sigmoid_sides(instance: Instance, *, speed: float = 1.0, pixels: str = "P", delay: bool = True) -> tuple[Any, Any]:
    """``b_α(t)/s_α`` from the integrated flow, and from the sigmoid; at five times around the learning time."""
    images, (s, b0, m) = instance["images"], class_constants(instance)
    n_classes, height, width = images.shape
    n_pixels = height * width
    slowest = int(np.argmin(s / np.sqrt(m)))
    rate = 2 * np.sqrt(n_pixels) * s[slowest] / np.sqrt(m[slowest])
    times = np.linspace(0.0, 1.5, 5) * (1.0 + abs(np.log(b0[slowest] / s[slowest]))) / rate
    network = LinearCNN((1, height, width), widths=(1,), n_outputs=n_classes)
    trajectory = gradient_flow(
        network,
        SecondMoments.from_data(images[:, None], np.eye(n_classes)),
        two_layer_weights(instance["kernel"], instance["dense"]),
        times,
        method="dop853",
        rtol=1e-11,
        atol=1e-13 * instance["scale"],
    )
    outputs = [network.predict(trajectory.weights(i), images[:, None]) for i in range(len(times))]
    count = {"P": n_pixels, "P²": n_pixels**2, "1": 1}[pixels]
    predicted = [
        sigmoid(speed * times, s=s[a], b0=b0[a], n_pixels=count, multiplicity=m[a] if delay else 1) / s[a]
        for a in range(n_classes)
    ]
    return np.array([np.diag(f) for f in outputs]), np.array(predicted).T


def sigmoid_form(*, speed: float = 1.0, pixels: str = "P", delay: bool = True) -> list[Any]:
    """The sigmoid solves ``ḃ = (2√P/√m) b (s - b)`` identically and starts at b₀."""
    import sympy as sp

    t, s, b0, p, m = sp.symbols("t s b0 P m", positive=True)
    count = {"P": p, "P²": p**2, "1": sp.Integer(1)}[pixels]
    used = 2 * sp.sqrt(count / (m if delay else 1)) * sp.nsimplify(speed)
    b = s / (1 + (s / b0 - 1) * sp.exp(-used * s * t))
    return [sp.simplify(sp.diff(b, t) - 2 * sp.sqrt(p / m) * b * (s - b)), sp.simplify(b.subs(t, 0) - b0)]


def draw_steps(rng: np.random.Generator, *, steps: int = 40) -> Instance:
    """Cosines, a stable learning rate, and the class drawn at each step."""
    instance = draw_cosines(rng)
    images = instance["images"]
    n_classes, n_pixels = len(images), images[0].size
    s, _, m = class_constants(instance)
    limit = 1 / (n_classes * np.sqrt(n_pixels) * np.max(s / np.sqrt(m)))
    return {
        **instance,
        "learning_rate": float(rng.uniform(0.05, 0.6) * limit),
        "draws": rng.integers(n_classes, size=steps),
    }


def with_steps(instance: Instance) -> Instance:
    """A corner case with six steps on its one class."""
    s, _, m = class_constants(instance)
    rate = 0.5 / (np.sqrt(instance["images"][0].size) * s[0] / np.sqrt(m[0]))
    return {**instance, "learning_rate": float(rate), "draws": np.zeros(6, dtype=int)}


def descend(instance: Instance, *, one_sample: bool) -> Floats:
    """``b_α/s_α`` ``(steps + 1, K)`` under gradient descent in pixel space."""
    kernel, dense = instance["kernel"].ravel(), instance["dense"].reshape(len(instance["dense"]), -1)
    shifts, targets = shift_matrices(instance["images"]), np.eye(len(instance["images"]))
    rate = instance["learning_rate"]
    path = [effective_singular_values(shifts, kernel, dense)]
    for drawn in instance["draws"]:
        batch = slice(drawn, drawn + 1) if one_sample else slice(None)
        to_kernel, to_dense = gradient(shifts[batch], targets[batch], kernel, dense)
        kernel, dense = kernel - rate * to_kernel, dense - rate * to_dense
        path.append(effective_singular_values(shifts, kernel, dense))
    return np.array(path) / class_constants(instance)[0]


def sgd_sides(
    instance: Instance, *, rate_factor: float = 1.0, classes: bool = True, delay: bool = True, late: int = 0
) -> tuple[Any, Any]:
    """``b/s`` along one-sample SGD in pixel space, and as a function of the count of draws of each class."""
    s, b0, m = class_constants(instance)
    n_classes = len(s)
    draws = instance["draws"]
    counts = np.zeros((len(draws) + 1, n_classes), dtype=int)
    counts[1:] = np.cumsum(draws[:, None] == np.arange(n_classes), axis=0)
    predicted = [
        sgd_recursion(
            np.maximum(counts[:, a] - late, 0),
            s=s[a],
            b0=b0[a],
            n_pixels=instance["images"][0].size,
            multiplicity=m[a] if delay else 1,
            n_classes=n_classes if classes else 1,
            learning_rate=rate_factor * instance["learning_rate"],
        )
        / s[a]
        for a in range(n_classes)
    ]
    return descend(instance, one_sample=True), np.array(predicted).T


def descent_sides(instance: Instance, *, rate_factor: float = 1.0, delay: bool = True) -> tuple[Any, Any]:
    """``b/s`` along full-batch descent in pixel space, and by the recursion."""
    s, b0, m = class_constants(instance)
    predicted = [
        cosine_recursion(
            len(instance["draws"]),
            s=s[a],
            b0=b0[a],
            n_pixels=instance["images"][0].size,
            multiplicity=m[a] if delay else 1,
            learning_rate=rate_factor * instance["learning_rate"],
        )
        / s[a]
        for a in range(len(s))
    ]
    return descend(instance, one_sample=False), np.array(predicted).T


def recursion_form(*, rate_factor: float = 1.0, delay: bool = True, classes: bool = True) -> list[Any]:
    """From the step of both layers, ``κ ← κ + ηc a (s - b)``, ``a ← a + ηc κ (s - b)``, b = d m c a κ, at a = κ.

    One sample of the class a step: K times the step, and η stands for ηK.
    """
    import sympy as sp

    eta, k, p, m, d, s, kappa = sp.symbols("eta K P m d s kappa", positive=True)
    a, c = kappa, sp.sqrt(p / m)
    b = d * m * c * a * kappa
    step = eta * k * c * (s - b)
    stepped = d * m * c * (kappa + step * a) * (a + step * kappa)
    used = sp.nsimplify(rate_factor) * eta * (k if classes else 1) * sp.sqrt(p / (m if delay else 1))
    return [sp.simplify(sp.expand(stepped - b * (1 + used * (s - b)) ** 2))]


DELAY_REASON = "one gradient in float64: P·K·ε ≈ 1e-14 relative, and 1/(1 − b/s) ≤ 5 magnifies it; a factor 20 left"
RECURSION_REASON = "40 stable steps, each with round-off P·K·ε ≈ 1e-14 that the fixed point does not amplify"

COSINE_CLAIMS = (
    Claim(
        id="cosine-constants",
        title="The constants of a pure cosine",
        statement="x_α = a cos(2π(u i/H + v j/W)) ⇒ |q_αf| = 1/√m at f = (u, v), s_α = a√P/(√m K), d_α = K s_α²",
        source="Pinson et al. S.155-S.158, exception corrected (see E6); s and d: new",
        hypotheses=(HYPOTHESES[0], "one-hot targets", "m = 1 at self-conjugate frequencies, else 2"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√m dropped": {"delay": False},
            "m for √m": {"m_power": 1.0},
            "√P dropped": {"power_of_p": 0.0},
            "exponent of P 1% off": {"power_of_p": 0.505},
            "√K for K": {"classes": 0.5},
        },
        tolerance=1e-12,
        tolerance_reason="singular values and eigenvalues of size ≤ 20 in float64: 20·ε ≈ 5e-15 of the largest",
        draw=draw_cosines,
        sides=constant_sides,
        distance=absolute_distance,
        quantity="s_α/s_1, d_α/d_1 or |q_α|",
        smallest=CORNERS,
    ),
    Claim(
        id="self-conjugate-delay",
        title="Every self-conjugate frequency escapes the delay √2",
        statement="ḃ = (2√P/√m) b (s − b), with m = 1 at every self-conjugate frequency (f* = f), else m = 2",
        source="Pinson et al. eq 22, exception corrected: printed for (0, 0) alone (see E6)",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2 at every frequency": {"undelayed": "none"},
            "√2 nowhere": {"undelayed": "all"},
            "m for √m": {"exponent": 1.0},
        },
        tolerance=1e-12,
        tolerance_reason=DELAY_REASON,
        draw=draw_cosines,
        sides=delay_sides,
        formula={"undelayed": "self-conjugate"},
        quantity="rate ḃ/(b(1 − b/s))",
        smallest=CORNERS,
        counterpart="E6",
        symbolic=delay_form,
    ),
    Claim(
        id="sigmoid",
        title="Pure cosines are learned along a sigmoid",
        statement="b(t) = s / (1 + (s/b₀ − 1) exp(−2√P s t/√m)), b₀ = d√P Σ_f |q_f||κ_f(0)|²",
        source="Pinson et al. eq 22, exception corrected (see E6)",
        hypotheses=(*HYPOTHESES, "gradient flow of ½⟨‖y − f(x)‖²⟩"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√m dropped": {"delay": False},
            "P for √P": {"pixels": "P²"},
            "√P dropped": {"pixels": "1"},
            "loss without its ½": {"speed": 2.0},
            "rate 1% off": {"speed": 1.01},
        },
        tolerance=1e-8,
        tolerance_reason="the flow is integrated at rtol 1e-11; some hundred steps keep b/s within 1e-9",
        draw=draw_cosines,
        sides=sigmoid_sides,
        distance=absolute_distance,
        quantity="b(t)/s",
        smallest=CORNERS,
        max_instances=60,
        symbolic=sigmoid_form,
    ),
    Claim(
        id="descent-recursion",
        title="Pure cosines under full-batch gradient descent, exactly",
        statement="b ← b (1 + (η√P/√m)(s − b))² at each step of learning rate η",
        source="new; the finite learning rate form of Pinson et al. eq 22",
        hypotheses=(*HYPOTHESES, "η√P s/√m < 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={"√m dropped": {"delay": False}, "learning rate 1% off": {"rate_factor": 1.01}},
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_steps,
        sides=descent_sides,
        distance=absolute_distance,
        quantity="b/s",
        smallest=tuple(with_steps(corner) for corner in CORNERS),
        symbolic=recursion_form,
    ),
    Claim(
        id="sgd-recursion",
        title="One-sample SGD is a function of the counts of draws",
        statement="if class α is drawn, b_α ← b_α (1 + (ηK√P/√m)(s_α − b_α))²; otherwise b_α stays",
        source="new; P's discrete time of one sample a step",
        hypotheses=(*HYPOTHESES, "one sample a step, drawn with replacement", "ηK√P s/√m < 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "K dropped": {"classes": False},
            "√m dropped": {"delay": False},
            "learning rate 1% off": {"rate_factor": 1.01},
            "one draw late": {"late": 1},
        },
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_steps,
        sides=sgd_sides,
        distance=absolute_distance,
        quantity="b/s",
        smallest=tuple(with_steps(corner) for corner in CORNERS),
        symbolic=recursion_form,
    ),
)
