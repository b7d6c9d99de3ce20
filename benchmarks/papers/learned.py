"""P fig 5, S.1, S.2 and S.5: how both networks learn from small random weights, by the report's section 4."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from benchmarks.papers.datasets import cifar4, cosine_sums, geometric
from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from lineardyn.fourier import half_spectrum
from proofs_check.report import learning, learning_section
from proofs_check.report.datasets import Dataset
from proofs_check.report.learning import Learning, dominant
from proofs_check.report.section import Picture

__all__ = ["P5", "S1", "S2", "S5"]

Floats = NDArray[np.float64]

DATA: dict[str, Callable[[str], Dataset]] = {"shapes": geometric, "cifar4": cifar4, "sums": cosine_sums}
RUNS = {"tiny": 3, "cpu": 10, "full": 10}
APART = 1.1
"""Modes whose singular values differ by less than this factor are learned together."""
LONGER = 2
"""Sums of cosines are watched until well after the last mode is learned: what is transient has to be seen to vanish."""


@functools.lru_cache(maxsize=3)
def both_networks(name: str, scale: str) -> Learning:
    """Section 4 on one data set; p5, s1, s2 and s5 share it."""
    data = DATA[name](scale)
    moments = learning.moments_of(data)
    runs = 3 if (name, scale) == ("cifar4", "cpu") else RUNS[scale]
    plan = learning.plan(moments, rng=0)
    if name == "sums":
        plan = replace(plan, t_end=LONGER * plan.t_end, n_updates=LONGER * plan.n_updates)
    return learning.compute(data, moments, plan, runs=runs, seed=0)


def setting_of(*results: Learning) -> str:
    """In a sentence; the rest stands in the numbers."""
    parts = [
        f"{r.dataset.title}, {' × '.join(map(str, r.dataset.images.shape[2:]))} pixels, {len(r.flow['cnn'])} runs of "
        f"{r.plan.n_updates:,} updates"
        for r in results
    ]
    return (
        "; ".join(parts) + ". Learning rates and initial scales of the paper are not known; these are chosen from the "
        "data so that all modes are learned in the run."
    )


def pictures_of(result: Learning, *endings: str) -> list[Picture]:
    """Those of section 4 whose names end so, as far as there are."""
    found = learning_section.section(result).pictures
    return [p for ending in endings for p in found if p.name == f"{result.dataset.name}-{ending}"]


def ordered(times: Floats, s: Floats) -> NDArray[np.bool_]:
    """Of each run: whether of all modes that are apart the one with the larger s is learned first."""
    filled = np.where(np.isfinite(times), times, np.inf)
    a, b = np.nonzero(s[:, None] > APART * s)
    found: NDArray[np.bool_] = (filled[:, a] <= filled[:, b]).all(axis=1)
    return found


def discovery(run: Run) -> Findings:
    """Both data sets: the modes are learned in the order of their singular values."""
    results = [both_networks(name, run.scale) for name in ("shapes", "cifar4")]
    found = np.concatenate([ordered(r.times(key), r.s) for r in results for key in learning.NETWORKS])
    interval = scipy.stats.binomtest(int(found.sum()), len(found)).proportion_ci()
    agreement = Agreement(
        "both networks discover the modes one after another, the larger singular value first",
        "the share of runs in that order",
        float(found.mean()),
        (float(interval.low), float(interval.high)),
        "95 %, exact binomial",
        float(interval.low) > 0.5,
        "".join(overfitting(r) for r in results),
    )
    pictures = [
        replace(p, caption=f"{r.dataset.title}. {p.caption}")
        for r in results
        for p in pictures_of(r, "cnn", "fcnn", "loss", "kernel", "growth")
    ]
    numbers = {r.dataset.name: r.numbers() for r in results}
    return Findings(numbers, agreement, setting_of(*results), [0], pictures)


def overfitting(result: Learning) -> str:
    """How far the test loss of each network has risen again at the end, where there are test images."""
    losses = result.test_losses()
    if losses is None:
        return ""
    rises = [f"{losses[key]['last'] / losses[key]['best'] - 1:.1%}" for key in learning.NETWORKS]
    return (
        f"{result.dataset.title}: at the end the test loss is {rises[0]} above its smallest value for the CNN, "
        f"{rises[1]} for the fully connected network."
    )


def alignment(run: Run) -> Findings:
    """Off-diagonal elements of B(t): transient."""
    result = both_networks("sums", run.scale)
    curves = result.stack("cnn", "off_diagonal")
    peaks, ends = curves.max(axis=1), curves[:, -1]
    left = ends / peaks
    agreement = Agreement(
        "off-diagonal elements of B(t) stay small, peak and vanish",
        "what is left of the peak at the end, in the median run",
        float(np.median(left)),
        (float(left.min()), float(left.max())),
        "over runs",
        float(np.median(left)) < 0.1 and float(peaks.max()) < 0.5,
        f"The largest peak is {peaks.max():.2g} of s₁.",
    )
    return Findings(
        {**result.numbers(), "off_diagonal_peaks": peaks, "off_diagonal_ends": ends}, agreement, setting_of(result),
        [0], pictures_of(result, "cnn", "off-diagonal"),
    )  # fmt: skip


def balancedness(run: Run) -> Findings:
    """|A_f| / |κ_f| at each mode's strongest frequency, when the mode is learned."""
    result = both_networks("sums", run.scale)
    away = []
    for path, times in zip(result.flow["cnn"], result.times("cnn"), strict=True):
        assert path.balance is not None  # kept for flows of the CNN
        for a, time in enumerate(times):
            (f,) = dominant(result.q[a], 1)
            if np.isfinite(time):
                away.append(abs(float(np.interp(time, result.x, path.balance[:, f[0], f[1]])) - 1))
    worst = max(away, default=np.inf)
    agreement = Agreement(
        "the layers become balanced before each mode is learned",
        "| |A_f| / |κ_f| − 1 | when a mode has half of its singular value, in the median",
        float(np.median(away)),
        (min(away), worst),
        "over runs and modes",
        worst < 0.05,
    )
    return Findings(
        {**result.numbers(), "balance_minus_one": away}, agreement, setting_of(result), [0],
        pictures_of(result, "cnn", "balance"),
    )  # fmt: skip


