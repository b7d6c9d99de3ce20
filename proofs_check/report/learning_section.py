"""Section 4 drawn: learning curves, alignment, balance, kernels, spectra [Pinson et al. fig 5, S.1, S.2, S.5]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.plots import (
    mark_times,
    plot_balance,
    plot_frequency_growth,
    plot_kernel_over_modes,
    plot_kernels,
    plot_learning_times,
    plot_loss,
    plot_mode_curves,
    plot_off_diagonal,
)
from proofs_check.report.learning import TOP, Learning, dominant, in_order, top_share
from proofs_check.report.section import Picture, Section, Table
from proofs_check.report.times import median_times

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["section"]

Floats = NDArray[np.float64]
NAMES = {"cnn": "CNN", "fcnn": "FCNN"}
XLABEL = "samples seen (thousands)"
_N_MARKS = 26


def section(result: Learning) -> Section:
    """The numbers as a part of the report."""
    data = result.dataset
    return Section(
        id=f"{data.name}-learning",
        title=f"4 · {data.title}: how the networks learn",
        paragraphs=[_setting(result), _order(result), _sparsity(result), *_generalisation(result)],
        numbers=result.numbers(),
        pictures=_pictures(result),
        tables=[_table(result)],
    )


def _setting(result: Learning) -> str:
    p, runs = result.plan, len(result.flow["cnn"])
    hidden = p.networks["fcnn"].widths[0]
    return (
        f"{runs} runs of each network from small random weights (standard deviation {p.scale:.2g}), each integrated as "
        f"gradient flow and trained by one-sample SGD, {p.n_updates:,} updates at learning rate {p.learning_rate:.2g} "
        f"({100 * p.rate_share:.2g} % of what one-sample steps bear at the end of learning). CNN: one full-size "
        f"circular kernel, then a dense layer. FCNN: {hidden} hidden units, learning rate √P = {p.speed['fcnn']:.0f} "
        "times larger, as in the paper. The flow's time is shown as samples, t / learning rate. Lines are medians over "
        "runs, bands 10 to 90 %. The paper's learning rates and initial scales are not known; these are chosen from "
        "the data, and given in numbers.json."
    )


def _order(result: Learning) -> str:
    cnn, fcnn = result.times("cnn"), result.times("fcnn")
    runs, delays = len(cnn), result.delays
    found = np.isfinite(delays)
    text = (
        f"Discovery is ordered: the modes reach half of their singular value in the order of s in {in_order(cnn)} of "
        f"{runs} runs of the CNN and {in_order(fcnn)} of {runs} of the FCNN. "
    )
    if found.any():
        text += (
            "The CNN is later than the FCNN by a factor of "
            + ", ".join(f"{d:.2f} (mode {a + 1})" for a, d in enumerate(delays) if np.isfinite(d))
            + ": a mode spread over many frequencies drives each of them less than a pure cosine would (factor √2, "
            "or 1)."
        )
    shift = max(_shift(result, key) for key in NAMES)
    text += (
        f" Trained networks reach the same marks within {100 * shift:.0f} % of the flow's samples."
        if np.isfinite(shift)
        else ""
    )
    text += _below(result)
    missing = [str(a + 1) for a in range(len(delays)) if not np.isfinite(delays[a])]
    if missing:
        text += f" Mode {', '.join(missing)} is not learned within the time shown (in the median run)."
    return text


def _below(result: Learning) -> str:
    """Colour images: one hidden channel cannot follow every mode in every channel."""
    final = np.median(result.stack("cnn", "diagonal")[:, -1], axis=0) / result.s
    if result.dataset.images.shape[1] == 1 or final.min() > 0.95:
        return ""
    return (
        f" The CNN stops at {100 * final.min():.0f} to {100 * final.max():.0f} % of the singular values: with one "
        f"hidden channel its predictor has rank one at each frequency, too little for {result.dataset.images.shape[1]} "
        "channels of colour."
    )


def _shift(result: Learning, key: str) -> float:
    """Largest relative difference of the times of training and flow."""
    flow, trained = median_times(result.times(key)), median_times(result.times(key, trained=True))
    known = np.isfinite(flow) & np.isfinite(trained)
    return float(np.abs(trained[known] / flow[known] - 1).max()) if known.any() else np.nan


def _sparsity(result: Learning) -> str:
    share, q = result.kernel_share(), [top_share(q) for q in result.q]
    return (
        f"The kernel is sparse: when the last mode is learned, the strongest {100 * TOP:.0f} % of the frequencies hold "
        f"{100 * share['cnn']:.0f} % of its power ({100 * share['cnn_end']:.0f} % at the end of the run). In the "
        "FCNN's first layer they "
        f"hold {100 * share['fcnn']:.0f} %, in the modes themselves {100 * min(q):.0f} to {100 * max(q):.0f} %."
    )


def _generalisation(result: Learning) -> list[str]:
    losses = result.test_losses()
    if losses is None:
        return []
    parts = []
    for key, name in NAMES.items():
        at = losses[key]
        rise = at["last"] / at["best"] - 1
        rises = (
            f", and rises by {100 * rise:.1f} % from there: it overfits"
            if rise > 0.01
            else " and does not rise by 1 % from there"
        )
        parts.append(
            f"the {name}'s test loss is lowest ({at['best']:.3f}) after {_count(at['best_at_samples'])} samples{rises}"
        )
    return ["; ".join(parts)[0].upper() + "; ".join(parts)[1:] + "."]


def _count(samples: float) -> str:
    return "–" if not np.isfinite(samples) else f"{samples:,.0f}"


def _table(result: Learning) -> Table:
    flow = {k: median_times(result.times(k)) for k in NAMES}
    trained = {k: median_times(result.times(k, trained=True)) for k in NAMES}
    rows = [
        [str(a + 1), f"{result.s[a]:.4g}", _count(flow["cnn"][a]), _count(trained["cnn"][a]), _count(flow["fcnn"][a]),
         _count(trained["fcnn"][a]), f"{result.delays[a]:.2f}" if np.isfinite(result.delays[a]) else "–"]
        for a in range(len(result.s))
    ]  # fmt: skip
    header = ("mode", "s", "CNN, flow", "CNN, SGD", "FCNN, flow", "FCNN, SGD", "CNN / FCNN")
    return Table(header, rows, "Samples until half of s, median over runs.")


def _pictures(result: Learning) -> list[Picture]:
    """What to see, in the order of the paper's fig 5; kernels only where a mode was learned."""
    pictures = [*_learning_pictures(result), *_weights_pictures(result)]
    return pictures if result.discovered() else [p for p in pictures if not p.name.endswith(("-kernel", "-spectra"))]


