r"""A stabilised Runge-Kutta method of order 4, from its polynomials.

On ``dy/dt = λ y`` a step of s stages multiplies y by ``R(hλ)`` with ``R(z) = w(z) P(z)``, of order 4 at 0 and at most
0.8 in size on ``[-ℓ, 0]`` beyond its first descent, ``ℓ ≈ 0.34 s²`` (damped; 0.35 s² is about the longest possible).
w is of degree 4 with two complex pairs of zeros, P the polynomial of degree s - 4 that is orthogonal for the weight
``w(x)² / √(1 - x²)``, ``x = 1 + 2z/ℓ`` [Abdulle 2002, "Fourth order Chebyshev methods with recurrence relation"]. So P
has a three-term recurrence, which makes its s - 4 stages insensitive to round-off, and w is the work of four more
stages that take the nonlinear conditions of order 4 to their end.

Only ℓ and the zeros are tabulated, computed by us (``tests/lineardyn/rock_polynomials.py`` does it again); everything
else follows from them here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NO_RECURRENCES",
    "RECURRENCES",
    "Recurrences",
    "orthogonal_recurrence",
    "quartic",
    "recurrences",
    "stability_polynomial",
]

Floats = NDArray[np.float64]
NODES = (0.25, 0.55)
"""c_2 and c_3 of the last four stages, in units of their step: errors of order 5 are near their minimum there for all
s, and no coefficient is larger than 1.5."""


class Recurrences(NamedTuple):
    """The coefficients of every tabulated number of stages, as the kernels read them.

    Attributes
    ----------
    n_stages, lengths : (n,) s and ℓ
    starts : (n,) where its rows begin in ``steps``
    steps : (Σ(s - 4), 3) μ, ν, κ of ``g_j = h μ f(g_{j-1}) + ν g_{j-1} + κ g_{j-2}``
    ends : (n, 15) a_21, a_31, a_32, a_41, a_42, a_43 and b_1 .. b_4 of the last four stages, in units of h, then the
        weights of the error estimate for these stages and f at the new point
    """

    n_stages: NDArray[np.int64]
    lengths: Floats
    starts: NDArray[np.int64]
    steps: Floats
    ends: Floats


NO_RECURRENCES = Recurrences(
    np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, 3)), np.zeros((0, 15))
)


def quartic(zeros: Floats, z: Floats) -> Floats:
    """``w(z)``, 1 at 0, with the zeros ``a ± ib`` of ``zeros = (a, b, a', b')``."""
    a, b, c, d = zeros
    one = 1.0 + (z - 2.0 * a) * z / (a * a + b * b)
    two: Floats = one * (1.0 + (z - 2.0 * c) * z / (c * c + d * d))
    return two


def orthogonal_recurrence(zeros: Floats, length: float, degree: int) -> Floats:
    """``(degree, 3)``: μ, ν, κ of ``P_j = (μ z + ν) P_{j-1} + κ P_{j-2}``, orthogonal for w²/√(1-x²), 1 at z = 0.

    By Stieltjes' procedure; the quadrature of Gauss and Chebyshev is exact for the degrees at hand.
    """
    count = degree + 5  # exact to degree 2 degree + 9, of which w² takes 8
    x = np.cos((np.arange(count) + 0.5) * np.pi / count)
    weight = quartic(zeros, 0.5 * length * (x - 1.0)) ** 2
    two, one = np.zeros(count), np.ones(count)
    rows = np.empty((degree, 3))
    norm_before, ratio = 1.0, 1.0
    for j in range(degree):
        weighted = weight * one
        norm = float(weighted @ one)
        alpha = float(weighted @ (x * one)) / norm
        beta = norm / norm_before if j else 0.0
        two, one = one, (x - alpha) * one - beta * two  # with leading coefficient 1, relative to the last
        previous, ratio = ratio, (1.0 - alpha) - (beta / ratio if j else 0.0)  # value at x = 1 over the last
        kappa = -beta / (ratio * previous) if j else 0.0
        rows[j] = 2.0 / (length * ratio), 1.0 - kappa, kappa
        norm_before = norm
        one, two, norm_before = one * 2.0, two * 2.0, norm_before * 4.0  # monic polynomials shrink like 2^-j
    return rows


def _elementary_weights(steps: Floats) -> Floats:
    """Elementary weights of g_{s-4}: of the trees •, [•], [••], [[•]], [•••], [•[•]], [[••]], [[[•]]]."""
    two, one = np.zeros(8), np.zeros(8)
    for mu, nu, kappa in steps:
        a = one[0]
        slopes = np.array([1.0, a, a * a, one[1], a**3, a * one[1], one[2], one[3]])
        two, one = one, mu * slopes + nu * one + kappa * two
    return one


def _missing_weights(p: Floats) -> Floats:
    """What the last stages must add to weights p to make 1/γ, as elementary weights of their own.

    For a stage at ``c`` beyond g: ``[•]`` becomes ``p_2 + p_1 c + (Ac)``, and so on [Hairer, Nørsett, Wanner, II.11].
    """
    w = np.empty(8)
    w[0] = 1.0 - p[0]
    w[1] = 1 / 2 - p[1] - p[0] * w[0]
    w[2] = 1 / 3 - p[2] - p[0] ** 2 * w[0] - 2 * p[0] * w[1]
    w[3] = 1 / 6 - p[3] - p[1] * w[0] - p[0] * w[1]
    w[4] = 1 / 4 - p[4] - p[0] ** 3 * w[0] - 3 * p[0] ** 2 * w[1] - 3 * p[0] * w[2]
    w[5] = 1 / 8 - p[5] - p[0] * p[1] * w[0] - (p[1] + p[0] ** 2) * w[1] - p[0] * (w[2] + w[3])
    w[6] = 1 / 12 - p[6] - p[2] * w[0] - p[0] ** 2 * w[1] - 2 * p[0] * w[3]
    w[7] = 1 / 24 - p[7] - p[3] * w[0] - p[1] * w[1] - p[0] * w[3]
    return w


def _last_stages(w: Floats) -> Floats:
    """Four explicit stages with the elementary weights w, and an error estimate of order 3: ``(15,)``.

    c_2 and c_3 are free; c_4 is the root of the condition that is left, near w_1.
    """
    c2, c3 = NODES[0] * w[0], NODES[1] * w[0]

    def stages(c4: float) -> tuple[Floats, float]:
        c = np.array([0.0, c2, c3, c4])
        b = np.linalg.solve(c ** np.arange(4.0)[:, None], w[[0, 1, 2, 4]])
        inner = np.linalg.solve(b[2:] * np.array([[1.0, 1.0], [c3, c4]]), w[[3, 5]])  # Σ_j a_ij c_j, i = 3, 4
        a32 = inner[0] / c2
        a43 = ((w[6] - b[2] * a32 * c2**2) / b[3] - inner[1] * c2) / (c3 * (c3 - c2))
        a42 = (inner[1] - a43 * c3) / c2
        a = np.array([c2, c3 - a32, a32, c4 - a42 - a43, a42, a43])
        return np.concatenate([a, b]), float(b[3] * a43 * inner[0] - w[7])

    c4 = _root(lambda share: stages(share * w[0])[1], 1.04) * w[0]
    found, _ = stages(c4)
    return np.concatenate([found, _error_weights(found, w, np.array([0.0, c2, c3, c4]))])


def _root(function: Callable[[float], float], guess: float) -> float:
    """The root near ``guess`` by the secant rule, to the last bit."""
    one, two = guess, guess * (1.0 + 1e-4)
    f_one, f_two = function(one), function(two)
    for _ in range(50):
        if f_one == f_two:
            break
        one, two, f_one = two, two - f_two * (two - one) / (f_two - f_one), f_two
        f_two = function(two)
    return two


def _error_weights(stages: Floats, w: Floats, c: Floats) -> Floats:
    """Weights of the last four stages and of f at the new point that cancel all trees up to order 3.

    They are one vector up to a factor; with this one the estimate is that of a method of order 3 that lacks half of
    its terms h⁴.
    """
    a32, a42, a43 = stages[[2, 4, 5]]
    inner = np.array([0.0, 0.0, a32 * c[1], a42 * c[1] + a43 * c[2], w[1]])  # Σ_j a_ij c_j
    nodes = np.append(c, w[0])
    conditions = np.stack([np.ones(5), nodes, nodes**2, inner])
    vector = np.linalg.svd(conditions)[2][-1]
    deeper = np.array([0.0, 0.0, 0.0, a43 * inner[2], w[3]])  # Σ_jk a_ij a_jk c_k
    result: Floats = vector * (1 / 48) / (vector @ deeper)
    return result


def stability_polynomial(n_stages: int, z: Floats) -> Floats:
    """``R(z)`` of a tabulated number of stages."""
    _, length, zeros = next(row for row in RECURRENCES if row[0] == n_stages)
    two, one = np.zeros_like(z), np.ones_like(z)
    for mu, nu, kappa in orthogonal_recurrence(np.array(zeros), length, n_stages - 4):
        two, one = one, (mu * z + nu) * one + kappa * two
    values: Floats = one * quartic(np.array(zeros), z)
    return values


def most_stages(rtol: float) -> int:
    """Stages up to which round-off stays a tenth of the tolerance.

    What the recurrence leaves of it in a fast direction the last four stages multiply by w, by up to ``ℓ⁴/110``.
    """
    s = RECURRENCES[0][0]
    for n, length, zeros in RECURRENCES:
        if quartic(np.array(zeros), np.array(-length)) * np.finfo(np.float64).eps > 0.1 * rtol:
            break
        s = n
    return s


@cache
def recurrences() -> Recurrences:
    """Every tabulated number of stages; made once, in some hundredths of a second."""
    steps = [orthogonal_recurrence(np.array(zeros), length, s - 4) for s, length, zeros in RECURRENCES]
    ends = [_last_stages(_missing_weights(_elementary_weights(rows))) for rows in steps]
    starts = np.cumsum([0, *(len(rows) for rows in steps)])[:-1]
    n_stages, lengths, _ = zip(*RECURRENCES, strict=True)
    return Recurrences(np.array(n_stages), np.array(lengths), starts, np.concatenate(steps), np.array(ends))


# s, ℓ, and the zeros a ± ib of w: near 1 + z + z²/2 + z³/6 + z⁴/24 for few stages
RECURRENCES: tuple[tuple[int, float, tuple[float, float, float, float]], ...] = (
    (5, 5.774509299482166, (-0.21725757804940335, 2.8656811698162197, -2.0211289506148677, 1.0978695581480764)),
    (6, 9.535767319786148, (-0.21356775092268906, 3.078769269637488, -2.1760392788588763, 1.1826805211524911)),
    (7, 13.982650337655409, (-0.22208459303197453, 3.2144958496028138, -2.2689625099637003, 1.2277489844750569)),
    (8, 19.119306550653956, (-0.23281662046739535, 3.3056678282326546, -2.329295803030488, 1.2550090757830492)),
    (9, 24.94524469091418, (-0.24286048794533974, 3.3695852089873446, -2.370745187088857, 1.2728945624910033)),
    (10, 31.45965639596978, (-0.25150770195794064, 3.4160010118755713, -2.4004651745411185, 1.2853167915021613)),
    (11, 38.661923124184185, (-0.2587415691515, 3.4507108793802317, -2.4225052322695353, 1.2943191262517533)),
    (12, 46.55161763978975, (-0.26474191733810826, 3.4773160602425848, -2.4393028753448625, 1.3010628548574859)),
    (13, 55.1284489256715, (-0.26972012024585323, 3.4981418841242533, -2.452398600841603, 1.3062511281951725)),
    (14, 64.39221680974374, (-0.27386756994492956, 3.5147405514161614, -2.462805457690148, 1.3103313893117554)),
    (15, 74.34278125598576, (-0.2773435590917911, 3.5281785675042037, -2.471212078862536, 1.313600038708018)),
    (16, 84.98004245108865, (-0.28027630962900696, 3.5392074818112214, -2.478099917592027, 1.3162600630648214)),
    (18, 108.31438433340523, (-0.28489847382470146, 3.556060498333323, -2.4886060512587003, 1.3202862844813534)),
    (20, 134.39485817207378, (-0.28832118743162405, 3.568153845449544, -2.4961318415649787, 1.3231473861066783)),
    (22, 163.2212430575889, (-0.29091713757449617, 3.5771219141569675, -2.501706145945976, 1.3252543022559582)),
    (24, 194.7934046252156, (-0.2929281634259789, 3.5839543289655036, -2.505949432591009, 1.3268511600219866)),
    (27, 247.29980001958307, (-0.29518568346488594, 3.5915096156508883, -2.5106382673482424, 1.3286087044772221)),
    (30, 305.9838312267215, (-0.2968245414948542, 3.5969211367425724, -2.5139945864813895, 1.3298622852802167)),
    (33, 370.84539736435033, (-0.2980501207125116, 3.60092892285171, -2.5164792093356474, 1.330787882927161)),
    (36, 441.8844377331539, (-0.2989897201382366, 3.6039793649478997, -2.5183697344228806, 1.331490792651678)),
    (40, 546.2124982103097, (-0.29993536671372156, 3.607030364329631, -2.5202601060568486, 1.332192464770362)),
    (44, 661.5226112991164, (-0.30063920672859945, 3.6092889659908143, -2.52165920145275, 1.3327110247723069)),
    (49, 821.103713119754, (-0.30129146439544613, 3.6113728337080904, -2.522949825859693, 1.3331888091832669)),
    (54, 997.8441786387314, (-0.3017730119653774, 3.6129056816943237, -2.523899041771997, 1.3335398554486706)),
    (60, 1232.5830638544296, (-0.3022009414446352, 3.6142638781241554, -2.5247400074414976, 1.33385062016033)),
    (66, 1492.031372872796, (-0.302518391701604, 3.6152690256927893, -2.5253623147895135, 1.334080433682469)),
    (73, 1825.9510128386805, (-0.30279497590395504, 3.6161431204366, -2.525903444859355, 1.334280165596221)),
    (80, 2193.50288853271, (-0.30300253729547627, 3.6167980712985743, -2.526308884392485, 1.3344297509023442)),
    (88, 2654.744492878383, (-0.30318202005826056, 3.6173637258058378, -2.526659029595392, 1.3345588921487699)),
    (97, 3226.1487430152574, (-0.303333436942925, 3.617840428263892, -2.5269541008846517, 1.3346676896764142)),
    (107, 3926.247669780329, (-0.30345904168698823, 3.6182355204413383, -2.527198648558923, 1.334757836680146)),
    (118, 4775.63241823749, (-0.3035620981268649, 3.6185594523109708, -2.52739914510978, 1.3348317305874708)),
    (130, 5796.953248008298, (-0.30364610122838387, 3.6188233389369144, -2.527562473217034, 1.3348919161494754)),
    (143, 7014.919533453655, (-0.30371434913667955, 3.619037629389896, -2.527695102224183, 1.3349407828137199)),
    (158, 8564.403281348084, (-0.3037731528299506, 3.61922219217823, -2.527809330415987, 1.3349828651412914)),
)
