"""P fig 3 and 4: pure cosines and sums of cosines, by the report's sections 2 and 3."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from proofs_check.report import cosines, sums

__all__ = ["P3", "P4"]


def pure(run: Run) -> Findings:
    """Theory over simulation for both networks, and the delay √m of the CNN."""
    size = 8 if run.scale == "tiny" else 32
    found = cosines.compute(size)
    numbers = found.numbers()
    gaps = list(numbers["descent_minus_closed_form"].values())
    late = found.delays / np.sqrt(found.m) - 1
    agreement = Agreement(
        "the closed form lies on the trained networks, and the CNN is late by √m",
        "the largest |descent − closed form| / s",
        float(max(gaps)),
        (float(min(gaps)), float(max(gaps))),
        "of the two networks",
        max(gaps) < 0.02 and bool(np.abs(late).max() < 0.01),
        f"The delays are √m within {np.abs(late).max():.1e}; √m is 1 at every self-conjugate frequency, not at (0, 0) "
        "alone as the paper has it.",
    )
    setting = (
        f"K = 4 on {size} × {size} pixels, frequencies and amplitudes of the paper, balanced start, "
        f"{cosines.N_UPDATES} updates at learning rate {found.learning_rate:.3g}, √P times that for the fully "
        "connected network. The paper's image size and learning rate are not known: the rate is what learns the last "
        "mode in its number of updates."
    )
    return Findings(numbers, agreement, setting, [0], cosines.section([found]).pictures)


def mixed(run: Run) -> Findings:
    """The winners, and the clock over one-sample SGD."""
    size = 12 if run.scale == "tiny" else 32
    results = [sums.compute(size, rng=seed) for seed in range(2 if run.scale == "tiny" else 10)]
    numbers = [result.numbers() for result in results]
    shares = [max(found) / sum(found) for result in results for found in result.shares["sgd"]]
    agreement = Agreement(
        "the kernel picks up the dominant frequency of each mode, the one that theory names",
        "the winner's share of |κ|² within its mode, after one-sample SGD, in the median",
        float(np.median(shares)),
        (float(min(shares)), float(max(shares))),
        "over runs and modes",
        all(result.as_predicted for result in results) and float(np.median(shares)) > 0.5,
    )
    setting = (
        f"two classes on {size} × {size} pixels, {sums.N_UPDATES} updates of one sample, {len(results)} runs. The "
        "paper prints neither frequencies nor amplitudes: these are ours."
    )
    return Findings(
        {"runs": numbers}, agreement, setting, range(len(results)), sums.section(results[0]).pictures
    )  # fmt: skip


P3 = PaperFigure(
    "p3",
    "Pure cosines: theory over simulation",
    "Pinson et al., fig 3: with four classes of one cosine each the theoretical predictions exactly match the "
    "experimental trajectories of the effective singular values; with a learning rate √P larger the fully connected "
    "network learns the constant image at the same time as the CNN, and the other modes √2 earlier.",
    pure,
)
P4 = PaperFigure(
    "p4",
    "Two classes, each a sum of cosines",
    "Pinson et al., fig 4: the kernel of the linear CNN only picks up the most dominant frequencies of each singular "
    "vector; it is a filter of the dominant frequencies, not necessarily a low-pass filter.",
    mixed,
)