def _learning_pictures(result: Learning) -> list[Picture]:
    name = result.dataset.name
    return [
        Picture(
            f"{name}-cnn",
            "CNN: diagonal of B(t). Stage by stage, each mode grows from 0 towards its singular value (dashed).",
            lambda: _diagonal(result, "cnn"),
            "fig 5 (a), (b)",
        ),
        Picture(
            f"{name}-fcnn",
            "FCNN on the same axis: the same stages.",
            lambda: _diagonal(result, "fcnn"),
            "fig 5 (a), (b)",
        ),
        Picture(
            f"{name}-times",
            "Samples until half of s: every run a pale dot, the median a full one, numbered by mode."
            + _who_is_later(result),
            lambda: _times(result),
            "section 3, fig 5",
        ),
        Picture(f"{name}-loss", _loss_caption(result), lambda: _loss(result), "fig 5 (c), (d)"),
        Picture(
            f"{name}-off-diagonal",
            "Alignment: the off-diagonal part of B(t), relative to s₁. It peaks while modes are learned (dotted lines: "
            "half of s, CNN).",
            lambda: _off_diagonal(result),
            "fig S.1",
        ),
    ]


def _weights_pictures(result: Learning) -> list[Picture]:
    name = result.dataset.name
    return [
        Picture(
            f"{name}-balance",
            "Balance of the two layers at the strongest frequency of each mode. From random values the ratio goes to 1 "
            "before the mode is learned (dotted lines).",
            lambda: _balance(result),
            "fig S.2",
        ),
        Picture(
            f"{name}-kernel",
            "The kernel of one run when modes are learned, and its spectrum in the frequency plane (DC in the middle, "
            "square root of |κ_f|): few frequencies at first, others join as finer modes are learned.",
            lambda: _kernels(result),
            "fig 5 (f), (h)",
        ),
        Picture(
            f"{name}-growth",
            "All |κ_f| of that run (grey), and in colour the strongest frequencies of each mode. A coloured curve that "
            "rises in steps is used again by later modes.",
            lambda: _growth(result),
            "fig 5 (i), (j)",
        ),
        Picture(
            f"{name}-spectra",
            "Dots: spectra of the modes, |q_αf|, sorted. Crosses: the kernel's frequencies, sized by |κ_f| (mean over "
            "runs), at the times when modes are learned (90 % of what they reach), over the modes learned by then. "
            "Large crosses sit on high dots: the kernel is a sparse mixture of the dominant frequencies.",
            lambda: _spectra(result),
            "fig S.5",
            wide=True,
        ),
    ]


def _who_is_later(result: Learning) -> str:
    known = result.delays[np.isfinite(result.delays)]
    return " The CNN is the later one at every mode." if len(known) and (known > 1).all() else ""


def _thousands(x: Floats) -> Floats:
    return x / 1000


