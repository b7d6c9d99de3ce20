"""G fig 2 to 7: which frequencies trained networks see, over depth and over weight decay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from benchmarks.papers.sweeps import DECAY_DEPTH, SETTINGS, Sweep, cells, decay_cases, depth_cases, told
from lineardyn.plots import plot_spectrum_images
from lineardyn.plots.style import color, figure_for, styled
from proofs_check.report.section import Picture
from proofs_check.spectra import radial_average

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["G2", "G3", "G4", "G5", "G6", "G7", "radial_moment", "trend"]

Floats = NDArray[np.float64]

Judge = Callable[[Mapping[str, Sweep], str], Agreement]

ENOUGH = 8
"""Trainings below which nothing is expected of a trend."""


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


def exception(plain: Sweep, residual: Sweep, resnet: Sweep) -> Agreement:
    """At the largest depth residual networks see higher frequencies than plain ones (paired by seed, t interval).

    And over depth no significant fall of the first moment is seen, neither in them nor in ResNets.
    """
    deepest = max(value for value, _ in plain)
    pairs = [first_moments([row for row in sweep if row[0] == deepest]) for sweep in (residual, plain)]
    ratio = np.log(pairs[0]) - np.log(pairs[1])
    half = float(scipy.stats.t.ppf(0.975, len(ratio) - 1) * ratio.std(ddof=1) / len(ratio) ** 0.5)
    middle = float(ratio.mean())
    trends = [trend([value for value, _ in sweep], first_moments(sweep), falls=True) for sweep in (residual, resnet)]
    falls = [tau < 0 and p < 0.05 for tau, _, p in trends]
    few = min(len(residual), len(resnet))
    return Agreement(
        "with residual connections deep networks see higher frequencies, and no decrease with depth is seen",
        f"the first radial moment at depth {deepest:.0f}, residual over plain,", float(np.exp(middle)),
        (float(np.exp(middle - half)), float(np.exp(middle + half))), "95 % over seeds, of the logarithm",
        decided(middle - half > 0 and not any(falls), few),
        "Kendall's τ of depth and first moment: " + ", ".join(
            f"{tau:.2f} {name} (one-sided p = {p:.2g})"
            for (tau, _, p), name in zip(trends, ("with residual connections", "for ResNet"), strict=True)
        )
        + f". From the smallest to the largest depth its median changes by {change(residual):+.0%} with residual "
        f"connections, of which depth 1 has none yet, by {change(plain):+.0%} without, by {change(resnet):+.0%} for "
        "ResNet." + too_few(few),
    )  # fmt: skip


def change(sweep: Sweep) -> float:
    """Of the median first moment, from the smallest to the largest value swept, in parts of the former."""
    values, moments = np.array([value for value, _ in sweep]), np.array(first_moments(sweep))
    return float(np.median(moments[values == values.max()]) / np.median(moments[values == values.min()]) - 1)


def first_moments(sweep: Sweep) -> list[float]:
    """Of each training."""
    return [radial_moment(np.array(cell["sensitivity"]), 1) for _, cell in sweep]


def decided(seen: bool, n: int) -> bool | None:
    """Not seen in few trainings says nothing."""
    return None if n < ENOUGH and not seen else seen


def told_p(p: float, n: int) -> str:
    """One-sided p, and whether so few trainings could have shown anything."""
    return f"One-sided p = {p:.2g}." + too_few(n)


def too_few(n: int) -> str:
    """A sentence, or nothing."""
    return f" {n} trainings are too few to tell." if n < ENOUGH else ""


def resemblances(sweep: Sweep) -> tuple[float, tuple[float, float], float]:
    """The trend, upwards, of Spearman's correlation of sensitivity and standard deviation of the data."""
    return trend([value for value, _ in sweep], [cell["resemblance"] for _, cell in sweep], falls=False)


def concentration(sweeps: Mapping[str, Sweep], over: str) -> Agreement:
    """Figure 2 by the same number as figure 3; the likeness to the data's spectrum beside it."""
    (sweep,) = sweeps.values()
    found, (tau, _, p) = falling(sweep, over), resemblances(sweep)
    return replace(
        found,
        reason=f"{found.reason} Spearman's correlation of the image with the standard deviation of the training "
        f"images, by which this figure was to be judged before these trainings were seen, has τ = {tau:.2f} with "
        f"{over} (one-sided p of a rise = {p:.2g}): it counts the weakest frequencies as much as the strongest.",
    )


