"""Derivations at every depth by computer algebra: each equation satisfied identically, each limit taken."""

from __future__ import annotations

import mpmath
import pytest
import sympy as sp

t, s, d, P, m, c, eta = sp.symbols("t s d P m c eta", positive=True)
kappa, b, y, k0 = sp.symbols("kappa b y kappa0", positive=True)
DEPTHS = [1, 2, 3, 4, 5, 7]


def rate(depth):
    """a = (P/m)^{1-1/L} d^{2/L-1}."""
    return (P / m) ** (1 - sp.Rational(1, depth)) * d ** (sp.Rational(2, depth) - 1)


@pytest.mark.parametrize("depth", DEPTHS)
def test_chain_of_the_layers_gives_the_rate_of_kappa(depth):
    """P eq 10-11 at depth L: all layers equal κ along the chain, v̂ = P^{(L-1)/2} κ^L, so dκ/dt = c κ^{L-1} e."""
    layers = sp.symbols(f"k1:{depth + 1}", positive=True)
    q, u = sp.symbols("q e", positive=True)
    response = P ** sp.Rational(depth - 1, 2) * sp.prod(layers) * q  # u^T v̂ q
    for layer in layers:
        slope = (sp.diff(response, layer) * u).subs(dict.fromkeys(layers, kappa))
        assert sp.simplify(slope - P ** sp.Rational(depth - 1, 2) * q * kappa ** (depth - 1) * u) == 0


@pytest.mark.parametrize("depth", DEPTHS)
def test_response_of_a_pure_cosine_separates(depth):
    """b = d m C κ^L with C = P^{(L-1)/2}/√m gives db/dt = L a b^{2-2/L} (s - b): m frequencies of |q| = 1/√m."""
    speed = P ** sp.Rational(depth - 1, 2) / sp.sqrt(m)
    response = d * m * speed * kappa**depth
    slope = sp.diff(response, kappa) * speed * kappa ** (depth - 1) * (s - b)
    wanted = depth * rate(depth) * response ** (2 - sp.Rational(2, depth)) * (s - b)
    assert sp.simplify(sp.powsimp(sp.expand_power_base(slope / wanted), force=True)) == 1


@pytest.mark.parametrize("depth", [3, 4, 5, 7])
def test_power_of_kappa_is_linear_in_the_clock(depth):
    """κ = (κ0^{2-L} - (L-2) cΘ)^{-1/(L-2)} has dκ/dΘ = c κ^{L-1} and κ(0) = κ0; it is infinite at Θ_f."""
    theta = sp.symbols("theta", positive=True)
    base = k0 ** (2 - depth) - (depth - 2) * c * theta
    grown = base ** sp.Rational(-1, depth - 2)
    assert sp.simplify(sp.diff(grown, theta) / base ** sp.Rational(1 - depth, depth - 2) - c) == 0
    assert sp.simplify(grown.subs(theta, 0) - k0) == 0
    assert base.subs(theta, k0 ** (2 - depth) / ((depth - 2) * c)).simplify() == 0


def test_deep_law_becomes_the_exponential_of_two_layers():
    """With n = L - 2 → 0 the power (1 - n cΘ κ0^n)^{-1/n} → e^{cΘ}: κ grows as in theory 2.2."""
    n, theta = sp.symbols("n theta", positive=True)
    exponent = sp.limit(-sp.log(1 - n * c * theta) / n, n, 0)
    assert sp.simplify(exponent - c * theta) == 0


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_position_of_the_lead_frequency(depth):
    """X = (L-2) ln(κ_1/κ_1(0)): Θ = Θ_1 (1 - e^{-X}), and any other has (κ_f/κ_f(0))^{2-L} = 1 - ρ + ρ e^{-X}."""
    x, own, lead = sp.symbols("X T_f T_1", positive=True)
    theta = lead * (1 - sp.exp(-x))

    def fall(horizon):  # κ^{2-L} relative to its start: 1 - Θ/Θ_f, from the test above
        return 1 - theta / horizon

    assert sp.simplify(sp.log(fall(lead)) + x) == 0
    share = lead / own
    assert sp.simplify(fall(own) - (1 - share + share * sp.exp(-x))) == 0
    power = sp.Rational(depth, depth - 2)
    assert sp.simplify(((kappa ** (2 - depth)) ** (-power)) / kappa**depth) == 1  # κ^L is this to the power -L/(L-2)


