"""G fig 2 to 7: which frequencies trained networks see, over depth and over weight decay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from benchmarks.papers.datasets import labelled
from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from benchmarks.peers import machine
from lineardyn.fourier import fft2
from lineardyn.plots import plot_spectrum_images
from lineardyn.plots.style import color, figure_for, styled
from proofs_check.report.section import Picture
from proofs_check.spectra import radial_average

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

__all__ = ["G2", "G3", "G4", "G5", "G6", "G7", "radial_moment", "trend"]

Floats = NDArray[np.float64]


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
    myrtle_channels: int
    myrtle_decays: tuple[float, ...]
    learning_rate: float
    batch_size: int
    myrtle_rate: float
    myrtle_batch: int


PAPER = Setting(
    32, 64, 50000, 10000, 5000, 500, 3, (1, 2, 4, 8), tuple(np.logspace(-5, -1, 4).tolist()), 64,
    tuple(np.logspace(-5, -2, 10).tolist()), 1e-4, 1024, 1e-2, 512,
)  # fmt: skip
SETTINGS = {
    "tiny": Setting(8, 3, 64, 32, 8, 2, 2, (1, 2), (1e-4, 1e-1), 2, (1e-4, 1e-1), 0.02, 32, 0.1, 32),
    # smaller images, narrower, fewer epochs; the larger rate makes up for those
    "cpu": Setting(
        16, 8, 5000, 1000, 200, 20, 3, (1, 2, 4, 8), PAPER.decays, 8, (1e-5, 1e-4, 1e-3, 1e-2), 1e-2, 128, 1e-2, 128
    ),
    "full": PAPER,
}
DEPTH_DECAY = 1e-5
DECAY_DEPTH = 4
ENOUGH = 8
"""Trainings below which nothing is expected of a trend."""
PLAIN = {"residual ConvActually": "ConvActually"}

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
    return [(float(d), Case(model, d, DEPTH_DECAY, seed)) for d in s.depths for seed in range(s.seeds)]


def decay_cases(scale: str, model: str = "ConvActually") -> list[tuple[float, Case]]:
    """(weight decay, case)."""
    s = SETTINGS[scale]
    decays = s.myrtle_decays if model == "MyrtleCNN" else s.decays
    return [(wd, Case(model, DECAY_DEPTH, wd, seed)) for wd in decays for seed in range(s.seeds)]


def cells(run: Run, cases: Sequence[tuple[float, Case]]) -> Sweep:
    """Train and measure what is not yet kept; the file of trainings is shared by g2 to g7."""
    setting = SETTINGS[run.scale]
    record = machine.Record(run.kept("sensitivities"), asdict(setting))
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
    myrtle = case.model == "MyrtleCNN"
    recipe = Recipe(
        setting.myrtle_rate if myrtle else setting.learning_rate,
        setting.myrtle_batch if myrtle else setting.batch_size,
        setting.epochs, case.weight_decay, patience=20 if myrtle else 50,
    )  # fmt: skip
    checkpoint = None if run.folder is None else run.folder / f".{case.key.replace(', ', '-').replace(' ', '_')}.pt"
    build = builder(case, setting, images.shape[1], targets.shape[1])
    model = train(build, images, targets, recipe, seed=case.seed, checkpoint=checkpoint)
    found = frequency_sensitivity(model, held[: setting.n_probe])
    cell = {"accuracy": accuracy(model, held, held_targets), "sensitivity": found.mean.tolist()}
    deviation = np.abs(fft2(images - images.mean(axis=0))).std(axis=0)
    cell["resemblance"] = float(scipy.stats.spearmanr(found.mean.ravel(), deviation.ravel()).statistic)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return cell


def builder(case: Case, setting: Setting, inputs: int, outputs: int) -> Callable[[], nn.Module]:
    """What makes the untrained model."""
    from benchmarks.papers.models import ConvActually, MyrtleCNN

    if case.model == "MyrtleCNN":
        return lambda: MyrtleCNN(setting.myrtle_channels, inputs=inputs, outputs=outputs)
    return lambda: ConvActually(
        case.depth, setting.channels, size=setting.size, inputs=inputs, outputs=outputs,
        residual=case.model.startswith("residual"),
    )  # fmt: skip


def radial_moment(sensitivity: Floats, power: int) -> float:
    """``Σ r^k g(r) / Σ g(r)`` of the radial average g over rings of width 1 [Godfrey et al. eq 5.1]."""
    radii, values = radial_average(sensitivity)
    return float((radii**power * values).sum() / values.sum())


def trend(
    values: Sequence[float], numbers: Sequence[float], *, falls: bool
) -> tuple[float, tuple[float, float], float]:
    """Kendall's τ, its 95 % bootstrap interval over trainings, and the one-sided p of a fall (or a rise)."""
    x, y = np.asarray(values), np.asarray(numbers)
    found = scipy.stats.kendalltau(x, y, alternative="less" if falls else "greater")
    generator, draws = np.random.default_rng(0), []
    for _ in range(200):
        at = generator.integers(0, len(x), len(x))
        if np.ptp(x[at]) > 0 and np.ptp(y[at]) > 0:  # else τ has no meaning
            draws.append(scipy.stats.kendalltau(x[at], y[at]).statistic)
    low, high = np.quantile(draws, [0.025, 0.975]) if draws else (np.nan, np.nan)
    return float(found.statistic), (float(low), float(high)), float(found.pvalue)


