"""Claims about finite learning rates: the recursion of many frequencies, where it is stable, and all runs of SGD."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form import clock_recursion, sgd_mean
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.clocks import BALANCED
from proofs_check.claims.cosines import HYPOTHESES, RECURSION_REASON, class_constants
from proofs_check.claims.disjoint import DISJOINT, draw_balanced, in_pixels, modes_of
from proofs_check.claims.pixel_space import (
    draw_cosines,
    effective_singular_values,
    gradient,
    shift_matrices,
)
from proofs_check.claims.two_layers import spectra_of
from proofs_check.verdict import Instance, Outcome

__all__ = ["DISCRETE_CLAIMS"]

Floats = NDArray[np.float64]


# --- Many frequencies -------------------------------------------------------------------------------------------------


def draw_descents(rng: np.random.Generator, n: int) -> Instance:
    """Disjoint modes, a learning rate at which no factor is negative, and the class drawn at each of eight steps."""
    instance = draw_balanced(rng, n)
    modes = modes_of(instance["images"])
    k = modes.s.shape[1]
    power = np.abs(spectra_of(instance["kernel"], instance["dense"])[0])[:, None] ** 2
    start = modes.d * (modes.c * power).sum(axis=-1)  # b(0), which may lie above s: then it falls
    fastest = (modes.c * np.maximum(modes.s, start)[..., None]).max(axis=(1, 2))
    return {
        **instance,
        "learning_rate": rng.uniform(0.05, 0.6, n) / (k * fastest),
        "draws": rng.integers(k, size=(n, 8)),
    }


def descended(instance: Instance, *, one_sample: bool) -> Floats:
    """``|κ_f|`` ``(n, steps + 1, P)`` under gradient descent in pixel space."""
    shifts, targets, kernel, dense = in_pixels(instance)
    rate, rows = instance["learning_rate"], np.arange(len(kernel))
    path = [kernel]
    for drawn in instance["draws"].T:
        seen, wanted = (shifts[rows, drawn][:, None], targets[drawn][:, None]) if one_sample else (shifts, targets)
        to_kernel, to_dense = gradient(seen, wanted, kernel, dense)
        kernel, dense = kernel - rate[:, None] * to_kernel, dense - rate[:, None, None] * to_dense
        path.append(kernel)
    stacked = np.stack(path, axis=1).reshape(len(kernel), len(path), *instance["kernel"].shape[1:])
    spectra: Floats = np.abs(np.fft.fft2(stacked, norm="ortho")).reshape(len(kernel), len(path), -1)
    return spectra


def recursion_sides(
    instance: Instance, *, one_sample: bool, rate_factor: float = 1.0, c_power: float = 1.0, steps_of_class: bool = True
) -> tuple[Any, Any]:
    """``|κ_f|`` along descent in pixel space, and by the recursion of its mode; over the largest."""
    modes = modes_of(instance["images"])
    k, n_pixels = modes.c.shape[1:]
    c = np.sqrt(n_pixels) * np.abs(modes.q) ** c_power
    size = np.abs(spectra_of(instance["kernel"], instance["dense"])[0])[:, None]
    boost = np.where(c > 0, k if one_sample and steps_of_class else 1, 0)
    rate = rate_factor * instance["learning_rate"][:, None, None] * boost
    path = [size[:, 0]]
    for drawn in instance["draws"].T:
        gap = modes.s - modes.d * (c * size**2).sum(axis=-1)
        moves = (drawn[:, None] == np.arange(k))[..., None] if one_sample else 1.0
        size = size * (1.0 + (moves * rate * c * gap[..., None]).sum(axis=1, keepdims=True))
        path.append(size[:, 0])
    left, right = descended(instance, one_sample=one_sample), np.stack(path, axis=1)
    scale = left.max(axis=(1, 2), keepdims=True)
    return left / scale, right / scale


def recursion_form(
    *, one_sample: bool, rate_factor: float = 1.0, c_power: float = 1.0, steps_of_class: bool = True
) -> list[Any]:
    """One step of P eq 15 at two frequencies, ``A_f = κ_f`` real and q real: the factor ``1 + ηc_f(s - b)``; SGD: K."""
    import sympy as sp

    kappa, q = sp.symbols("kappa:2", positive=True), sp.symbols("q:2", positive=True)
    s, d, p, eta, k = sp.symbols("s d P eta K", positive=True)
    # one sample of the class alone: K times the class's part of the average
    share = k if one_sample else sp.Integer(1)
    b = sp.sqrt(p) * d * sum(q[f] * kappa[f] ** 2 for f in range(2))
    moved = [kappa[f] + eta * share * sp.sqrt(p) * kappa[f] * (s - b) * q[f] for f in range(2)]
    c = [sp.sqrt(p) * q[f] ** sp.nsimplify(c_power) for f in range(2)]
    response = d * sum(c[f] * kappa[f] ** 2 for f in range(2))
    factor = sp.nsimplify(rate_factor) * eta * (k if one_sample and steps_of_class else 1)
    return [sp.expand(moved[f] - kappa[f] * (1 + factor * c[f] * (s - response))) for f in range(2)]


def library_sides(instance: Instance, *, counted: bool = True, rate_factor: float = 1.0) -> tuple[Any, Any]:
    """``|κ_f|`` of each mode along one-sample SGD in pixel space, and the library's recursion at the count of draws."""
    modes = modes_of(instance["images"][None])
    left = descended({name: np.asarray(value)[None] for name, value in instance.items()}, one_sample=True)[0]
    start, right = left[0], left.copy()
    k, n_pixels = modes.c.shape[1:]
    for a in range(k):
        mine = modes.c[0, a] > 0
        path = clock_recursion(
            len(instance["draws"]),
            s=float(modes.s[0, a]),
            d=float(modes.d[0, a]),
            q=modes.q[0, a][mine],
            kappa0=start[mine],
            n_pixels=n_pixels,
            learning_rate=rate_factor * float(instance["learning_rate"]),
            n_classes=k,
        )
        steps = np.arange(len(left)) if not counted else np.append(0, np.cumsum(instance["draws"] == a))
        right[:, mine] = path[steps]
    return left / left.max(), right / left.max()