def test_gap_of_the_deep_clock_without_cancellation():
    """Around the end: the term b_f(∞)(1 - (1 + ρ∞(e^x - 1))^{-p}) of s - b, ρ∞ = ρe^{-X∞}/(1 - ρ + ρe^{-X∞})."""
    end, x, share, p = sp.symbols("E x rho p", positive=True)

    def term(position):
        return (1 - share + share * sp.exp(-position)) ** (-p)

    slope = share * sp.exp(-end) / (1 - share + share * sp.exp(-end))
    ratio = (1 - share + share * sp.exp(-(end - x))) / (1 - share + share * sp.exp(-end))
    assert sp.simplify(ratio - (1 + slope * (sp.exp(x) - 1))) == 0
    form = term(end) * (1 - (1 + slope * (sp.exp(x) - 1)) ** (-p))
    assert sp.simplify(sp.diff(form, x).subs(x, 0) - term(end) * p * slope) == 0  # the rate past the table


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 9])
def test_elementary_time_is_the_integral(depth):
    """The derivative of T(y) is 1/(y^{L-1}(1 - y^L)), as partial fractions over the L-th roots of unity."""
    roots = [sp.exp(2 * sp.pi * sp.I * j / depth) for j in range(depth)]
    if depth == 1:  # y/(1 - y) has a constant part, -1, which the first term 1/y^0 cancels
        derivative = 1 / (1 - y)
    else:
        derivative = y ** (1 - depth) + sum(w / (1 - y / w) for w in roots) / depth
    miss = sp.lambdify(y, derivative - 1 / (y ** (depth - 1) * (1 - y**depth)), "mpmath")
    with mpmath.workdps(30):  # a rational function with 2L zeros more than poles can have: identically 0
        assert all(abs(miss(mpmath.mpf(k) / 31)) < 1e-18 * 31 ** (depth - 1) for k in range(1, 2 * depth + 12))


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_elementary_time_is_the_integral_exactly(depth):
    """The same, simplified to 0 by algebra where the roots are written with radicals; and T inverts the flow."""
    roots = [sp.expand_complex(sp.exp(2 * sp.pi * sp.I * j / depth)) for j in range(depth)]
    derivative = y ** (1 - depth) + sum(w / (1 - y / w) for w in roots) / depth
    assert sp.simplify(derivative - 1 / (y ** (depth - 1) * (1 - y**depth))) == 0
    primitive = (sp.log(y) if depth == 2 else y ** (2 - depth) / (2 - depth)) - sum(
        w**2 * sp.log(1 - y / w) for w in roots
    ) / depth
    assert sp.simplify(sp.diff(primitive, y) - derivative) == 0
    # db/dt = L a b^{2-2/L}(s - b) with b = s y^L is dy/dt = a s^{2-2/L} y^{L-1}(1 - y^L)
    flow = depth * rate(depth) * (s * y**depth) ** (2 - sp.Rational(2, depth)) * s * (1 - y**depth)
    of_y = flow / (s * depth * y ** (depth - 1))
    wanted = rate(depth) * s ** (2 - sp.Rational(2, depth)) * y ** (depth - 1) * (1 - y**depth)
    assert sp.simplify(sp.powsimp(sp.expand_power_base(of_y / wanted), force=True)) == 1


def test_two_layers_of_the_elementary_time_are_the_logarithm_of_the_notes():
    """T = ln y - ½ ln(1 - y²) = ½ ln(b/(s - b)) at y² = b/s: theory 2.1."""
    roots = [1, -1]
    primitive = sp.log(y) - sp.Rational(1, 2) * sum(w**2 * sp.log(1 - y / w) for w in roots)
    notes = sp.log(y**2 / (1 - y**2)) / 2
    assert sp.simplify(sp.diff(primitive - notes, y)) == 0
    assert sp.simplify((primitive - notes).subs(y, sp.Rational(1, 2)).rewrite(sp.log)).evalf(30) == pytest.approx(0)


def test_one_layer_is_an_exponential():
    """db/dt = d (s - b): L = 1 of the general equation, and its solution with both limits."""
    b0 = sp.symbols("b0", positive=True)
    assert sp.simplify(rate(1) - d) == 0
    path = s - (s - b0) * sp.exp(-d * t)
    assert sp.simplify(sp.diff(path, t) - d * (s - path)) == 0
    assert (path.subs(t, 0) - b0).simplify() == 0
    assert sp.limit(path, t, sp.oo) == s


