"""The trainings behind G fig 2 to 7: sweeps over depth and over weight decay, each training done once and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from benchmarks.papers.datasets import labelled
from benchmarks.papers.figure import Run
from benchmarks.peers import machine
from lineardyn.fourier import fft2

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DECAY_DEPTH", "SETTINGS", "Case", "Sweep", "cells", "decay_cases", "depth_cases", "told"]

Floats = NDArray[np.float64]

LOCAL = ("MyrtleCNN", "ResNet")
MOMENTUM = 0.9


@dataclass(frozen=True)
class Setting:
    """All that the trainings of one scale share."""

    size: int
    channels: int
    n_train: int
    n_test: int
    n_probe: int
    epochs: int
    seeds: int
    depths: tuple[int, ...]
    decays: tuple[float, ...]
    learning_rate: float
    batch_size: int
    myrtle_channels: int
    myrtle_decays: tuple[float, ...]
    resnet_channels: int
    resnet_depths: tuple[int, ...]
    local_rate: float
    """With kernels of 3 × 3: MyrtleCNN and ResNet."""
    local_batch: int

    def rate(self, model: str) -> float:
        """Learning rate."""
        return self.local_rate if model in LOCAL else self.learning_rate

    def batch(self, model: str) -> int:
        """Images of a step."""
        return self.local_batch if model in LOCAL else self.batch_size

    def duration(self, model: str) -> float:
        """``rate × steps / (1 - momentum)``: weight decay λ alone would shrink weights by ``exp(-λ × duration)``."""
        steps = self.epochs * -(-self.n_train // self.batch(model))
        return self.rate(model) * steps / (1 - MOMENTUM)


PAPER = Setting(
    32, 64, 50000, 10000, 5000, 500, 3, (1, 2, 4, 8), tuple(np.logspace(-5, -1, 4).tolist()), 1e-4, 1024,
    64, tuple(np.logspace(-5, -2, 10).tolist()), 16, (20, 32, 56), 1e-2, 512,
)  # fmt: skip
SETTINGS = {
    "tiny": Setting(8, 3, 64, 32, 8, 2, 2, (1, 2), (1e-4, 1e-1), 0.02, 32, 2, (1e-4, 1e-1), 2, (8, 14), 0.1, 32),
    # few steps: the larger rate makes up for them; deeper plain networks would not leave their first plateau, and the
    # decays are those that act within the training
    "cpu": Setting(
        12, 8, 1500, 500, 100, 24, 3, (1, 2, 3, 4), (1e-5, 1e-2, 3e-2, 1e-1), 1.5e-3, 32,
        8, (1e-5, 3e-3, 1e-2, 3e-2), 8, (8, 14, 20), 1e-2, 32,
    ),
    "full": PAPER,
}  # fmt: skip
REASONS = {
    "cpu": "Rates, depths and decays were chosen in trial runs of one seed: deeper plain networks do not leave their "
    "first plateau in so few steps, and decays act where λ × rate × steps / (1 − momentum) is not small."
}
DEPTH_DECAY = 1e-5
DECAY_DEPTH = 4

Sweep = Sequence[tuple[float, dict[str, Any]]]
"""(value swept, what was measured), one a training."""


@dataclass(frozen=True)
class Case:
    """One training: a point of a sweep, and a seed."""

    model: str
    depth: int
    weight_decay: float
    seed: int

    @property
    def key(self) -> str:
        """Of its cell."""
        return f"{self.model}, depth {self.depth}, weight decay {self.weight_decay:.3g}, seed {self.seed}"


def depth_cases(scale: str, model: str = "ConvActually") -> list[tuple[float, Case]]:
    """(depth, case)."""
    s = SETTINGS[scale]
    depths = s.resnet_depths if model == "ResNet" else s.depths
    return [(float(d), Case(model, d, DEPTH_DECAY, seed)) for d in depths for seed in range(s.seeds)]


def decay_cases(scale: str, model: str = "ConvActually") -> list[tuple[float, Case]]:
    """(weight decay, case)."""
    s = SETTINGS[scale]
    decays = s.myrtle_decays if model == "MyrtleCNN" else s.decays
    return [(wd, Case(model, DECAY_DEPTH, wd, seed)) for wd in decays for seed in range(s.seeds)]


def cells(run: Run, cases: Sequence[tuple[float, Case]]) -> Sweep:
    """Train and measure what is not yet kept; g2 to g7 share the files of trainings, one for each model."""
    setting = SETTINGS[run.scale]
    (model,) = {case.model for _, case in cases}
    record = machine.Record(run.kept(f"sensitivities-{model.replace(' ', '-')}"), asdict(setting))
    missing = [case for _, case in cases if case.key not in record]
    if missing:
        data = labelled(run.scale, size=setting.size, n_train=setting.n_train, n_test=setting.n_test, seed=0)
        for case in missing:
            record.keep(case.key, measured(run, setting, case, data))
            run.say(f"{case.key}: accuracy {record[case.key]['accuracy']:.3f}")
    return [(value, record[case.key]) for value, case in cases]


def measured(run: Run, setting: Setting, case: Case, data: tuple[Floats, Floats, Floats, Floats]) -> dict[str, Any]:
    """Accuracy on the test images, and the sensitivity on some of them."""
    from benchmarks.papers.training import Recipe, accuracy, train
    from proofs_check.probes import frequency_sensitivity

    images, targets, held, held_targets = data
    begin = time.process_time()
    recipe = Recipe(
        setting.rate(case.model), setting.batch(case.model), setting.epochs, case.weight_decay, MOMENTUM,
        patience=20 if case.model in LOCAL else 50,
    )  # fmt: skip
    checkpoint = None if run.folder is None else run.folder / f".{case.key.replace(', ', '-').replace(' ', '_')}.pt"
    build = builder(case, setting, images.shape[1], targets.shape[1])
    model = train(build, images, targets, recipe, seed=case.seed, checkpoint=checkpoint)
    found = frequency_sensitivity(model, held[: setting.n_probe])
    cell = {"accuracy": accuracy(model, held, held_targets), "sensitivity": found.mean.tolist()}
    deviation = np.abs(fft2(images - images.mean(axis=0))).std(axis=0)
    cell["resemblance"] = float(scipy.stats.spearmanr(found.mean.ravel(), deviation.ravel()).statistic)
    cell["seconds"] = time.process_time() - begin
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return cell


def builder(case: Case, setting: Setting, inputs: int, outputs: int) -> Callable[[], nn.Module]:
    """What makes the untrained model."""
    from benchmarks.papers.models import ConvActually, MyrtleCNN, ResNet

    if case.model == "MyrtleCNN":
        return lambda: MyrtleCNN(setting.myrtle_channels, inputs=inputs, outputs=outputs)
    if case.model == "ResNet":
        blocks = (case.depth - 2) // 6
        return lambda: ResNet(blocks, setting.resnet_channels, inputs=inputs, outputs=outputs)
    return lambda: ConvActually(
        case.depth, setting.channels, size=setting.size, inputs=inputs, outputs=outputs,
        residual=case.model.startswith("residual"),
    )  # fmt: skip


def told(scale: str, sweeps: Mapping[str, Sweep]) -> str:
    """The setting in a sentence for the data and one for each model."""
    s = SETTINGS[scale]
    data = "rotated patches of a photograph" if scale == "tiny" else "CIFAR-10"
    return " ".join(
        [
            f"{data}, {s.n_train} images of {s.size} × {s.size} pixels, cross-entropy, {s.epochs} epochs of SGD with "
            f"momentum {MOMENTUM}, {s.seeds} seeds; sensitivity on {s.n_probe} test images (the paper: {PAPER.size} × "
            f"{PAPER.size}, at most {PAPER.epochs} epochs).",
            *(told_model(s, model, sweep) for model, sweep in sweeps.items()),
            REASONS.get(scale, ""),
        ]
    ).rstrip()


def told_model(s: Setting, model: str, sweep: Sweep) -> str:
    """Width, rate, batch and duration, the paper's in parentheses; how long the trainings took."""
    width, papers = (
        (s.myrtle_channels, PAPER.myrtle_channels) if model == "MyrtleCNN"
        else (s.resnet_channels, PAPER.resnet_channels) if model == "ResNet"
        else (s.channels, PAPER.channels)
    )  # fmt: skip
    return (
        f"{model}: {width} channels ({papers}), rate {s.rate(model):g} ({PAPER.rate(model):g}), batches of "
        f"{s.batch(model)} ({PAPER.batch(model)}), rate × steps / (1 − momentum) = {s.duration(model):.3g} "
        f"({PAPER.duration(model):.3g} at most); {len(sweep)} trainings in "
        f"{sum(cell['seconds'] for _, cell in sweep):.0f} s of processor time."
    )