def correlation(kernel: Floats, q: Floats, modes: Sequence[int]) -> float:
    """Spearman's, of |κ_f| and the largest |q_αf| of the modes learned, over one frequency of each pair."""
    half = half_spectrum((kernel.shape[0], kernel.shape[1])).indices
    largest = q[list(modes)].max(axis=0)
    return float(scipy.stats.spearmanr(kernel.ravel()[half], largest.ravel()[half]).statistic)


def mean_correlation(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval over runs, on the scale of Fisher's ``z = artanh r``, on which r is near normal.

    >>> [round(x, 3) for x in mean_correlation([0.5, 0.5, 0.5])]
    [0.5, 0.5, 0.5]
    """
    z = np.arctanh(np.clip(values, -1 + 1e-12, 1 - 1e-12))
    half = scipy.stats.t.ppf(0.975, len(z) - 1) * z.std(ddof=1) / len(z) ** 0.5
    return float(np.tanh(z.mean())), float(np.tanh(z.mean() - half)), float(np.tanh(z.mean() + half))


def spectra(run: Run) -> Findings:
    """The kernel's spectrum over the modes' at the times when modes are learned."""
    result = both_networks("shapes", run.scale)
    stages = result.discovered()
    rows = [
        [correlation(path.kernel[int(np.argmin(np.abs(result.x - t)))], result.q, modes) for path in result.flow["cnn"]]
        for t, modes in stages
    ]
    middle, low, high = mean_correlation(rows[-1])
    share = result.kernel_share()["cnn"]
    agreement = Agreement(
        "the kernel's frequencies are the dominant ones of the modes learned so far",
        "Spearman's correlation of |κ_f| with the largest |q_αf|, when the last mode is learned",
        middle,
        (low, high),
        "95 % over runs, of Fisher's z",
        low > 0,
        f"The strongest 5 % of the frequencies hold {100 * share:.0f} % of the kernel's power.",
    )
    numbers = {**result.numbers(), "samples": [t for t, _ in stages], "correlations": rows}
    return Findings(numbers, agreement, setting_of(result), [0], pictures_of(result, "kernel", "spectra"))


P5 = PaperFigure(
    "p5",
    "How linear networks learn shapes and CIFAR-4",
    "Pinson et al., fig 5: in both networks the modes are discovered with rapid, successive transitions (shapes: at "
    "about 2000, 9000, 16000 and 55000 samples); the CNN has an additional delay, but for the constant mode of the "
    "shapes; on CIFAR-4 the fully connected network overfits and the CNN does not; the kernel is a sparse mixture of "
    "the dominant frequencies of the modes discovered so far.",
    discovery,
    ("CIFAR-10",),
)
S1 = PaperFigure(
    "s1",
    "Off-diagonal elements of B(t)",
    "Pinson et al., fig S.1: from small random weights, on sums of cosines, the diagonal follows sigmoidal, stage-like "
    "trajectories; the off-diagonal elements remain relatively small and exhibit transient peaks before becoming 0.",
    alignment,
)
S2 = PaperFigure(
    "s2",
    "Balance of the two layers",
    "Pinson et al., fig S.2: the elements of the first mode become balanced very quickly; those of the second mode "
    "next, after the first mode has been learned.",
    balancedness,
)
S5 = PaperFigure(
    "s5",
    "The kernel's spectrum over the spectra of the modes",
    "Pinson et al., fig S.5: at the times when modes are discovered (2000, 9000, 16000 and 55000 samples, geometric "
    "shapes) the kernel's spectrum is much sparser than those of the singular vectors, and its frequencies are their "
    "dominant ones.",
    spectra,
)