def draw_one_descent(rng: np.random.Generator) -> Instance:
    """One of a batch of descents on two classes at least."""
    batch = draw_descents(rng, 1)
    while batch["images"].shape[1] < 2:
        batch = draw_descents(rng, 1)
    return {name: value[0] for name, value in batch.items()}


# --- All runs of SGD --------------------------------------------------------------------------------------------------


def draw_runs(rng: np.random.Generator) -> Instance:
    """Two or three cosines, a stable learning rate, and a count of steps whose runs can all be made: K^t ≤ 32."""
    instance = draw_cosines(rng)
    while len(instance["images"]) < 2:
        instance = draw_cosines(rng)
    k = len(instance["images"])
    s, _, m = class_constants(instance)
    limit = 1 / (k * np.max(s * np.sqrt(instance["images"][0].size / np.array(m))))
    steps = int(rng.integers(1, 6 if k == 2 else 4))
    return {**instance, "learning_rate": float(rng.uniform(0.1, 0.6) * limit), "steps": steps}


def runs_sides(
    instance: Instance, *, late: int = 0, classes: bool = True, delay: bool = True, rate_factor: float = 1.0
) -> tuple[Any, Any]:
    """Mean of ``b/s`` over all K^t sequences of draws, each run in pixel space; and over the Binomial(t, 1/K) count."""
    images, steps = instance["images"], instance["steps"]
    k, n_pixels = len(images), images[0].size
    shifts, targets, rate = shift_matrices(images), np.eye(k), instance["learning_rate"]
    runs = np.array(list(itertools.product(range(k), repeat=steps)))
    kernel = np.repeat(instance["kernel"].reshape(1, -1), len(runs), axis=0)
    dense = np.repeat(instance["dense"].reshape(1, k, -1), len(runs), axis=0)
    for drawn in runs.T:
        to_kernel, to_dense = gradient(shifts[drawn][:, None], targets[drawn][:, None], kernel, dense)
        kernel, dense = kernel - rate * to_kernel, dense - rate * to_dense
    s, b0, m = class_constants(instance)
    left = effective_singular_values(np.repeat(shifts[None], len(runs), axis=0), kernel, dense).mean(axis=0)
    right = [
        sgd_mean(
            steps - late,
            s=float(s[a]),
            b0=float(b0[a]),
            n_pixels=n_pixels,
            multiplicity=m[a] if delay else 1,
            n_classes=k if classes else k + 1,
            learning_rate=rate_factor * rate,
        )
        for a in range(k)
    ]
    return left / s, right / s


