"""Section 4: how the CNN and the fully connected network learn the user's data [Pinson et al. fig 5, S.1, S.2, S.5].

Numbers only; :mod:`proofs_check.report.learning_section` draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import LinearCNN, LinearFCN, SecondMoments, max_learning_rate
from lineardyn.fourier import half_spectrum
from proofs_check.report.datasets import Dataset
from proofs_check.report.runs import Curves, Job, Network, horizon, in_threads, run_job
from proofs_check.report.times import crossing_times, dense_early, median_times

__all__ = ["Learning", "Moments", "Plan", "compute", "moments_of", "plan", "top_share"]

Floats = NDArray[np.float64]

START = 0.01
"""Standard deviation of the start in units of the smallest final |κ_f| of an uncoupled mode."""
RATE = 0.015
"""One-sample learning rate in units of the full-batch limit 2/λ_max times the share of the power in one mode."""
MAX_UPDATES = 100_000
"""P fig 5 has 60,000 (shapes) and 100,000 (CIFAR-4)."""
HIDDEN = 16
N_TIMES = 161
TOP = 0.05
NETWORKS = ("cnn", "fcnn")


@dataclass(frozen=True)
class Moments:
    """Second moments of a data set: exact ones, the images one by one for SGD, and those of the test split."""

    train: SecondMoments
    samples: SecondMoments
    test: SecondMoments | None


@dataclass(frozen=True)
class Plan:
    """What is run: networks, starts' scale, horizon, learning rate; the FCNN's clock and rate are √P times these."""

    networks: dict[str, Network]
    scale: float
    t_end: float
    learning_rate: float
    n_updates: int
    reached: bool
    rate_share: float

    @property
    def speed(self) -> dict[str, float]:
        """√P for the FCNN, as in the paper."""
        return {"cnn": 1.0, "fcnn": float(np.sqrt(self.networks["cnn"].n_pixels))}


@dataclass(frozen=True)
class Learning:
    """All runs of both networks; lists are over runs, ``x`` in samples seen (one a step)."""

    dataset: Dataset
    plan: Plan
    s: Floats
    q: Floats
    flow: dict[str, list[Curves]]
    trained: dict[str, list[Curves]]

    @property
    def x(self) -> Floats:
        """Samples seen at the recorded times of the flow."""
        return self.flow["cnn"][0].t / self.plan.learning_rate

    def trained_x(self, network: str) -> Floats:
        """Samples seen at the recorded steps of training."""
        x: Floats = self.trained[network][0].t / (self.plan.speed[network] * self.plan.learning_rate)
        return x

    def stack(self, network: str, name: str, *, trained: bool = False) -> Floats:
        """One curve of all runs, ``(n_runs, T, ..)``."""
        return np.stack([getattr(run, name) for run in (self.trained if trained else self.flow)[network]])

    def times(self, network: str, share: float = 0.5, *, trained: bool = False) -> Floats:
        """Samples seen when each mode has ``share`` of its singular value, ``(n_runs, R)``, NaN where never."""
        x = self.trained_x(network) if trained else self.x
        runs = (self.trained if trained else self.flow)[network]
        return np.stack([crossing_times(x, run.diagonal, self.s, share) for run in runs])

    @property
    def delays(self) -> Floats:
        """Median time of the CNN over that of the FCNN, whose learning rate is √P larger: ``(R,)``, to half of s."""
        return np.asarray(median_times(self.times("cnn")) / median_times(self.times("fcnn")))

    def discovered(self) -> list[tuple[float, list[int]]]:
        """Stages of the median run of the CNN: when a mode has 90 % of what it reaches, and which modes have.

        A mode that does not reach half of its singular value counts as not learned.
        """
        curve = np.median(self.stack("cnn", "diagonal"), axis=0)
        goal = np.minimum(self.s, curve[-1])
        learned = curve[-1] >= 0.5 * self.s
        times = np.where(learned, crossing_times(self.x, curve, np.where(learned, goal, 1.0), 0.9), np.nan)
        stages = sorted(float(t) for t in times if np.isfinite(t))
        return [(t, [a for a in range(len(self.s)) if times[a] <= t]) for t in stages]

    def kernel_at(self, x: float) -> Floats:
        """Mean over runs of the kernel's spectrum ``(H, W)`` at a number of samples, as in S.5."""
        i = int(np.argmin(np.abs(self.x - x)))
        mean: Floats = self.stack("cnn", "kernel")[:, i].mean(axis=0)
        return mean

    def numbers(self) -> dict[str, Any]:
        """What goes to numbers.json."""
        cnn, fcnn = self.times("cnn"), self.times("fcnn")
        return {
            "runs": len(cnn),
            "start_scale": self.plan.scale,
            "fcnn_hidden_units": self.plan.networks["fcnn"].widths[0],
            "learning_rate_cnn": self.plan.learning_rate,
            "learning_rate_fcnn": self.plan.learning_rate * self.plan.speed["fcnn"],
            "learning_rate_share_of_limit": self.plan.rate_share,
            "updates": self.plan.n_updates,
            "all_modes_reached": self.plan.reached,
            "samples_to_half": {"cnn": median_times(cnn), "fcnn": median_times(fcnn)},
            "samples_to_half_trained": {k: median_times(self.times(k, trained=True)) for k in NETWORKS},
            "delay_cnn_over_fcnn": self.delays,
            "runs_learned_in_order": {"cnn": in_order(cnn), "fcnn": in_order(fcnn)},
            "trained_minus_flow": {k: self.gap(k) for k in NETWORKS},
            "final_diagonal": {k: np.median(self.stack(k, "diagonal")[:, -1], axis=0) for k in NETWORKS},
            "largest_off_diagonal": {k: np.median(self.stack(k, "off_diagonal").max(axis=1)) for k in NETWORKS},
            "final_off_diagonal": {k: np.median(self.stack(k, "off_diagonal")[:, -1]) for k in NETWORKS},
            "final_loss": {k: np.median(self.stack(k, "loss")[:, -1]) for k in NETWORKS},
            "test_loss": self.test_losses(),
            "kernel_power_in_top_5_percent": self.kernel_share(),
            "mode_power_in_top_5_percent": [top_share(q) for q in self.q],
        }

    def gap(self, network: str) -> float:
        """Median over runs of the largest |B_trained - B_flow| / s_1 on the diagonal, both from the same start."""
        x, gaps = self.trained_x(network), []
        for run, path in zip(self.trained[network], self.flow[network], strict=True):
            at = np.stack([np.interp(x, self.x, path.diagonal[:, a]) for a in range(len(self.s))], axis=1)
            gaps.append(float(np.abs(run.diagonal - at).max() / self.s[0]))
        return float(np.median(gaps))

    def test_losses(self) -> dict[str, Any] | None:
        """Smallest and last test loss of the median run."""
        if self.dataset.test is None:
            return None
        curves = {k: np.median(self.stack(k, "test_loss"), axis=0) for k in NETWORKS}
        return {
            k: {"best": c.min(), "best_at_samples": self.x[int(c.argmin())], "last": c[-1]} for k, c in curves.items()
        }

    def kernel_share(self) -> dict[str, float]:
        """Share of the first layer's power in the strongest 5 % of the frequencies, mean over runs.

        At the time at which each network's last mode to be learned has half of its singular value, and at the end.
        """
        shares = {}
        for key, runs in self.flow.items():
            times = median_times(self.times(key))
            last = float(times[np.isfinite(times)].max(initial=0.0)) or float(self.x[-1])
            i = int(np.argmin(np.abs(self.x - last)))
            shares[key] = float(np.mean([top_share(run.kernel[i]) for run in runs]))
            shares[f"{key}_end"] = float(np.mean([top_share(run.kernel[-1]) for run in runs]))
        return shares


