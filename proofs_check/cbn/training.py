r"""Train small cyclic networks with weight decay, to see the bottleneck form.

    ``min_θ (1/N) Σ_x ‖f(x) - y‖² + λ ‖θ‖²``,   ``‖θ‖² = Σ_l (‖W_l‖_F² + n ‖b_l‖²)``

[theory, section 4; Wen & Jacot, reconstructed]. Small: up to 16 pixels on a line or 8×8, 24 layers. PyTorch (extra
``torch``) in float64 on the CPU; the same seed gives the same network.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, Status
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
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.torch_network import TorchCyclic, import_torch

__all__ = ["METHODS", "TrainedCyclic", "train_cyclic"]

Floats = NDArray[np.float64]

METHODS = ("adam+lbfgs", "adam", "lbfgs", "plain")
COLUMNS = ("step", "objective", "fit", "norm", "activation")
LARGEST = {1: 16, 2: 8}
"""Pixels along an axis, by the number of axes."""
DEEPEST = 24
DIVERGED = 1e12
"""Times the first objective (and 1): beyond it a run has diverged."""


@dataclass(frozen=True, eq=False)
class TrainedCyclic:
    """What :func:`train_cyclic` gives back.

    Attributes
    ----------
    network
        The trained :class:`CyclicCNN`.
    norm
        ``‖θ‖²``, operator convention.
    fit
        ``(1/N) Σ ‖f(x) - y‖²``.
    objective
        ``fit + λ norm``.
    history
        Arrays of one length: ``step``, ``objective``, ``fit``, ``norm`` and ``activation``, the largest
        ``Σ_{l<L} ‖α_l‖²`` over the images.
    status, message
        SUCCESS, or DIVERGED (then the network is the last one with a finite objective).
    """

    network: CyclicCNN
    norm: float
    fit: float
    objective: float
    history: dict[str, Floats] = field(repr=False)
    status: Status
    message: str


@dataclass(frozen=True)
class _Run:
    """Checked arguments, arrays flattened over the pixels."""

    images: Floats
    targets: Floats
    weight_decay: float
    learning_rate: float
    phases: tuple[tuple[str, int], ...]
    batch_size: int | None
    record_every: int
    checkpoint: Path | None
    checkpoint_every: int
    fingerprint: str

    @property
    def n_steps(self) -> int:
        """Of all phases."""
        return sum(count for _, count in self.phases)


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
        Another start, of the same architecture.
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
        x.reshape(*x.shape[:2], -1),
        y.reshape(*y.shape[:2], -1),
        method=method,
        numbers=(weight_decay, learning_rate),
        counts=(n_steps, n_polish, record_every, checkpoint_every),
        batch_size=batch_size,
        checkpoint=None if checkpoint is None else check_path(checkpoint, "checkpoint"),
        generator=generator,
    )
    with progress_bar("train", run.n_steps, shown=progress) as tell:
        return _Training(TorchCyclic(network), run, generator).run(tell, throw=throw)


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
) -> _Run:
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
    return _Run(images, targets, decay, rate, phases, batch_size, record, checkpoint, save, digest.hexdigest())


class _Training:
    """One run: parameters, optimiser, history, and where it stands."""

    def __init__(self, model: TorchCyclic, run: _Run, generator: np.random.Generator) -> None:
        self.model, self.settings, self.generator = model, run, generator
        self.torch = import_torch()
        self.images, self.targets = self.torch.as_tensor(run.images), self.torch.as_tensor(run.targets)
        self.step, self.history = 0, dict[str, list[float]]((name, []) for name in COLUMNS)
        self.optimizer: Any = None
        self.phase = -1

    def run(self, tell: Callable[[float], None] | None, *, throw: bool) -> TrainedCyclic:
        """All steps that are left."""
        self._resume()
        if self.step == 0:
            self._record()
        limit = DIVERGED * max(1.0, self.history["objective"][0])
        status = Status.SUCCESS
        for phase, before in self._rest():
            self._enter(phase)
            kept = [p.detach().clone() for p in self.model.parameters]
            objective = self._advance(phase, self.step - before)
            self.step += 1
            if not objective <= limit:
                with self.torch.no_grad():
                    for p, old in zip(self.model.parameters, kept, strict=True):
                        p.copy_(old)
                status = Status.DIVERGED
                break
            self._after_step(tell)
        result = self._result(status)
        if status is not Status.SUCCESS and throw:
            raise ComputationError(status, result.message, result)
        return result

    def _rest(self) -> Iterator[tuple[int, int]]:
        """The phase of each step to come, and the steps before that phase."""
        before = 0
        for phase, (_, count) in enumerate(self.settings.phases):
            while before <= self.step < before + count:
                yield phase, before
            before += count

    def _enter(self, phase: int) -> None:
        if phase != self.phase:
            self.phase, self.optimizer = phase, self._make(self.settings.phases[phase][0])

    def _make(self, name: str) -> Any:
        parameters, optim = self.model.parameters, self.torch.optim
        if name == "lbfgs":
            options = {"max_iter": 20, "history_size": 20, "tolerance_grad": 1e-10, "tolerance_change": 1e-14}
            return optim.LBFGS(parameters, line_search_fn="strong_wolfe", **options)
        return (
            optim.Adam(parameters, lr=self.settings.learning_rate)
            if name == "adam"
            else optim.SGD(parameters, lr=self.settings.learning_rate)
        )

    def _advance(self, phase: int, step: int) -> float:
        """One step; the objective before it."""
        name, count = self.settings.phases[phase]
        if name == "adam":
            rate = self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / count))
            self.optimizer.param_groups[0]["lr"] = rate
        rows = slice(None)
        if self.settings.batch_size is not None and name != "lbfgs":
            rows = self.torch.as_tensor(self.generator.integers(len(self.images), size=self.settings.batch_size))

        def closure() -> Any:
            self.optimizer.zero_grad()
            fit, norm, _ = self._values(rows)
            objective = fit + self.settings.weight_decay * norm
            objective.backward()
            return objective.detach()

        return float(self.optimizer.step(closure))

    def _values(self, rows: Any) -> tuple[Any, Any, Any]:
        outputs, size = self.model(self.images[rows])
        fit = ((outputs - self.targets[rows]) ** 2).sum(dim=(1, 2)).mean()
        return fit, self.model.squared_norm(), size.max()

    def _record(self) -> None:
        with self.torch.no_grad():
            fit, norm, size = (float(value) for value in self._values(slice(None)))
        row = (float(self.step), fit + self.settings.weight_decay * norm, fit, norm, size)
        for name, value in zip(COLUMNS, row, strict=True):
            self.history[name].append(value)

    def _after_step(self, tell: Callable[[float], None] | None) -> None:
        end = self.step == self.settings.n_steps
        if self.step % self.settings.record_every == 0 or end:
            self._record()
        if self.settings.checkpoint is not None and (end or self.step % self.settings.checkpoint_every == 0):
            self._save(self.settings.checkpoint)
        if tell is not None:
            tell(float(self.step))

    def _result(self, status: Status) -> TrainedCyclic:
        if self.history["step"][-1] != self.step:
            self._record()
        last = {name: values[-1] for name, values in self.history.items()}
        history = {name: np.array(values) for name, values in self.history.items()}
        message = status.value if status is Status.SUCCESS else f"{status.value} Step {self.step}."
        return TrainedCyclic(
            self.model.to_network(), last["norm"], last["fit"], last["objective"], history, status, message
        )

    def _save(self, path: Path) -> None:
        """Everything that the rest of the run depends on, whole or not at all."""
        state = {
            "fingerprint": self.settings.fingerprint,
            "step": self.step,
            "phase": self.phase,
            "parameters": [p.detach() for p in self.model.parameters],
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "generator": json.dumps(self.generator.bit_generator.state, default=_plain),
        }
        buffer = io.BytesIO()
        self.torch.save(state, buffer)
        part = path.with_name(path.name + ".part")
        part.write_bytes(buffer.getvalue())
        part.replace(path)

    def _resume(self) -> None:
        path = self.settings.checkpoint
        if path is None or not path.exists():
            return
        try:
            state = self.torch.load(path, weights_only=True)
            fingerprint = state["fingerprint"]
        except Exception as error:  # PyTorch raises several kinds for what is no file of its own
            raise DataFileError(f"{path} is no checkpoint ({type(error).__name__}): remove it to start anew") from None
        if fingerprint != self.settings.fingerprint:
            raise DataFileError(f"{path} is the checkpoint of another run: remove it, or give another path")
        self._enter(state["phase"])
        with self.torch.no_grad():
            for p, kept in zip(self.model.parameters, state["parameters"], strict=True):
                p.copy_(kept)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.history = state["step"], state["history"]
        self.generator.bit_generator.state = json.loads(state["generator"], object_hook=_restored)


def _plain(value: Any) -> Any:
    """Arrays in a generator's state, as JSON."""
    return {"array": value.tolist(), "dtype": str(value.dtype)} if isinstance(value, np.ndarray) else int(value)


def _restored(value: dict[str, Any]) -> Any:
    return np.array(value["array"], dtype=value["dtype"]) if set(value) == {"array", "dtype"} else value
