"""The closed forms satisfy their differential equations identically, by computer algebra."""

from __future__ import annotations

import pytest
import sympy as sp

t, s, b0, P, m = sp.symbols("t s b0 P m", positive=True)
theta = sp.symbols("theta", real=True)
c, d, speed = sp.symbols("c d v", positive=True)
RATE = 2 * sp.sqrt(P) / sp.sqrt(m)


def test_sigmoid_solves_its_equation_and_starts_at_b0():
    b = s / (1 + (s / b0 - 1) * sp.exp(-RATE * s * t))
    assert sp.simplify(sp.diff(b, t) - RATE * b * (s - b)) == 0
    assert sp.simplify(b.subs(t, 0) - b0) == 0
    assert sp.limit(b.subs({P: 9, m: 1, s: 2, b0: sp.Rational(1, 3)}), t, sp.oo) == 2
    assert sp.limit(b.subs({P: 9, m: 1, s: 2, b0: 5}), t, sp.oo) == 2


def test_the_stable_form_of_the_code_is_the_same_function():
    decay = sp.exp(-RATE * s * t)
    assert sp.simplify(s * b0 / (s * decay + b0 * (1 - decay)) - s / (1 + (s / b0 - 1) * decay)) == 0


def test_learning_time_inverts_the_sigmoid():
    b = s / (1 + (s / b0 - 1) * sp.exp(-RATE * s * t))
    inside = sp.simplify(b * (s - b0) / (b0 * (s - b)))
    assert sp.simplify(inside - sp.exp(RATE * s * t)) == 0
    # and the form with log1p: ratio - 1 = s (b - b0) / (b0 (s - b))
    x = sp.symbols("x", positive=True)
    assert sp.simplify(x * (s - b0) / (b0 * (s - x)) - 1 - s * (x - b0) / (b0 * (s - x))) == 0


def test_pure_cosine_is_one_clock_with_one_frequency():
    """From dκ = c κ (s - b), b = d Σ c κ² over m frequencies, |q| = 1/√m: db/dt = (2√P/√m) b (s - b)."""
    kappa = sp.Function("kappa")(t)
    speed_of_kappa = sp.sqrt(P) / sp.sqrt(m)
    b = d * m * speed_of_kappa * kappa**2
    slope = sp.diff(b, t).subs(sp.Derivative(kappa, t), speed_of_kappa * kappa * (s - b))
    assert sp.simplify(slope - RATE * b * (s - b)) == 0


def test_cosh_and_sinh_solve_the_flow():
    """dκ/dt = c a v, da/dt = c κ v with v = s - b = dΘ/dt, real and imaginary part alike."""
    k0, a0 = sp.symbols("k0 a0", real=True)
    clock = sp.Function("Theta")(t)
    kappa = k0 * sp.cosh(c * clock) + a0 * sp.sinh(c * clock)
    a = a0 * sp.cosh(c * clock) + k0 * sp.sinh(c * clock)
    assert sp.simplify(sp.diff(kappa, t) - c * a * sp.diff(clock, t)) == 0
    assert sp.simplify(sp.diff(a, t) - c * kappa * sp.diff(clock, t)) == 0
    assert sp.simplify(sp.expand(kappa**2 - a**2) - (k0**2 - a0**2)) == 0  # the conserved quantity
    assert (kappa.subs(clock, 0), a.subs(clock, 0)) == (k0, a0)


def test_response_in_growing_and_fading_parts_increases():
    """c Re(ā κ) = ¼ c (|κ0+a0|² e^{2cΘ} - |κ0-a0|² e^{-2cΘ}) for complex κ0, a0; its slope is ½c²(..) >= 0."""
    x, y, u, v = sp.symbols("x y u v", real=True)  # κ0 = x + iy, a0 = u + iv

    def both(a, b):
        return a * sp.cosh(c * theta) + b * sp.sinh(c * theta), b * sp.cosh(c * theta) + a * sp.sinh(c * theta)

    (k_re, a_re), (k_im, a_im) = both(x, u), both(y, v)
    plus, minus = (x + u) ** 2 + (y + v) ** 2, (x - u) ** 2 + (y - v) ** 2
    split = (plus * sp.exp(2 * c * theta) - minus * sp.exp(-2 * c * theta)) / 4
    difference = (a_re * k_re + a_im * k_im - split).rewrite(sp.exp)
    assert sp.simplify(sp.expand(difference)) == 0
    slope = c * (plus * sp.exp(2 * c * theta) + minus * sp.exp(-2 * c * theta)) / 2
    assert sp.simplify(sp.diff(split, theta) - slope) == 0


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_only_one_component_of_the_kernel_moves(n_channels):
    """dκ = √P e conj(A) conj(q), dA = √P e conj(κ·q): κ_∥ = κ·q/‖q‖ and a = conj(A) rotate at c = √P‖q‖."""
    q = sp.Matrix(sp.symbols(f"q:{n_channels}", complex=True))
    kappa = sp.Matrix(sp.symbols(f"k:{n_channels}", complex=True))
    amplitude, e = sp.symbols("A", complex=True), sp.symbols("e", real=True)
    norm = sp.symbols("norm", positive=True)  # ‖q‖
    direction = q.conjugate() / norm
    d_kappa = sp.sqrt(P) * e * sp.conjugate(amplitude) * q.conjugate()
    d_amplitude = sp.sqrt(P) * e * sp.conjugate((kappa.T * q)[0])

    def along(z):
        return (direction.H * z)[0]

    rate = sp.sqrt(P) * norm
    miss = sp.expand(norm * (along(d_kappa) - rate * e * sp.conjugate(amplitude)))
    assert sp.expand(miss.subs(norm**2, sum(z * sp.conjugate(z) for z in q))) == 0
    assert sp.expand(sp.conjugate(d_amplitude) - rate * e * along(kappa)) == 0
    across = d_kappa - direction * rate * e * sp.conjugate(amplitude)
    assert sp.simplify(across) == sp.zeros(n_channels, 1)


def test_speed_without_cancellation():
    """s - b at Θ = Θ(∞) - x, with s = b(Θ(∞)): Σ P(∞)(1 - e^{-2cx}) + N(∞)(e^{2cx} - 1)."""
    end, x, p, n = sp.symbols("E x p n", real=True)

    def b(z):
        return p * sp.exp(2 * c * z) - n * sp.exp(-2 * c * z)

    there = p * sp.exp(2 * c * end), n * sp.exp(-2 * c * end)
    form = there[0] * (1 - sp.exp(-2 * c * x)) + there[1] * (sp.exp(2 * c * x) - 1)
    assert sp.simplify(sp.expand(b(end) - b(end - x) - form)) == 0
    assert (
        sp.simplify(sp.limit(form / x, x, 0) - 2 * c * (there[0] + there[1])) == 0
    )  # the rate past the table is b'(Θ(∞))


def test_one_step_of_descent_multiplies_b_by_the_square():
    """κ ← κ(1 + ηc(s - b)) gives b ← b(1 + η√P/√m (s - b))²; its slope at s is 1 - 2ηcs."""
    eta, kappa, b = sp.symbols("eta kappa b", positive=True)
    rate = sp.sqrt(P) / sp.sqrt(m)
    response = d * m * rate * kappa**2
    stepped = d * m * rate * (kappa * (1 + eta * rate * (s - response))) ** 2
    assert sp.simplify(stepped - response * (1 + eta * rate * (s - response)) ** 2) == 0
    step = b * (1 + eta * rate * (s - b)) ** 2
    assert sp.simplify(sp.diff(step, b).subs(b, s) - (1 - 2 * eta * rate * s)) == 0