def top_share(spectrum: Floats, share: float = TOP) -> float:
    """Part of ``Σ|spectrum|²`` in the strongest ``share`` of its entries (at least one).

    >>> top_share(np.array([[3.0, 4.0]]), 0.5)
    0.64
    """
    power = np.sort(np.ravel(spectrum) ** 2)[::-1]
    return float(power[: max(1, round(share * len(power)))].sum() / power.sum())


def in_order(times: Floats) -> int:
    """Runs in which the modes were learned in the order of their singular values (never learned: last)."""
    filled = np.where(np.isfinite(times), times, np.inf)
    with np.errstate(invalid="ignore"):
        return int(sum(all(a <= b for a, b in pairwise(row)) for row in filled.tolist()))


def moments_of(dataset: Dataset) -> Moments:
    """Statistics for the flow (exact), for one-sample training, and of the test split."""
    train = SecondMoments.from_data(dataset.images, dataset.targets)
    samples = SecondMoments.from_data(dataset.images, dataset.targets, form="samples")
    test = None if dataset.test is None else SecondMoments.from_data(*dataset.test, form="dense")
    return Moments(train, samples, test)


def plan(moments: Moments, *, rng: int) -> Plan:
    """Scale of the starts, horizon and learning rate from the data alone; a first run of the CNN finds the last two."""
    train = moments.train
    k, channels = train.n_outputs, train.image_shape[0]
    cnn = LinearCNN(train.image_shape, n_outputs=k)
    fcn = LinearFCN(train.image_shape, widths=(max(HIDDEN, k),), n_outputs=k)
    modes = train.modes()
    alive = ~modes.null
    q = np.linalg.norm(modes.q[alive], axis=1).max(axis=(1, 2))
    final = np.sqrt(modes.s[alive] / (modes.d[alive] * np.sqrt(2 * cnn.n_pixels) * q))
    scale = START * float(final.min()) / channels**0.5
    start = cnn.init_small(scale, rng=rng)
    t_end, reached, end = horizon(cnn, train, start, growth=float(-2 * np.log(START)))
    share = float(modes.d.max() / train.power_spectrum().sum())
    limit = max_learning_rate(cnn, train, end)
    rate = RATE * share * limit
    n_updates = int(np.ceil(t_end / rate))
    if n_updates > MAX_UPDATES:
        n_updates = MAX_UPDATES
        rate = t_end / n_updates
    n_updates = max(n_updates, 2000)
    rate = min(rate, t_end / n_updates)
    return Plan({"cnn": cnn, "fcnn": fcn}, scale, t_end, rate, n_updates, reached, rate / (share * limit))


