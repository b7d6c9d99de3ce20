"""The kernels' right-hand side."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "weight decay makes weights grow": Planted(
        "lineardyn.flow._kernels", "dy[i] -= decay * y[i]", "dy[i] += decay * y[i]", by.slope("cnn", 2, "modes")
    ),
    "right-hand side without weight decay": Planted(
        "lineardyn.flow._kernels", "if decay != 0.0:", "if decay > 1e9:", by.slope("cnn", 3, "dense")
    ),
    "2λ for λ": Planted(
        "lineardyn.flow._kernels", "dy[i] -= decay * y[i]", "dy[i] -= 2 * decay * y[i]", by.slope("fcn", 2, "samples")
    ),
    "product with the conjugate": Planted(
        "lineardyn.flow._kernels",
        "poke(out, o + f, xr * yr - xi * yi, 1)",
        "poke(out, o + f, xr * yr + xi * yi, 1)",
        by.slope("cnn", 2, "modes"),
    ),
    "sum of products with the conjugate": Planted(
        "lineardyn.flow._kernels",
        "poke(out, p + f, peek(out, p + f, 2) + (xr * yi + xi * yr), 2)",
        "poke(out, p + f, peek(out, p + f, 2) + (xr * yi - xi * yr), 2)",
        by.slope("cnn", 3, "modes"),
    ),
    "one row pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "poke(out, p + f, xi * yr - xr * yi, 2)",
        "poke(out, p + f, xi * yr + xr * yi, 2)",
        by.slope("cnn", 2, "modes"),
    ),
    "sum over one row pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "poke(out, p + f, peek(out, p + f, 2) + (xi * yr - xr * yi), 2)",
        "poke(out, p + f, peek(out, p + f, 2) + (xi * yr + xr * yi), 2)",
        by.slope("cnn", 2, "modes"),
    ),
    "two rows pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "poke(gx, ga + n + f, ei * yr - er * yi, 2)",
        "poke(gx, ga + n + f, ei * yr + er * yi, 2)",
        by.slope("cnn", 2, "modes"),
    ),
    "sum over two rows pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "peek(gx, gb + n + f, 4) + (hi * yr - hr * yi)",
        "peek(gx, gb + n + f, 4) + (hi * yr + hr * yi)",
        by.slope("cnn", 3, "modes"),
    ),
    "gradient of the layer below without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "(ei * xr - er * xi + hi",
        "(ei * xr + er * xi + hi",
        by.slope("cnn", 2, "modes"),
        times=2,
    ),
    "dense residual without the target": Planted(
        "lineardyn.flow._kernels", "constant * (tk[d] - ek[d])", "constant * (-ek[d])", by.slope("cnn", 3, "dense")
    ),
    "dense residual without its constant": Planted(
        "lineardyn.flow._kernels", "constant * (tk[d] - ek[d])", "tk[d] - ek[d]", by.slope("cnn", 3, "dense")
    ),
    "sign of the target": Planted(
        "lineardyn.flow._kernels",
        "constant * (target[k, r] - work[i] * gain[r])",
        "constant * (target[k, r] + work[i] * gain[r])",
        by.slope("cnn", 3, "modes"),
    ),
    "residual without its gain": Planted(
        "lineardyn.flow._kernels",
        "constant * (target[k, r] - work[i] * gain[r])",
        "constant * (target[k, r] - work[i])",
        by.slope("cnn", 3, "modes"),
    ),
    "residual of a fully connected network without its gain": Planted(
        "lineardyn.flow._kernels",
        "target[first + k, r] - coefficients[k, r] * gain[r]",
        "target[first + k, r] - coefficients[k, r]",
        by.slope("fcn", 3, "samples"),
    ),
    "frequencies of the predictor counted once": Planted(
        "lineardyn.flow._kernels",
        "constant * weights[d] * below[source + d]",
        "constant * below[source + d]",
        by.slope("cnn", 2, "modes"),
    ),
    "frequencies of one layer counted once": Planted(
        "lineardyn.flow._kernels",
        "oi[d] = constant * ai[d] * weights[d]",
        "oi[d] = constant * ai[d]",
        by.slope("fcn", 2, "dense"),
    ),
    "fourth term of a product of rows": Planted("lineardyn.flow._kernels", "d4 += vd * y", "d4 += vc * y", by.FEW),
    "fifth term of a sum of rows": Planted(
        "lineardyn.flow._kernels",
        "peek(e, d + i, 4) + (d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3 + d4 * x4)",
        "peek(e, d + i, 4) + (d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3)",
        by.FEW,
    ),
    "eighth stage left out": Planted(
        "lineardyn.flow._kernels",
        "begin, k, (p0, p1, p2, p3, p4, p5, p6, p7), (c0, c1, c2, c3, c4, c5, c6, c7)",
        "begin, k, (p0, p1, p2, p3, p4, p5, p6), (c0, c1, c2, c3, c4, c5, c6)",
        by.STAGES,
    ),
    "two outputs of one channel pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "poke(dy, b + g, hi * kr - hr * ki, 4)",
        "poke(dy, b + g, hi * kr + hr * ki, 4)",
        by.ONE_CHANNEL,
    ),
    "a repeated row counted twice": Planted(
        "lineardyn.flow._kernels", "c[i + 3] if n > 3 else 0.0", "c[i + 3] if n > 3 else 1.0", by.ONE_CHANNEL
    ),
    "coefficients of the stage itself in the sum ahead": Planted(
        "lineardyn.flow._kernels", "two += d[j] * term", "two += c[j] * term", by.TWO_STAGES
    ),
    "arguments of another network": Planted(
        "lineardyn.flow.arguments", "(of is not network and of != network)", "False", by.SHARED_ARGUMENTS
    ),
    "stages not times the step": Planted(
        "lineardyn.flow._kernels",
        "at[m], c[m] = U(places[j] * n), h * table[row, j]",
        "at[m], c[m] = U(places[j] * n), table[row, j]",
        by.STAGES,
    ),
    "padding not cleared": Planted(
        "lineardyn.flow.arguments", "parts[..., self.length :] = 0.0", "parts[..., self.length :] = 1.0", by.PADDING
    ),
    "constant of the first layer": Planted(
        "lineardyn.flow.arguments",
        "network.constant if isinstance(network, LinearCNN) else 1.0",
        "1.0",
        by.slope("cnn", 3, "samples"),
    ),
}
