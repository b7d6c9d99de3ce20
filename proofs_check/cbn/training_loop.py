"""The loop of a training: steps of the optimisers, the history, and checkpoints from which a run goes on."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ComputationError, DataFileError, Status
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.torch_network import TorchCyclic, import_torch

__all__ = ["TrainedCyclic", "Training", "TrainingRun"]

Floats = NDArray[np.float64]

COLUMNS = ("step", "objective", "fit", "norm", "activation")
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
class TrainingRun:
    """Checked arguments, arrays flattened to rows."""

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


class Training:
    """One run: parameters, optimiser, history, and where it stands."""

    def __init__(self, model: TorchCyclic, run: TrainingRun, generator: np.random.Generator) -> None:
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
        status, good = Status.SUCCESS, self.model.parameters.detach().clone()
        for phase, before in self._rest():
            self._enter(phase)
            here = self.model.parameters.detach().clone()
            objective = self._advance(phase, self.step - before)
            if not objective <= limit:
                status = self._back_to(good)
                break
            good = here
            self.step += 1
            self._after_step(tell)
            if self.history["step"][-1] == self.step and not self.history["objective"][-1] <= limit:
                status = self._back_to(good)
                break
        result = self._result(status)
        if status is not Status.SUCCESS and throw:
            raise ComputationError(status, result.message, result)
        return result

    def _back_to(self, parameters: Any) -> Status:
        """Descent has diverged: the last parameters whose objective was in bounds, and the status."""
        with self.torch.no_grad():
            self.model.parameters.copy_(parameters)
        self.step += 1
        return Status.DIVERGED

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
        parameters, optim = [self.model.parameters], self.torch.optim
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
            fit = self._fit(self.model(self.images[rows]), rows)
            objective = fit + self.settings.weight_decay * self.model.squared_norm()
            objective.backward()
            return objective.detach()

        return float(self.optimizer.step(closure))

    def _fit(self, outputs: Any, rows: Any) -> Any:
        return ((outputs - self.targets[rows]) ** 2).sum(dim=1).mean()

    def _record(self) -> None:
        with self.torch.no_grad():
            outputs, sizes = self.model(self.images, sizes=True)
            fit, norm = float(self._fit(outputs, slice(None))), float(self.model.squared_norm())
        row = (float(self.step), fit + self.settings.weight_decay * norm, fit, norm, float(sizes.max()))
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
            "parameters": self.model.parameters.detach(),
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
            self.model.parameters.copy_(state["parameters"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.history = state["step"], state["history"]
        self.generator.bit_generator.state = json.loads(state["generator"], object_hook=_restored)


def _plain(value: Any) -> Any:
    """Arrays in a generator's state, as JSON."""
    return {"array": value.tolist(), "dtype": str(value.dtype)} if isinstance(value, np.ndarray) else int(value)


def _restored(value: dict[str, Any]) -> Any:
    return np.array(value["array"], dtype=value["dtype"]) if set(value) == {"array", "dtype"} else value