@pytest.mark.parametrize("depth", DEPTHS)
def test_one_step_of_descent_and_its_stability(depth):
    """κ ← κ + ηaκ^{L-1}(s - κ^L) for κ = b^{1/L}: the slope of b's step at s is 1 - ηL a s^{2-2/L}."""
    a, x = sp.symbols("a x", positive=True)
    step = (kappa + eta * a * kappa ** (depth - 1) * (s - kappa**depth)) ** depth
    of_b = step.subs(kappa, x ** sp.Rational(1, depth))
    slope = sp.simplify(sp.diff(of_b, x).subs(x, s))
    assert sp.simplify(slope - (1 - eta * depth * a * s ** (2 - sp.Rational(2, depth)))) == 0
    # κ of the network is κ in these units times a constant: its step C κ^{L-1} becomes a κ^{L-1}
    speed = P ** sp.Rational(depth - 1, 2) / sp.sqrt(m)
    unit = (d * m * speed) ** sp.Rational(1, depth)  # b^{1/L} = unit · κ
    ratio = unit * speed / unit ** (depth - 1) / rate(depth)
    assert sp.simplify(sp.powsimp(sp.expand_power_base(ratio), force=True)) == 1


def test_relaxation_rate_is_the_largest_curvature():
    """Near the end ds/dt of the gap: dΣ c_f² L κ_f^{2L-2}, the squared norm of the response's gradient."""
    for depth in (1, 2, 3, 4):
        sizes, rates = sp.symbols("k1:4", positive=True), sp.symbols("c1:4", positive=True)
        response = d * sum(r * k**depth for r, k in zip(rates, sizes, strict=True))
        pace = sum(sp.diff(response, k) * r * k ** (depth - 1) for r, k in zip(rates, sizes, strict=True))
        wanted = depth * d * sum(r**2 * k ** (2 * depth - 2) for r, k in zip(rates, sizes, strict=True))
        assert sp.simplify(pace - wanted) == 0


def test_hyperbolic_vectors_of_any_width():
    """k̇ = c a e, ȧ = c k e entry by entry: b = dc Re(a^H k) = ¼dc(|k0+a0|² e^{2cΘ} - |k0-a0|² e^{-2cΘ})."""
    theta = sp.symbols("theta", real=True)
    k, a = sp.Matrix(sp.symbols("k1:4", real=True)), sp.Matrix(sp.symbols("a1:4", real=True))
    k_now = k * sp.cosh(c * theta) + a * sp.sinh(c * theta)
    a_now = a * sp.cosh(c * theta) + k * sp.sinh(c * theta)
    assert sp.simplify(k_now.diff(theta) - c * a_now) == sp.zeros(3, 1)
    plus, minus = (k + a).dot(k + a), (k - a).dot(k - a)
    split = (plus * sp.exp(2 * c * theta) - minus * sp.exp(-2 * c * theta)) / 4
    assert sp.simplify(sp.expand((k_now.dot(a_now) - split).rewrite(sp.exp))) == 0


def test_exponents_of_the_losers():
    """At the end Θ ≈ Θ_1: with κ_f(0) = σ r_f the others are in proportion to σ; two layers: σ^{1-q_2/q_1}."""
    sigma, r1, r2, c1, c2 = sp.symbols("sigma r1 r2 c1 c2", positive=True)
    for depth in (3, 4, 5):
        first = (sigma * r1) ** (2 - depth) / ((depth - 2) * c1)
        base = (sigma * r2) ** (2 - depth) - (depth - 2) * c2 * first
        scaled = sp.simplify(base * sigma ** (depth - 2))
        assert sigma not in scaled.free_symbols  # κ_2 = σ·constant, while κ_1 is fixed by s
        assert sp.simplify(scaled - (r2 ** (2 - depth) - c2 / c1 * r1 ** (2 - depth))) == 0  # > 0 iff r1^{L-2}c1 wins
    end = sp.log(1 / (sigma * r1)) / c1  # two layers: κ_1 = 1 at Θ = this
    grown = sp.expand_log(sp.log(sigma * r2) + c2 * end, force=True)
    assert sp.simplify(sp.diff(grown, sigma) * sigma - (1 - c2 / c1)) == 0


def test_mean_of_sgd_grows_faster_than_its_average_run():
    """Σ Binom(n, p)(k) g^k = (1 - p + pg)^n >= g^{np}: the note in the docstring of sgd_mean."""
    p, g = sp.symbols("p g", positive=True)
    for n in (1, 2, 5):
        total = sum(sp.binomial(n, k) * p**k * (1 - p) ** (n - k) * g**k for k in range(n + 1))
        assert sp.expand(total - (1 - p + p * g) ** n) == 0
    excess = sp.log(1 - p + p * g) - p * sp.log(g)  # 0 with slope 0 at g = 1, and convex in ln g
    assert excess.subs(g, 1) == 0
    assert sp.diff(excess, g).subs(g, 1).simplify() == 0
    x = sp.symbols("x", real=True)
    curvature = sp.simplify(sp.diff(excess.subs(g, sp.exp(x)), x, 2))
    assert sp.simplify(curvature - p * (1 - p) * sp.exp(x) / (1 - p + p * sp.exp(x)) ** 2) == 0


