"""P fig 6: deep networks, linear and not, discover the modes in order; recorded by the probe's callback."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from benchmarks.papers.learned import ordered
from benchmarks.peers import machine
from lineardyn import convert_learning_rate
from lineardyn.plots import plot_loss, plot_mode_curves
from proofs_check.report.cosines import diagonal
from proofs_check.report.datasets import Dataset, load_dataset
from proofs_check.report.options import ReportOptions
from proofs_check.report.section import Picture
from proofs_check.report.times import crossing_times, dense_early

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["P6", "verdict"]

Floats = NDArray[np.float64]

NETWORKS = ("linear", "ReLU")


@dataclass(frozen=True)
class Setting:
    """All that the trainings of one scale share."""

    size: int | None
    channels: int
    batch_size: int
    n_steps: int
    n_records: int
    n_recorded: int
    n_sensitivity: int
    learning_rate: float
    gain: float
    runs: int


SETTINGS = {
    "tiny": Setting(8, 4, 8, 400, 11, 400, 1, 0.2, 0.7, 1),
    # s falls with the image's side: the rate is larger by as much. All training images are recorded on: modes of fewer
    # are not those that are learned
    "cpu": Setting(8, 16, 32, 12_000, 31, 50_000, 1, 0.2, 0.5, 3),
    "full": Setting(None, 16, 8, 156_250, 313, 5000, 64, 0.05, 0.5, 3),
}
"""Learning rate and factor on Glorot's values are ours: the paper's are not known."""


def data_at(scale: str) -> Dataset:
    """CIFAR-10 or rotated patches, the training mean subtracted."""
    name = "patches" if scale == "tiny" else "cifar10"
    return load_dataset(name, ReportOptions(data=(name,), size=SETTINGS[scale].size))


def trained(setting: Setting, network: str, seed: int, data: Dataset, checkpoint: Path | None = None) -> dict[str, Any]:
    """One training, its mean squared error averaged over outputs as in the paper: steps, B's diagonal, losses.

    With ``checkpoint``, a run that was stopped goes on after its last record, to the same weights.
    """
    import torch

    from benchmarks.papers.models import DeepLinear, DeepReLU
    from benchmarks.papers.training import read_checkpoint, write_checkpoint
    from proofs_check.probes import track

    begin = time.process_time()
    (channels, size, _), outputs = data.images.shape[1:], data.targets.shape[1]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        make = DeepLinear if network == "linear" else DeepReLU
        model = make(setting.channels, size=size, inputs=channels, outputs=outputs, gain=setting.gain).to(device)
    few = slice(0, setting.n_recorded)
    tracker = track(
        model, data.images[few], data.targets[few], n_sensitivity=setting.n_sensitivity,
        learning_rate=convert_learning_rate(setting.learning_rate, n_outputs=outputs, framework="pytorch"),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=setting.learning_rate)
    batches = np.random.default_rng(seed).integers(0, len(data.images), (setting.n_steps, setting.batch_size))
    x, y = (torch.as_tensor(part, dtype=torch.float32, device=device) for part in (data.images, data.targets))
    kept = read_checkpoint(checkpoint, device)
    if kept is not None:
        model.load_state_dict(kept["model"])
        tracker.load_state_dict(kept["tracker"])
    due = set(np.rint(dense_early(setting.n_steps, setting.n_records)).astype(int).tolist())
    first = tracker.steps[-1] if tracker.steps else 0
    for step in range(first, setting.n_steps):
        if step in due and step not in tracker.steps:
            tracker(step)
            write_checkpoint(checkpoint, {"model": model.state_dict(), "tracker": tracker.state_dict()})
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x[batches[step]]), y[batches[step]]).backward()
        optimizer.step()
    tracker(setting.n_steps)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    path = tracker.trajectory()
    # the mean of all images was subtracted: of those recorded a little is left, a K-th mode that is no distinction
    alive = ~path.moments.modes().null & (np.arange(outputs) < outputs - 1)
    return {
        "steps": tracker.steps,
        "singular_values": path.moments.modes().s[alive].tolist(),
        "diagonal": diagonal(path)[:, alive].tolist(),
        "loss": path.loss.tolist(),
        "seconds": time.process_time() - begin,
    }


def verdict(found: dict[str, list[dict[str, Any]]]) -> Agreement:
    """Order in every run of both networks, and the non-linear one later at the modes that both learn."""
    s = np.array(found["linear"][0]["singular_values"])
    times = {name: np.stack([half_times(cell) for cell in found[name]]) for name in NETWORKS}
    orders = [bool(x) for name in NETWORKS for x in ordered(times[name], s)]
    ratios = times["ReLU"] / times["linear"]
    known = ratios[np.isfinite(ratios)]
    runs = len(ratios)
    late = [bool((row[np.isfinite(row)] > 1).all() and np.isfinite(row).any()) for row in ratios]
    middle, low, high = (
        (float(f(known)) for f in (np.median, np.min, np.max)) if len(known) else (np.nan, np.nan, np.nan)
    )
    holds = all(late) and all(orders)
    return Agreement(
        "both networks discover the modes in order, the non-linear one later",
        "the time to half of s, non-linear over linear, in the median", middle, (low, high), "over runs and modes",
        holds if runs >= 3 else (holds or None),
        f"In order: {sum(orders)} of {len(orders)} runs; later at every mode that both learn: {sum(late)} of {runs}. "
        + by_rank(times, s) + ("" if all(orders) else leading(times, s)),
    )  # fmt: skip


def by_rank(times: dict[str, Floats], s: Floats) -> str:
    """Kendall's τ of s and the time of discovery, never counting as latest: weaker than the order of every pair."""
    told, seen, count = [], 0, 0
    for name, rows in times.items():
        filled = [row for row in np.where(np.isfinite(rows), rows, np.inf) if len(np.unique(row)) > 1]
        found = [scipy.stats.kendalltau(s, row, alternative="less") for row in filled]
        seen += sum(bool(f.pvalue < 0.05) for f in found)
        count += len(rows)
        if found:
            told.append(f"{np.median([f.statistic for f in found]):.2f} {name}")
    if not told:
        return "No mode is learned."
    return (
        f"By rank (Kendall's one-sided p < 0.05; weaker, and not the criterion) in order: {seen} of {count} runs, "
        f"median τ {', '.join(told)}."
    )


