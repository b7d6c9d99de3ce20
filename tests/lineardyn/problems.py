"""The flows that the integrators are tested on: small, and different in every respect that the kernels know."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.flow import stepping
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.trajectory import Trajectory
from tests import oracles
from tests import strategies as own

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A data set, a network, a start, and times up to where most modes are learned."""

    kind: str
    data: own.DataSet
    form: str
    widths: tuple[int, ...]
    decay: float = 0.0
    times: tuple[float, ...] = (0.0, 0.3, 1.0, 2.0)
    scale: float = 0.3
    network: LinearCNN | LinearFCN = field(init=False)
    moments: SecondMoments = field(init=False)

    def __post_init__(self) -> None:
        cls = LinearCNN if self.kind == "cnn" else LinearFCN
        network = cls(self.data.image_shape, widths=self.widths, n_outputs=self.data.n_outputs)
        object.__setattr__(self, "network", network)
        moments = SecondMoments.from_data(self.data.images, self.data.targets, form=self.form)
        object.__setattr__(self, "moments", moments)

    @property
    def weights(self) -> list[Array]:
        return own.random_weights(
            self.kind, self.data.image_shape, self.widths, self.data.n_outputs, self.data.seed, self.scale
        )


PROBLEMS = {
    "cnn-modes": Problem("cnn", own.make_data("coherent", (1, 4, 3), 3, 1), "modes", (1,)),
    "cnn-dense-channels": Problem("cnn", own.make_data("incoherent", (2, 3, 3), 2, 2), "dense", (3,)),
    "cnn-samples-deep": Problem("cnn", own.make_data("incoherent", (1, 2, 4), 2, 3), "samples", (2, 2), scale=0.2),
    "cnn-decay": Problem("cnn", own.make_data("incoherent", (2, 2, 3), 3, 4), "dense", (1,), decay=0.2),
    "cnn-one-layer": Problem("cnn", own.make_data("incoherent", (2, 2, 3), 2, 5), "samples", ()),
    "cnn-one-pixel": Problem("cnn", own.make_data("incoherent", (2, 1, 1), 1, 9), "dense", (1,)),
    "fcn-dense": Problem("fcn", own.make_data("incoherent", (2, 2, 3), 2, 6), "dense", (4,)),
    "fcn-samples-deep-decay": Problem(
        "fcn", own.make_data("incoherent", (1, 3, 2), 3, 7), "samples", (3, 2), decay=0.1
    ),
    "fcn-modes": Problem("fcn", own.make_data("tied", (1, 3, 4), 3, 8), "modes", (5,)),
}

# Small starts, watched while they grow: no error is damped away, so that orders are seen as they are.
TIED = own.make_data("tied", (1, 3, 4), 3, 8)
GROWTH = {
    "cnn-growth": Problem("cnn", TIED, "modes", (1,), scale=0.02),
    "fcn-growth": Problem("fcn", TIED, "modes", (5,), scale=0.05),
}