def _marks(x: Floats) -> NDArray[np.int64]:
    wanted = x[-1] * np.linspace(0, 1, _N_MARKS) ** 1.5
    return np.unique(np.searchsorted(x, wanted).clip(0, len(x) - 1))


def _diagonal(result: Learning, key: str) -> Figure:
    x = result.trained_x(key)
    at = _marks(x)
    figure = plot_mode_curves(
        _thousands(result.x), result.stack(key, "diagonal"), s=result.s,
        points=(_thousands(x[at]), result.stack(key, "diagonal", trained=True)[:, at]),
        labels=("gradient flow", "one-sample SGD"), xlabel=XLABEL,
    )  # fmt: skip
    figure.axes[0].set_ylabel(f"B(t), {NAMES[key]}")
    return figure


def _times(result: Learning) -> Figure:
    return plot_learning_times(
        {NAMES[k]: _thousands(result.times(k)) for k in ("fcnn", "cnn")}, xlabel=XLABEL, n_modes=len(result.s)
    )


def _loss_caption(result: Learning) -> str:
    text = "Loss of both networks: flow (lines) and SGD (circles)."
    return text + (" Dashed: on the test images." if result.dataset.test is not None else "")


def _loss(result: Learning) -> Figure:
    curves, points = {}, {}
    for key, name in NAMES.items():
        test = result.dataset.test is not None
        curves[f"{name}, train" if test else name] = result.stack(key, "loss")
        if test:
            curves[f"{name}, test"] = result.stack(key, "test_loss")
        x = result.trained_x(key)
        at = _marks(x)
        points[f"{name}, SGD"] = (_thousands(x[at]), result.stack(key, "loss", trained=True)[:, at])
    return plot_loss(_thousands(result.x), curves, points=points, xlabel=XLABEL)


def _off_diagonal(result: Learning) -> Figure:
    return plot_off_diagonal(
        _thousands(result.x),
        {name: result.stack(key, "off_diagonal") for key, name in NAMES.items()},
        times=_thousands(median_times(result.times("cnn"))),
        xlabel=XLABEL,
    )


def _balance(result: Learning) -> Figure:
    chosen: dict[tuple[int, int], int] = {}
    for a in range(len(result.s)):
        fresh = [f for f in dominant(result.q[a], 6) if f not in chosen]
        chosen.update(dict.fromkeys(fresh[:1], a))
    rows = [u for u, _ in chosen]
    columns = [v for _, v in chosen]
    ratios = np.stack([run.balance[:, rows, columns] for run in result.flow["cnn"] if run.balance is not None])
    figure = plot_balance(_thousands(result.x), ratios, list(chosen.values()), n_modes=len(result.s), xlabel=XLABEL)
    mark_times(_thousands(median_times(result.times("cnn"))), ax=figure.axes[0], n=len(result.s))
    return figure


def _stages(result: Learning) -> list[tuple[float, list[int]]]:
    """At most four stages, the last one among them."""
    stages = result.discovered()
    if len(stages) <= 4:
        return stages
    return [stages[i] for i in np.unique(np.linspace(0, len(stages) - 1, 4).round().astype(int))]


def _kernels(result: Learning) -> Figure:
    run = result.flow["cnn"][0]
    indices = [int(np.argmin(np.abs(result.x - t))) for t, _ in _stages(result)]
    titles = [f"{_count(result.x[i])}\nsamples" for i in indices]
    assert run.kernels is not None  # kept for flows of the CNN
    kernels = np.stack([run.kernels[i] for i in indices])
    return plot_kernels(kernels, np.stack([run.kernel[i] for i in indices]), titles)


def _growth(result: Learning) -> Figure:
    run = result.flow["cnn"][0]
    winners: dict[tuple[int, int], int] = {}
    for a in range(len(result.s)):
        fresh = [f for f in dominant(result.q[a], 8) if f not in winners]
        winners.update(dict.fromkeys(fresh[: 2 if len(result.s) <= 6 else 1], a))
    figure = plot_frequency_growth(
        _thousands(result.x), run.kernel, list(winners.items()), n_modes=len(result.s), xlabel=XLABEL
    )
    mark_times(_thousands(result.times("cnn")[0]), ax=figure.axes[0], n=len(result.s))
    return figure


def _spectra(result: Learning) -> Figure:
    """The first modes only where there are many: a phone shows five columns."""
    shown, stages = result.q[:5], _stages(result)
    kernels = np.stack([result.kernel_at(t) for t, _ in stages])
    discovered = [[a for a in modes if a < len(shown)] for _, modes in stages]
    titles = [f"{_count(t)}\nsamples" for t, _ in stages]
    return plot_kernel_over_modes(kernels, shown, discovered, titles, n_modes=len(result.s))