def falling(sweep: Sweep, over: str) -> Agreement:
    """The first moment falls, over all trainings of a sweep."""
    first = first_moments(sweep)
    tau, interval, p = trend([value for value, _ in sweep], first, falls=True)
    return Agreement(
        f"the first radial moment of the sensitivity decreases with {over}",
        f"Kendall's τ of the two over all {len(first)} trainings", tau, interval, "95 %, bootstrap",
        decided(tau < 0 and p < 0.05, len(first)), told_p(p, len(first)),
    )  # fmt: skip


def exception(plain: Sweep, residual: Sweep) -> Agreement:
    """At the largest depth residual networks see higher frequencies than plain ones: paired by seed, t interval."""
    deepest = max(value for value, _ in plain)
    pairs = [first_moments([row for row in sweep if row[0] == deepest]) for sweep in (residual, plain)]
    ratio = np.log(pairs[0]) - np.log(pairs[1])
    half = float(scipy.stats.t.ppf(0.975, len(ratio) - 1) * ratio.std(ddof=1) / len(ratio) ** 0.5)
    middle = float(ratio.mean())
    tau, _, p = trend([value for value, _ in residual], first_moments(residual), falls=True)
    return Agreement(
        "with residual connections deep networks see higher frequencies, and no decrease with depth is seen",
        f"the first radial moment at depth {deepest:.0f}, residual over plain,", float(np.exp(middle)),
        (float(np.exp(middle - half)), float(np.exp(middle + half))), "95 % over seeds, of the logarithm",
        decided(middle - half > 0 and not (tau < 0 and p < 0.05), len(residual)),
        f"Kendall's τ of depth and first moment is {tau:.2f} with residual connections. " + told_p(p, len(residual)),
    )  # fmt: skip


def first_moments(sweep: Sweep) -> list[float]:
    """Of each training."""
    return [radial_moment(np.array(cell["sensitivity"]), 1) for _, cell in sweep]


def decided(seen: bool, n: int) -> bool | None:
    """Not seen in few trainings says nothing."""
    return None if n < ENOUGH and not seen else seen


def told_p(p: float, n: int) -> str:
    """One-sided p, and whether so few trainings could have shown anything."""
    return f"One-sided p = {p:.2g}." + (f" {n} trainings are too few to tell." if n < ENOUGH else "")


def resemblance_agreement(sweeps: Sequence[Sweep], over: str) -> Agreement:
    """The images of sensitivity grow more like the standard deviation of the data; the weakest of the sweeps."""
    found = [
        trend([value for value, _ in sweep], [cell["resemblance"] for _, cell in sweep], falls=False)
        for sweep in sweeps
    ]
    tau, interval, p = min(found)
    return Agreement(
        f"with {over} the image of sensitivity grows more like the standard deviation of the training images",
        f"Kendall's τ of {over} with Spearman's correlation of the two images", tau, interval, "95 %, bootstrap",
        decided(tau > 0 and p < 0.05, len(sweeps[0])),
        told_p(p, len(sweeps[0])) + (" The weaker of both models." if len(sweeps) > 1 else ""),
    )  # fmt: skip