def resemblance(sweeps: Mapping[str, Sweep], over: str) -> Agreement:
    """The images of sensitivity grow more like the standard deviation of the data; the weakest of the sweeps."""
    tau, interval, p = min(resemblances(sweep) for sweep in sweeps.values())
    n = min(len(sweep) for sweep in sweeps.values())
    likeness = [cell["resemblance"] for sweep in sweeps.values() for _, cell in sweep]
    moments = ", ".join(f"{falling(sweep, over).value:.2f} {model}" for model, sweep in sweeps.items())
    return Agreement(
        f"with {over} the image of sensitivity grows more like the standard deviation of the training images",
        f"Kendall's τ of {over} with Spearman's correlation of the two images", tau, interval, "95 %, bootstrap",
        decided(tau > 0 and p < 0.05, n),
        f"{told_p(p, n)} The weaker of both models. The correlation, which counts the weakest frequencies as much as "
        f"the strongest, is {min(likeness):.2f} to {max(likeness):.2f} throughout. Of the first radial moment τ is "
        f"{moments}.",
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
                **{name: cell[name] for name in ("accuracy", "resemblance", "seconds")},
                "value": value, "radius": radii, "sensitivity": curve,
                "first_moment": radial_moment(map_, 1), "second_moment": radial_moment(map_, 2),
            }
        )  # fmt: skip
    return rows


def maps(models: Sequence[str], over: str, judge: Judge) -> Callable[[Run], Findings]:
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
        return Findings(
            numbers, judge(sweeps, over), told(run.scale, sweeps), range(SETTINGS[run.scale].seeds), pictures
        )

    return measure


def curves(model: str, over: str) -> Callable[[Run], Findings]:
    """Figures 3 to 5: radial averages and their moments."""

    def measure(run: Run) -> Findings:
        sweep = cells(run, (depth_cases if over == "depth" else decay_cases)(run.scale, model))
        return Findings(
            {model: numbers_of(sweep)}, falling(sweep, over), told(run.scale, {model: sweep}),
            range(SETTINGS[run.scale].seeds), pictures_of(model, sweep, over),
        )  # fmt: skip

    return measure


def residual(run: Run) -> Findings:
    """Figure 6: with residual connections, and the same without."""
    models = ("residual ConvActually", "ConvActually", "ResNet")
    sweeps = {model: cells(run, depth_cases(run.scale, model)) for model in models}
    pictures = [p for model in models for p in pictures_of(model, sweeps[model], "depth")]
    decay = cells(run, decay_cases(run.scale, models[0]))
    pictures += pictures_of(models[0], decay, "weight decay")
    found = exception(sweeps["ConvActually"], sweeps["residual ConvActually"], sweeps["ResNet"])
    agreement = replace(
        found,
        reason=f"{found.reason} With weight decay τ is {falling(decay, 'weight decay').value:.2f} with residual "
        f"connections; the median changes by {change(decay):+.0%}.",
    )
    numbers = {model: numbers_of(sweep) for model, sweep in sweeps.items()}
    numbers["by weight decay"] = numbers_of(decay)
    setting = told(run.scale, sweeps) + (
        f" By weight decay: {len(decay)} trainings of depth {DECAY_DEPTH} in "
        f"{sum(cell['seconds'] for _, cell in decay):.0f} s."
    )
    return Findings(numbers, agreement, setting, range(SETTINGS[run.scale].seeds), pictures)


def pictures_of(model: str, sweep: Sweep, over: str) -> list[Picture]:
    """Radial averages and moments."""
    return [
        Picture(
            f"{model}-radial", f"{model}: radial averages by {over}, each divided by its sum, mean over seeds.",
            lambda: plot_curves(averages(sweep), over), "fig 3-6 (a)",
        ),
        Picture(
            f"{model}-moments", f"{model}: first and second radial moments over {over}, a dot each training.",
            lambda: plot_moments(numbers_of(sweep), over), "fig 3-6 (b)",
        ),
    ]  # fmt: skip


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
    maps(["ConvActually"], "depth", concentration), ("CIFAR-10",), True,
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
    residual, ("CIFAR-10",), True,
)  # fmt: skip
G7 = PaperFigure(
    "g7", "Sensitivity by weight decay, as images",
    SECTION + "fig 7: as λ increases the images of ConvActually (depth 4) and MyrtleCNN more and more closely resemble "
    "the statistics of the training images (fig 1c). Accuracies 52 to 67 % and 83 to 87 %.",
    maps(["ConvActually", "MyrtleCNN"], "weight decay", resemblance), ("CIFAR-10",), True,
)  # fmt: skip