def test_weight_decay_of_two_layers_shifts_the_singular_value():
    """db/dt = (2√P/√m) b (s - b) - 2λb is the sigmoid's equation with s - λ√m/√P."""
    decay = sp.symbols("lambda", positive=True)
    speed = 2 * sp.sqrt(P) / sp.sqrt(m)
    assert sp.simplify(speed * b * (s - b) - 2 * decay * b - speed * b * (s - decay * sp.sqrt(m) / sp.sqrt(P) - b)) == 0


def test_unbalanced_deep_chain_keeps_one_clock_with_an_elliptic_integral():
    """κ_l² - κ_1² is constant and d(κ_1²)/dΘ = 2c√Π(κ_1² + δ_l): the note on what ModeClock does not cover."""
    theta = sp.symbols("theta", positive=True)
    k1, k2, k3 = (sp.Function(f"k{i}")(theta) for i in (1, 2, 3))
    flow = {k1.diff(theta): c * k2 * k3, k2.diff(theta): c * k1 * k3, k3.diff(theta): c * k1 * k2}
    assert sp.diff(k1**2 - k2**2, theta).subs(flow).simplify() == 0
    assert sp.diff(k1**2 - k3**2, theta).subs(flow).simplify() == 0
    assert sp.simplify(sp.diff(k1**2, theta).subs(flow) - 2 * c * k1 * k2 * k3) == 0


def test_one_frequency_from_any_start_is_a_linear_flow_over_its_norm():
    """κ' = cΣE a, a' = cκE with |a|² = κ² - λ is x' = c(G - wκ²)x; x = y/N, y' = cGy, N² = 1 + 2wc∫y_κ² solves it."""
    w, lam = sp.symbols("w lambda", real=True)
    x = sp.Matrix(sp.symbols("kappa a0 a1 a2", real=True))  # the mode is a0
    errors = [s - w * x[0] * x[1], -w * x[0] * x[2], -w * x[0] * x[3]]
    flow = sp.Matrix([c * sum(e * a for e, a in zip(errors, x[1:], strict=True)), *(c * x[0] * e for e in errors)])
    assert sp.expand(2 * x[0] * flow[0] - 2 * sum(a * f for a, f in zip(x[1:], flow[1:], strict=True))) == 0  # λ' = 0
    matrix = sp.zeros(4, 4)
    matrix[0, 1] = matrix[1, 0] = s
    matrix[0, 0] = w * (x[0] ** 2 - x[1] ** 2 - x[2] ** 2 - x[3] ** 2)
    assert sp.simplify(flow - c * (matrix - w * x[0] ** 2 * sp.eye(4)) * x) == sp.zeros(4, 1)
    # the eigenvectors (μ, s) of the block that moves
    mu = sp.symbols("mu")
    block = sp.Matrix([[w * lam, s], [s, 0]])
    assert sp.simplify(
        (block * sp.Matrix([mu, s]) - mu * sp.Matrix([mu, s])).subs(s**2, mu**2 - w * lam * mu)
    ) == sp.zeros(2, 1)
    # the quotient: y/N has the speed cGy/N - (N'/N) y/N, and N' = wc y_κ²/N = wc κ² N
    y1, norm = (sp.Function(name)(t) for name in ("y", "N"))
    growth = sp.symbols("g")  # y' = g, a linear function of y
    speed = sp.diff(y1 / norm, t).subs({y1.diff(t): growth, norm.diff(t): w * c * x[0] ** 2 * norm})
    assert sp.simplify(speed - (growth / norm - w * c * x[0] ** 2 * y1 / norm)) == 0
    total = sp.sqrt(1 + 2 * w * c * sp.Integral(y1**2, (t, 0, t)))
    pace = sp.diff(sp.sqrt(1 + 2 * w * c * norm), t).subs(norm.diff(t), y1**2)  # norm here: the integral
    assert sp.simplify(pace - w * c * y1**2 / sp.sqrt(1 + 2 * w * c * norm)) == 0
    assert total.subs(t, 0).doit() == 1