DISCRETE_CLAIMS = (
    Claim(
        id="many-frequency-descent",
        title="Sums of cosines under full-batch descent, exactly",
        statement="|κ_f| ← |κ_f| (1 + η c_f (s − d Σ_g c_g |κ_g|²)) at each step of learning rate η",
        source="new; the finite learning rate form of Pinson et al. eq 23-24",
        hypotheses=(DISJOINT, BALANCED, "η c_f (b − s) < 1, so that no |κ_f| passes 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "learning rate 1% off": {"rate_factor": 1.01},
            "|q|² for |q|": {"c_power": 2.0},
            "exponent of |q| 1% off": {"c_power": 1.01},
        },
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_descents,
        sides=recursion_sides,
        formula={"one_sample": False},
        distance=absolute_distance,
        quantity="|κ_f|",
        batched=True,
        symbolic=recursion_form,
    ),
    Claim(
        id="many-frequency-sgd",
        title="Sums of cosines under one-sample SGD, exactly",
        statement="if class α is drawn, |κ_f| ← |κ_f| (1 + ηK c_f (s − d Σ_g c_g |κ_g|²)) on F_α; otherwise it stays",
        source="new; P's discrete time of one sample a step",
        hypotheses=(DISJOINT, BALANCED, "modes = classes, one sample a step", "ηK c_f (b − s) < 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "learning rate 1% off": {"rate_factor": 1.01},
            "|q|² for |q|": {"c_power": 2.0},
            "K dropped": {"steps_of_class": False},
        },
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_descents,
        sides=recursion_sides,
        formula={"one_sample": True},
        distance=absolute_distance,
        quantity="|κ_f|",
        batched=True,
        symbolic=recursion_form,
    ),
    Claim(
        id="sgd-counts-draws",
        title="An SGD run of many frequencies is a function of the counts of draws",
        statement="|κ_f| on F_α after t steps depends on the draws through the count of class α alone",
        source="new",
        hypotheses=(DISJOINT, BALANCED, "modes = classes, one sample a step", "ηK c_f (b − s) < 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={"steps for draws": {"counted": False}, "learning rate 1% off": {"rate_factor": 1.01}},
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_one_descent,
        sides=library_sides,
        distance=absolute_distance,
        quantity="|κ_f|",
    ),
    Claim(
        id="binomial-count",
        title="The draws of a class are a binomial count",
        statement="mean of b over all K^t sequences of draws = Σ_n C(t, n) K^{−n} (1 − 1/K)^{t−n} b(n)",
        source="new",
        hypotheses=(*HYPOTHESES, "one sample a step, drawn uniformly with replacement"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "K + 1 for K": {"classes": False},
            "√m dropped": {"delay": False},
            "one step late": {"late": 1},
            "learning rate 1% off": {"rate_factor": 1.01},
        },
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_runs,
        sides=runs_sides,
        distance=absolute_distance,
        quantity="mean of b/s",
    ),
)