def averages(sweep: Sweep) -> dict[float, Floats]:
    """Mean over seeds of the sensitivity, by the value swept."""
    values = list(dict.fromkeys(value for value, _ in sweep))
    return {v: np.mean([cell["sensitivity"] for value, cell in sweep if value == v], axis=0) for v in values}


def numbers_of(sweep: Sweep) -> list[dict[str, Any]]:
    """One row a training."""
    rows = []
    for value, cell in sweep:
        map_ = np.array(cell["sensitivity"])
        radii, curve = radial_average(map_)
        rows.append(
            {
                "value": value, "accuracy": cell["accuracy"], "resemblance": cell["resemblance"], "radius": radii,
                "sensitivity": curve, "first_moment": radial_moment(map_, 1), "second_moment": radial_moment(map_, 2),
            }
        )  # fmt: skip
    return rows


def told(scale: str) -> str:
    """The setting in a sentence."""
    s = SETTINGS[scale]
    data = "rotated patches of a photograph" if scale == "tiny" else "CIFAR-10"
    return (
        f"{data}, {s.n_train} images of {s.size} × {s.size} pixels, ConvActually of {s.channels} and MyrtleCNN of "
        f"{s.myrtle_channels} channels, cross-entropy, {s.epochs} epochs of SGD with momentum 0.9, {s.seeds} seeds; "
        f"sensitivity on {s.n_probe} test images. The paper: {PAPER.size} × {PAPER.size}, {PAPER.channels} channels, "
        f"at most {PAPER.epochs} epochs."
    )


def maps(models: Sequence[str], over: str) -> Callable[[Run], Findings]:
    """Figures 2 and 7: images."""

    def measure(run: Run) -> Findings:
        make = depth_cases if over == "depth" else decay_cases
        sweeps = {model: cells(run, make(run.scale, model)) for model in models}
        pictures = [
            Picture(
                f"{model}-maps", f"{model}: sensitivity (mean over channels and seeds, square root, dark is large, DC "
                f"in the middle) by {over}.",
                lambda sweep=sweep: plot_maps(averages(sweep), over), "fig 2, 7",  # type: ignore[misc]
            )
            for model, sweep in sweeps.items()
        ]  # fmt: skip
        numbers = {model: numbers_of(sweep) for model, sweep in sweeps.items()}
        agreement = resemblance_agreement(list(sweeps.values()), over)
        return Findings(numbers, agreement, told(run.scale), range(SETTINGS[run.scale].seeds), pictures)

    return measure


def curves(model: str, over: str) -> Callable[[Run], Findings]:
    """Figures 3 to 6: radial averages and their moments."""

    def measure(run: Run) -> Findings:
        sweep = cells(run, (depth_cases if over == "depth" else decay_cases)(run.scale, model))
        rows = numbers_of(sweep)
        pictures = [
            Picture(
                f"{model}-radial", f"Radial averages by {over}, each divided by its sum, mean over seeds.",
                lambda: plot_curves(averages(sweep), over), "fig 3-6 (a)",
            ),
            Picture(
                f"{model}-moments", f"First and second radial moments over {over}, a dot each training.",
                lambda: plot_moments(rows, over), "fig 3-6 (b)",
            ),
        ]  # fmt: skip
        if model in PLAIN:
            agreement = exception(cells(run, depth_cases(run.scale, PLAIN[model])), sweep)
        else:
            agreement = falling(sweep, over)
        return Findings({model: rows}, agreement, told(run.scale), range(SETTINGS[run.scale].seeds), pictures)

    return measure


def name_of(value: float, over: str) -> str:
    """Of one value swept."""
    return f"{over} {value:.0f}" if over == "depth" else f"λ = {value:.1e}"