def leading(times: dict[str, Floats], s: Floats) -> str:
    """How many of the strongest modes are in order in every run, and why a start can change the order."""
    rows = np.concatenate(list(times.values()))
    m = max(m for m in range(1, len(s) + 1) if ordered(rows[:, :m], s[:m]).all())
    return (
        f" The strongest {m} modes are in order in every run, the next one (s = {s[m] / s[0]:.2f} s₁) is not. The time "
        "of a mode goes with its part in the random start, for two layers as a logarithm, for these six as the power "
        "−2/3: a start can change the order."
    )


def half_times(cell: dict[str, Any]) -> Floats:
    """Batches until half of s, NaN where never."""
    return crossing_times(np.array(cell["steps"], float), np.array(cell["diagonal"]), np.array(cell["singular_values"]))


def deep(run: Run) -> Findings:
    """Train what is not yet kept, then compare."""
    setting = SETTINGS[run.scale]
    keys = {name: [f"{name}, seed {seed}" for seed in range(setting.runs)] for name in NETWORKS}
    found = {name: trainings(run, setting, name, row) for name, row in keys.items()}
    pictures = [
        Picture(
            f"deep-{name}", f"{name} network: diagonal of B over batches; band: 10 to 90 % of the runs.",
            lambda name=name: curves(found[name]), "fig 6 (b), (c)",  # type: ignore[misc]
        )
        for name in NETWORKS
    ]  # fmt: skip
    pictures.append(Picture("deep-loss", "Loss on the recorded images.", lambda: losses(found), "fig 6 (a)"))
    side = setting.size or 32
    seconds = sum(cell["seconds"] for row in found.values() for cell in row)
    told = (
        f"{'patches of a photograph' if run.scale == 'tiny' else 'CIFAR-10'}, {side} × {side} pixels, four "
        f"convolutions of {setting.channels} "
        f"channels, {setting.n_steps:,} batches of {setting.batch_size}, SGD on the mean squared error at rate "
        f"{setting.learning_rate:g}, Glorot normal times {setting.gain:g}, kernels of 3 × 3, runs: {setting.runs}; "
        "rate, factor and kernel size of the paper are not known; the first two were chosen in trial runs of one seed. "
        f"Recorded on {setting.n_recorded:,} training images; {seconds:.0f} s of processor time."
    )
    return Findings(found, verdict(found), told, range(setting.runs), pictures)


def trainings(run: Run, setting: Setting, network: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """All runs of one network, from its own file as far as they are kept there."""
    record = machine.Record(run.kept(f"deep-{network}"), asdict(setting))
    data = None if all(key in record for key in keys) else data_at(run.scale)
    for seed, key in enumerate(keys):
        if key not in record:
            assert data is not None
            checkpoint = None if run.folder is None else run.folder / f".deep-{network}-{seed}.pt"
            record.keep(key, trained(setting, network, seed, data, checkpoint))
            run.say(f"{key}: loss {record[key]['loss'][-1]:.4f}")
    return [record[key] for key in keys]


def curves(cells: Sequence[dict[str, Any]]) -> Figure:
    """Of one network."""
    steps = np.array(cells[0]["steps"], float)
    stack = np.stack([np.array(cell["diagonal"]) for cell in cells])
    figure = plot_mode_curves(steps, stack, s=np.array(cells[0]["singular_values"]), xlabel="batches")
    figure.axes[0].set_ylabel("B(t)")
    return figure


def losses(found: dict[str, list[dict[str, Any]]]) -> Figure:
    """Of both."""
    steps = np.array(found["linear"][0]["steps"], float)
    return plot_loss(
        steps, {name: np.array([cell["loss"] for cell in row]) for name, row in found.items()}, xlabel="batches"
    )


P6 = PaperFigure(
    "p6",
    "Deep networks, linear and not",
    "Pinson et al., fig 6: deep linear and non-linear CNNs on CIFAR-10 both discover the statistical structure with "
    "ordered, stage-like transitions; the trajectories of the non-linear network are delayed with respect to the "
    "linear one; it has a lower loss at the same effective singular values.",
    deep,
    ("CIFAR-10",),
    True,
)