def compute(
    dataset: Dataset,
    moments: Moments,
    setting: Plan,
    *,
    runs: int,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> Learning:
    """``runs`` small random starts of each network, each integrated and trained."""
    streams = np.random.SeedSequence(seed).spawn(runs)
    t = dense_early(setting.t_end, N_TIMES)
    jobs = []
    for name, network in setting.networks.items():
        speed = setting.speed[name]
        starts = [network.init_small(setting.scale, rng=np.random.default_rng(stream)) for stream in streams]
        for trained in (False, True):
            jobs += [
                Job(
                    network, moments.train, moments.test, weights, speed * t,
                    samples=moments.samples, n_steps=setting.n_updates, seed=int(stream.generate_state(1)[0]),
                    learning_rate=speed * setting.learning_rate if trained else None,
                )
                for weights, stream in zip(starts, streams, strict=True)
            ]  # fmt: skip
    size = 8 * moments.samples.n_samples * int(np.prod(moments.train.image_shape))
    curves = in_threads(jobs, run_job, advance, data_bytes=size)
    parts = [curves[i : i + runs] for i in range(0, len(curves), runs)]
    modes = moments.train.modes()
    alive = ~modes.null
    return Learning(
        dataset=dataset, plan=setting, s=modes.s[alive], q=np.linalg.norm(modes.q[alive], axis=1),
        flow={"cnn": parts[0], "fcnn": parts[2]}, trained={"cnn": parts[1], "fcnn": parts[3]},
    )  # fmt: skip


def dominant(q: Floats, n: int) -> list[tuple[int, int]]:
    """The ``n`` strongest frequencies of a spectrum ``(H, W)``, one of each conjugate pair, round-off left out."""
    flat = q.reshape(-1)
    half = half_spectrum((q.shape[0], q.shape[1])).indices
    half = half[flat[half] > 1e-6 * flat.max()]
    order = half[np.argsort(-flat[half], kind="stable")][:n]
    return [(int(f) // q.shape[1], int(f) % q.shape[1]) for f in order]
