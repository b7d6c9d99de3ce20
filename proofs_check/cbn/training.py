r"""Train small cyclic networks with weight decay, to see the bottleneck form.

    ``min_θ (1/N) Σ_x ‖f(x) - y‖² + λ ‖θ‖²``,   ``‖θ‖² = Σ_l (‖W_l‖_F² + n ‖b_l‖²)``

[theory, section 4; Wen & Jacot, reconstructed]. Small: up to 16 pixels on a line or 8×8, 24 layers. PyTorch (extra
``torch``) in float64 on the CPU; the same seed gives the same network.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.progress import progress_bar
from lineardyn.validation import (
    Rng,
    as_generator,
    check_array,
    check_choice,
    check_count,
    check_number,
    check_path,
    shown,
)
from proofs_check.cbn.deepening import deepen
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.torch_network import TorchCyclic, import_torch
from proofs_check.cbn.training_loop import TrainedCyclic, Training, TrainingRun

__all__ = ["METHODS", "TrainedCyclic", "train_cyclic"]

Floats = NDArray[np.float64]

METHODS = ("adam+lbfgs", "adam", "lbfgs", "plain")
LARGEST = {1: 16, 2: 8}
"""Pixels along an axis, by the number of axes."""
DEEPEST = 24


def train_cyclic(
    target: CyclicCNN | Callable[[Floats], ArrayLike] | ArrayLike,
    *,
    images: ArrayLike,
    depth: int,
    widths: int | Sequence[int],
    weight_decay: float,
    rng: Rng,
    pooling: ArrayLike | None = None,
    slope: float = 0.0,
    stride: int = 1,
    method: str = "adam+lbfgs",
    learning_rate: float = 0.01,
    n_steps: int = 2000,
    n_polish: int = 40,
    batch_size: int | None = None,
    scale: float = math.sqrt(2.0),
    start: CyclicCNN | None = None,
    record_every: int = 10,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: int = 200,
    progress: bool = False,
    throw: bool = True,
) -> TrainedCyclic:
    r"""Minimise ``(1/N) Σ_x ‖f(x) - y‖² + λ ‖θ‖²`` over the cyclic networks of one architecture, from one start.

    Parameters
    ----------
    target
        A network or function from ``(N, C_0, *grid)`` to ``(N, C_L, *grid)``, or the targets y themselves.
    images
        ``(N, C_0, *grid)``; grid ``(n,)`` with n ≤ 16 or ``(H, W)`` with sides ≤ 8.
    depth
        L, at most 24.
    widths
        ``C_1 = .. = C_{L-1}``, or all of them.
    weight_decay
        λ >= 0, of the norm in the operator convention: ``n λ`` on the filters.
    rng
        A seed or a Generator: the start, then the batches.
    pooling
        ``m_ω`` on the grid of the hidden layers.
    slope
        Below zero; 1 is the linear network.
    stride
        s of strides ``(s, 1, .., 1, -s)``: hidden layers on every s-th pixel.
    method
        "adam" (its rate falls along a half cosine); "lbfgs", whose steps are up to 20 iterations with a strong Wolfe
        line search; "adam+lbfgs", ``n_steps`` of the one and ``n_polish`` of the other; "plain", gradient descent on
        filters and biases, to see what a large learning rate does.
    learning_rate
        Of Adam or of plain descent.
    n_steps, n_polish
        Of the method, and of L-BFGS after Adam.
    batch_size
        Images a step, drawn with replacement; all of them by default, and always for L-BFGS.
    scale
        Of the start, :meth:`CyclicCNN.random`.
    start
        Another start, of the same architecture; with fewer layers, at least two, and slope 0 or 1 it is brought to
        ``depth`` by :func:`deepen`. Deep networks are best trained so
        (:func:`~proofs_check.cbn.continuation.train_depths`).
    record_every
        Steps between two entries of the history; the first and the last are always there.
    checkpoint, checkpoint_every
        A file, written whole or not at all after so many steps and at the end; if it is there, the run goes on from it,
        to the same result as without interruption.
    progress
        Show a bar.
    throw
        Raise ComputationError, with the result so far, if descent diverges.

    Raises
    ------
    ArgumentError
        For arguments that do not fit.
    LineardynError
        If PyTorch is not installed.
    DataFileError
        If the checkpoint is of another run or no checkpoint.

    Examples
    --------
    A linear network of two layers that learns the mean of three pixels::

        x = np.random.default_rng(0).standard_normal((20, 1, 3))
        y = np.broadcast_to(x.mean(axis=-1, keepdims=True), x.shape)
        trained = train_cyclic(y, images=x, depth=2, widths=1, slope=1.0, weight_decay=1e-3, rng=0)
    """
    import_torch()
    x, grid = _checked_images(images)
    layers = check_count("depth", depth)
    if layers > DEEPEST:
        raise ArgumentError(f"depth is {layers}, expected at most {DEEPEST}: these are networks to look at")
    y = _targets(target, x)
    generator = as_generator(rng)
    channels = (x.shape[1], *_hidden_widths(widths, layers), y.shape[1])
    network = CyclicCNN.random(
        grid, channels, rng=generator, slope=slope, pooling=pooling, scale=scale, stride=check_count("stride", stride)
    )
    if start is not None:
        network = _checked_start(start, network)
    run = _checked_run(
        network,
        x.reshape(len(x), -1),
        y.reshape(len(y), -1),
        method=method,
        numbers=(weight_decay, learning_rate),
        counts=(n_steps, n_polish, record_every, checkpoint_every),
        batch_size=batch_size,
        checkpoint=None if checkpoint is None else check_path(checkpoint, "checkpoint"),
        generator=generator,
    )
    with progress_bar("train", run.n_steps, shown=progress) as tell:
        return Training(TorchCyclic(network), run, generator).run(tell, throw=throw)


def _checked_images(images: ArrayLike) -> tuple[Floats, tuple[int, ...]]:
    x = check_array("images", images)
    if x.ndim not in (3, 4) or 0 in x.shape:
        raise ArgumentError(f"images has shape {x.shape}, expected (N, C, n) or (N, C, H, W), none of them 0")
    grid = x.shape[2:]
    if max(grid) > LARGEST[len(grid)]:
        raise ArgumentError(
            f"images has grid {grid}, expected at most {LARGEST[len(grid)]} pixels along each axis: operators are dense"
        )
    return x, grid


def _targets(target: Any, x: Floats) -> Floats:
    values = target(x) if callable(target) else target
    why = "one target for each image, on its grid"
    return check_array("target", values, shape=(len(x), None, *x.shape[2:]), why=why)


def _hidden_widths(widths: Any, depth: int) -> tuple[int, ...]:
    if not hasattr(widths, "__len__"):
        return (check_count("widths", widths),) * (depth - 1)
    if isinstance(widths, str) or not isinstance(widths, Sequence) or len(widths) != depth - 1:
        raise ArgumentError(
            f"widths is {shown(widths)}, expected an integer or the {depth - 1} widths of the hidden layers"
        )
    return tuple(check_count(f"widths[{i}]", width) for i, width in enumerate(widths))


def _checked_start(start: CyclicCNN, drawn: CyclicCNN) -> CyclicCNN:
    if not isinstance(start, CyclicCNN):
        raise ArgumentError(f"start is {shown(start)}, expected a CyclicCNN")
    if 1 < start.depth < drawn.depth and start.slope in (0.0, 1.0):
        start = deepen(start, drawn.depth)
    for name in ("widths", "grid", "strides", "slope"):
        if getattr(start, name) != getattr(drawn, name):
            raise ArgumentError(f"start has {name} {getattr(start, name)}, expected {getattr(drawn, name)}")
    if not np.array_equal(start.pooling, drawn.pooling):
        raise ArgumentError("start has another pooling, expected that of the call")
    return start


def _checked_run(
    network: CyclicCNN,
    images: Floats,
    targets: Floats,
    *,
    method: str,
    numbers: tuple[float, float],
    counts: tuple[int, int, int, int],
    batch_size: int | None,
    checkpoint: Path | None,
    generator: np.random.Generator,
) -> TrainingRun:
    way = check_choice("method", method, METHODS)
    decay = check_number("weight_decay", numbers[0], minimum=0.0)
    rate = check_number("learning_rate", numbers[1], minimum=0.0, strict=True)
    names = ("n_steps", "n_polish", "record_every", "checkpoint_every")
    steps, polish, record, save = (check_count(name, count) for name, count in zip(names, counts, strict=True))
    if batch_size is not None and check_count("batch_size", batch_size) > len(images):
        raise ArgumentError(f"batch_size is {batch_size}, expected at most {len(images)}: the number of images")
    phases = (("adam", steps), ("lbfgs", polish)) if way == "adam+lbfgs" else ((way, steps),)
    about = [phases, decay, rate, batch_size, record, network.slope, network.strides, generator.bit_generator.state]
    digest = hashlib.sha256(json.dumps(about, default=str).encode())
    for array in (images, targets, network.pooling, network.parameters()):
        digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return TrainingRun(images, targets, decay, rate, phases, batch_size, record, checkpoint, save, digest.hexdigest())
