"""Wen & Jacot's experiments with made images: shape × pattern, and the moving ball; what a bottleneck tells apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from benchmarks.papers.kept import by_degree, coordinates, gathering, kept, middle, probe
from benchmarks.papers.kept_pictures import cost_of, layers_picture, plot_readings
from benchmarks.papers.scenes import Scenes, moving_ball, shape_times_pattern
from lineardyn.plots import plot_images
from proofs_check.cbn import CyclicCNN
from proofs_check.report.section import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.papers.decayed import Decayed

__all__ = ["W3", "W4", "linear_dimensions", "readable", "readings"]

Floats = NDArray[np.float64]

ENOUGH = 0.95
"""R² from which on something is readable."""
CARRIES = 0.1
"""R² of one frequency alone from which on it is said to carry a factor."""
ALL, KEPT = "kept frequencies", "kept dimensions"
SEED = 0


@dataclass(frozen=True)
class Setting:
    """All of one training. Weight decay λ is that of ``Σ (f - y)² + λ ‖θ‖²``, operator convention."""

    size: int
    channels: int
    depth: int
    n_train: int
    n_held: int
    n_steps: int
    batch_size: int
    weight_decay: float
    learning_rate: float

    @property
    def recipe(self) -> Decayed:
        """For the training."""
        from benchmarks.papers.decayed import Decayed

        return Decayed(self.weight_decay, self.learning_rate, self.batch_size, self.n_steps)


PRODUCTS = {
    "tiny": Setting(6, 6, 3, 1000, 1000, 150, 32, 0.02, 0.01),
    "cpu": Setting(8, 16, 6, 4000, 2000, 2500, 32, 0.005, 0.001),
    "full": Setting(28, 64, 9, 20000, 4000, 30000, 128, 0.03, 1e-4),
}
BALLS = {
    "tiny": Setting(6, 6, 3, 1000, 1000, 150, 32, 0.02, 0.01),
    "cpu": Setting(8, 20, 8, 8000, 2000, 4000, 32, 0.003, 0.001),
    "full": Setting(28, 64, 9, 40000, 4000, 40000, 128, 0.03, 1e-4),
}
"""The rate falls as 1/n, λ grows as n: see the settings of :mod:`benchmarks.papers.digits`."""
SEEN, NEXT, FASTEST = 2, 4, 0.25


def linear_dimensions(targets: Floats, loss: float) -> int:
    """The least rank of an affine map whose outputs could be as near to the targets: of their principal components.

    The mean is left to the biases; the residual of the best k is the sum of the other eigenvalues of the covariance.
    """
    rows = targets.reshape(len(targets), -1)
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2 / len(rows)
    left = np.append(np.cumsum(values[::-1])[::-1], 0.0)  # after none, one, two, ..
    return int((left > loss).sum())


def readings(net: CyclicCNN, train: Scenes, held: Scenes) -> dict[str, dict[str, Floats]]:
    """R² of every factor, read from what the middle layer is given at the frequencies that it keeps.

    ``ALL``, all channels; ``KEPT``, what its kept singular values let through; then all channels of each frequency.
    """
    layer = net.depth // 2
    whole, narrow = (
        [coordinates(net, scenes.images, layer, projected=projected) for scenes in (train, held)]
        for projected in (False, True)
    )
    sources = {ALL: (whole, list(whole[0])), KEPT: (narrow, list(whole[0]))}
    sources |= {f"({u}, {v})": (whole, [(u, v)]) for u, v in whole[0]}
    found = {}
    for name, (parts, places) in sources.items():
        features, others = (
            np.concatenate([np.zeros((len(scenes.images), 0)), *(part[f] for f in places)], axis=1)
            for part, scenes in zip(parts, (train, held), strict=True)
        )
        found[name] = {g: probe(features, y, others, held.factors[g]) for g, y in train.factors.items()}
    return found


def readable(r2: Mapping[str, Mapping[str, Floats]], reason: str, *, tiny: bool) -> Agreement:
    """The smallest R² of any factor, read from all channels of the kept frequencies."""
    every, narrow = (np.concatenate(list(r2[name].values())) for name in (ALL, KEPT))
    alone = {name: row for name, row in r2.items() if name not in (ALL, KEPT)}
    carried = {g: [name for name, row in alone.items() if row[g].mean() > CARRIES] for g in r2[ALL]}
    told = "; ".join(f"{g} at {', '.join(names) or 'no frequency alone'}" for g, names in carried.items())
    holds = bool(every.min() >= ENOUGH)
    return Agreement(
        f"{' and '.join(carried)} are readable from the bottleneck (R² ≥ {ENOUGH})",
        "the smallest R² of a linear probe of the middle layer's input at the frequencies that it keeps, on images "
        "that neither network nor probe has seen,",
        float(every.min()), (float(every.min()), float(every.max())), f"least and largest of {len(every)} numbers",
        (holds or None) if tiny else holds,
        f"{reason} Through its kept singular values alone: {narrow.min():.3g} to {narrow.max():.3g}. By frequency "
        f"(ω with -ω): {told}.",
    )  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """One of the two: its scales, its scenes, and words."""

    settings: Mapping[str, Setting]
    scenes: Callable[[int, int, int], Scenes]
    """Of a size, how many, a seed."""
    told: str
    example: str

    def setting_of(self, scale: str) -> str:
        """In a sentence."""
        s = self.settings[scale]
        return (
            f"{self.told} {s.size} × {s.size} pixels on a torus, {s.n_train:,} images; {s.depth} circular layers of "
            f"{s.channels} channels with filters of full size, ReLU, no pooling; {s.n_steps:,} steps of Adam on "
            f"Σ (f - y)² + λ‖θ‖², λ = {s.weight_decay:g} (grows to this), batches of {s.batch_size}, "
            f"one seed. Probes: least squares on {s.n_held:,} training images, R² on as many others. The paper's "
            "sizes, images and rates are not known."
        )


PRODUCT = Experiment(
    PRODUCTS,
    lambda size, n, seed: shape_times_pattern(size, n, rng=seed),
    "Autoencoder of s·p: s = ½ + a cosine along each axis, p stripes or squares of one pixel, either sign;",
    "Input, output, and their difference, of one held-out image, each on its own scale.",
)
BALL = Experiment(
    BALLS,
    lambda size, n, seed: moving_ball(size, n, n_seen=SEEN, n_next=NEXT, fastest=FASTEST, rng=seed),
    f"{SEEN} frames of a smooth ball are seen, the next {NEXT} predicted, up to {FASTEST:g} of the side a frame along "
    "each axis;",
    f"One held-out ball: the {SEEN} frames seen, what came, and what the network says.",
)


def disentangled(name: str, experiment: Experiment) -> Callable[[Run], Findings]:
    """Train, then read."""

    def measure(run: Run) -> Findings:
        setting = experiment.settings[run.scale]
        train, held = (experiment.scenes(setting.size, n, i) for i, n in enumerate((setting.n_train, setting.n_held)))
        net, loss, seconds = trained(run, name, setting, train, held)
        r2 = readings(net, train.first(setting.n_held), held)
        numbers = (
            {"cpu_seconds": seconds}
            | numbers_of(net, held, loss)
            | {"r2": {w: {g: v.tolist() for g, v in row.items()} for w, row in r2.items()}}
        )
        reason = (
            f"Layer {net.depth // 2 + 1} of {net.depth} keeps {sum(numbers['kept_by_degree'])} dimensions; a linear "
            f"map as near to the targets has rank {numbers['linear_dimensions']} at least."
        )
        agreement = readable(r2, reason, tiny=run.scale == "tiny")
        told = f"{experiment.setting_of(run.scale)} {cost_of(seconds)}"
        return Findings(numbers, agreement, told, [SEED], pictures(experiment, net, held, r2))

    return measure


def trained(run: Run, name: str, setting: Setting, train: Scenes, held: Scenes) -> tuple[CyclicCNN, float, float]:
    """The network, its loss on held-out images, and the processor time of its training."""
    from benchmarks.papers.decayed import as_cyclic, loss_of, train_kept
    from benchmarks.papers.models import CyclicBottleneck

    def build() -> CyclicBottleneck:
        channels = {"inputs": train.images.shape[1], "outputs": train.targets.shape[1]}
        return CyclicBottleneck(setting.depth, setting.channels, size=setting.size, **channels)

    found = train_kept(run, name, build, train.images, train.targets, setting.recipe, seed=SEED)
    return as_cyclic(found.model), loss_of(found.model, held.images, held.targets), found.cpu_seconds


def numbers_of(net: CyclicCNN, held: Scenes, loss: float) -> dict[str, Any]:
    """What the layers keep, how it gathers, and what a linear map would need."""
    return {
        "loss_held": loss,
        "norm": net.norm(),
        "depth": net.depth,
        "kept": {layer + 1: kept(net, layer).tolist() for layer in middle(net.depth)},
        "kept_by_degree": by_degree(kept(net, net.depth // 2)),
        "linear_dimensions": linear_dimensions(held.targets, loss),
        "gathering": asdict(gathering(net)),
    }


def pictures(
    experiment: Experiment, net: CyclicCNN, held: Scenes, r2: Mapping[str, Mapping[str, Floats]]
) -> list[Picture]:
    """Layers, readings, one image."""
    means = {w: {g: float(v.mean()) for g, v in row.items()} for w, row in r2.items()}
    return [
        layers_picture(net),
        Picture(
            "readings",
            f"R² of a linear probe of the input of layer {net.depth // 2 + 1} on held-out images, mean over "
            "the numbers of each kind: of all kept frequencies, of the kept dimensions, of each frequency (and -ω). "
            "A frequency that tells 1 number of 3 has ⅓.",
            lambda: plot_readings(means), "experiments",
        ),
        Picture("example", experiment.example, lambda: example(held, net(held.images[:1])[0]), "experiments"),
    ]  # fmt: skip


def example(held: Scenes, found: Floats) -> Figure:
    """One image, what the network makes of it, and what it should be."""
    seen, wanted = held.images[0], held.targets[0]
    if len(seen) == len(wanted) == 1:
        return plot_images(np.stack([seen, found, found - wanted]), ["input", "output", "difference"])
    frames = np.concatenate([seen[:1], wanted, seen[1:], found])[:, None]
    came, predicted = ([f"{word}, t = {t}" for t in range(1, NEXT + 1)] for word in ("came", "output"))
    first, *others = (f"seen, t = {t}" for t in range(1 - SEEN, 1))
    return plot_images(frames, [first, *came, *others, *predicted])


W3 = PaperFigure(
    "w3",
    "Autoencoder of shape × pattern",
    "Wen & Jacot, experiments: an autoencoder of images that are a low-frequency shape times a high-frequency repeated "
    "pattern disentangles the two: in the bottleneck few frequencies are left, and shape and pattern are kept apart.",
    disentangled("w3", PRODUCT),
    torch=True,
)
W4 = PaperFigure(
    "w4",
    "Prediction of a moving ball",
    "Wen & Jacot, experiments: a network that predicts the next frames of a moving ball disentangles position and "
    "velocity in its bottleneck of few low frequencies.",
    disentangled("w4", BALL),
    torch=True,
)