# Every depth, every number of channels and outputs, every form; images odd, even, non-square, 1×n; null modes (centred,
# simplex, deficient), repeated singular values (tied, simplex). Deep networks start larger: small ones do not move.
LADDER = {
    "cnn-1-row-null": Problem("cnn", own.make_data("centred", (3, 1, 6), 3, 21), "modes", ()),
    "cnn-1-even-decay": Problem("cnn", own.make_data("incoherent", (4, 2, 2), 4, 22), "dense", (), decay=0.2),
    "cnn-2-odd-tied": Problem("cnn", own.make_data("tied", (1, 3, 3), 4, 23), "modes", (4,), times=(0.0, 1.0, 4.0)),
    "cnn-2-even-simplex": Problem(
        "cnn", own.make_data("simplex", (4, 2, 2), 4, 24), "modes", (2,), decay=0.1, times=(0.0, 1.0, 4.0)
    ),
    "cnn-2-deficient": Problem("cnn", own.make_data("deficient", (2, 2, 3), 3, 25), "dense", (3,)),
    "cnn-2-row": Problem("cnn", own.make_data("incoherent", (2, 1, 5), 2, 26), "samples", (1,), decay=0.1),
    "cnn-3-odd-null": Problem("cnn", own.make_data("centred", (2, 3, 3), 3, 27), "modes", (2, 4)),
    "cnn-3-dense-decay": Problem("cnn", own.make_data("incoherent", (3, 2, 2), 4, 28), "dense", (4, 1), decay=0.2),
    "cnn-4-samples": Problem("cnn", own.make_data("incoherent", (1, 3, 2), 2, 29), "samples", (2, 3, 1)),
    "cnn-4-deficient-decay": Problem(
        "cnn", own.make_data("deficient", (2, 1, 5), 2, 30), "dense", (1, 2, 2), decay=0.1
    ),
    "cnn-5-tied": Problem(
        "cnn", own.make_data("tied", (1, 2, 3), 2, 31), "modes", (1, 1, 1, 1), times=(0.0, 1.0, 4.0), scale=0.4
    ),
    "cnn-5-samples-decay": Problem(
        "cnn", own.make_data("incoherent", (2, 1, 4), 1, 32), "samples", (2, 1, 3, 2), decay=0.05
    ),
    "cnn-5-dense": Problem("cnn", own.make_data("deficient", (1, 2, 2), 3, 33), "dense", (3, 2, 2, 4)),
    "fcn-1-deficient": Problem("fcn", own.make_data("deficient", (1, 2, 3), 2, 34), "samples", ()),
    "fcn-2-simplex": Problem("fcn", own.make_data("simplex", (2, 1, 3), 3, 35), "modes", (4,), times=(0.0, 1.0, 8.0)),
    "fcn-3-dense-decay": Problem("fcn", own.make_data("incoherent", (1, 3, 3), 4, 36), "dense", (3, 4), decay=0.2),
    "fcn-4-bottleneck": Problem(
        "fcn", own.make_data("incoherent", (2, 2, 2), 3, 37), "samples", (4, 1, 3), times=(0.0, 1.0, 4.0), scale=0.6
    ),
    "fcn-4-null-decay": Problem(
        "fcn", own.make_data("centred", (1, 2, 4), 4, 38), "modes", (4, 3, 4), decay=0.05, scale=0.5
    ),
}
EVERY = {**PROBLEMS, **GROWTH, **LADDER}

METHODS = [*stepping.METHODS, "auto"]


def solve(
    name: str,
    method: str = "auto",
    times: object = None,
    *,
    weights: list[Array] | None = None,
    **options: Any,
) -> Trajectory:
    """Gradient flow of a problem, by default at its times and at tight tolerances."""
    p = EVERY[name]
    options = {"rtol": 1e-8, "atol": 1e-10, "weight_decay": p.decay, **options}
    start = p.weights if weights is None else weights
    return gradient_flow(p.network, p.moments, start, p.times if times is None else times, method=method, **options)


@lru_cache
def reference(name: str) -> list[list[Array]]:
    """The states at the problem's times, by scipy in pixel space."""
    p = EVERY[name]
    return oracles.flow(p.weights, p.data.images, p.data.targets, np.array(p.times), weight_decay=p.decay)


def cosine_images(shape: tuple[int, int], frequencies: list[tuple[int, int]], amplitudes: list[float]) -> Array:
    """Class images ``a cos(2π(u i/H + v j/W))``, ``(K, 1, H, W)``."""
    h, w = shape
    i, j = np.arange(h)[:, None], np.arange(w)
    return np.array(
        [[a * np.cos(2 * np.pi * (u * i / h + v * j / w))] for (u, v), a in zip(frequencies, amplitudes, strict=True)]
    )


def hessian(problem: Problem, weights: list[Array] | None = None) -> Array:
    """Central differences of the gradient in pixel space, h = 1e-5: symmetric to 1e-8."""
    start = problem.weights if weights is None else weights
    sizes = np.cumsum([w.size for w in start])[:-1]
    flat = np.concatenate([w.ravel() for w in start])

    def slope(x: Array) -> Array:
        parts = [a.reshape(w.shape) for a, w in zip(np.split(x, sizes), start, strict=True)]
        gradient = oracles.gradient(parts, problem.data.images, problem.data.targets, problem.decay)
        return np.concatenate([g.ravel() for g in gradient])

    matrix = np.array([(slope(flat + 1e-5 * e) - slope(flat - 1e-5 * e)) / 2e-5 for e in np.eye(flat.size)])
    return (matrix + matrix.T) / 2