def plot_maps(found: Mapping[float, Floats], over: str) -> Figure:
    """Images, each on its own scale."""
    return plot_spectrum_images([m.mean(axis=0) for m in found.values()], [name_of(v, over) for v in found])


@styled
def plot_curves(found: Mapping[float, Floats], over: str) -> Figure:
    """Radial averages that sum to 1, logarithmic."""
    figure = figure_for(None)
    ax = figure.add_subplot()
    ax.grid(True, axis="y")
    for i, (value, map_) in enumerate(found.items()):
        radii, values = radial_average(map_)
        ax.plot(
            radii, values / values.sum(), "o-", markersize=3, color=color(i, len(found)), label=name_of(value, over)
        )
    ax.set_yscale("log")
    ax.set_xlabel("radius of the frequency (cycles per image)")
    ax.set_ylabel("sensitivity, share of the sum")
    ax.legend(fontsize=8, ncols=2)
    return figure


@styled
def plot_moments(rows: Sequence[Mapping[str, Any]], over: str) -> Figure:
    """Both moments, the median over seeds as a line."""
    figure = figure_for(None)
    for i, name in enumerate(("first_moment", "second_moment")):
        ax = figure.add_subplot(1, 2, i + 1)
        ax.grid(True, axis="y")
        values = np.array([row["value"] for row in rows])
        y = np.array([row[name] for row in rows])
        ax.plot(values, y, "o", color=color(i), markersize=4, alpha=0.6)
        swept = np.unique(values)
        ax.plot(swept, [np.median(y[values == v]) for v in swept], color=color(i))
        if over == "depth":
            ax.set_xticks(swept)
        else:
            ax.set_xscale("log")
        ax.set_xlabel(over)
        ax.set_title(name.replace("_", " "))
    return figure


SECTION = "Godfrey et al., "
G2 = PaperFigure(
    "g2", "Sensitivity of ConvActually by depth, as images",
    SECTION + "fig 2: as depth increases the sensitivity E|∇f(x)·ê| is more and more concentrated at low frequencies, "
    "as the images' own variance is.",
    maps(["ConvActually"], "depth"), ("CIFAR-10",), True,
)  # fmt: skip
G3 = PaperFigure(
    "g3", "Sensitivity of ConvActually by depth, over the radius",
    SECTION + "fig 3: as depth increases, sensitivity decreases more and more rapidly with the radius; first and "
    "second radial moments are roughly monotonically decreasing in depth. Accuracy at depth 1, 2, 4, 8: .546, .612, "
    ".633, .624.",
    curves("ConvActually", "depth"), ("CIFAR-10",), True,
)  # fmt: skip
G4 = PaperFigure(
    "g4", "Sensitivity of ConvActually by weight decay",
    SECTION + "fig 4: the radial moments of ConvActually of depth 4 are roughly monotonically decreasing in the weight "
    "decay λ.",
    curves("ConvActually", "weight decay"), ("CIFAR-10",), True,
)  # fmt: skip
G5 = PaperFigure(
    "g5", "Sensitivity of MyrtleCNN by weight decay",
    SECTION + "fig 5: the radial moments of MyrtleCNN are roughly monotonically decreasing in the weight decay λ.",
    curves("MyrtleCNN", "weight decay"), ("CIFAR-10",), True,
)  # fmt: skip
G6 = PaperFigure(
    "g6", "The exception: residual connections",
    SECTION + "fig 6: with residual connections the moments need not decrease: as the weights vanish the network "
    "becomes the identity, which is equally sensitive to all frequencies.",
    curves("residual ConvActually", "depth"), ("CIFAR-10",), True,
)  # fmt: skip
G7 = PaperFigure(
    "g7", "Sensitivity by weight decay, as images",
    SECTION + "fig 7: as λ increases the images of ConvActually (depth 4) and MyrtleCNN more and more closely resemble "
    "the statistics of the training images (fig 1c). Accuracies 52 to 67 % and 83 to 87 %.",
    maps(["ConvActually", "MyrtleCNN"], "weight decay"), ("CIFAR-10",), True,
)  # fmt: skip
