"""What many runs at once bring back: each as its own Trajectory, and all of them stacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, Status
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearNetwork, Weights
from lineardyn.trajectory import (
    Arrays,
    DescentSettings,
    FlowSettings,
    Header,
    Trajectory,
    check_shapes,
    read_runs,
    settings_from,
    write_runs,
)
from lineardyn.validation import as_real_array, check_count, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENDED", "Ensemble"]

Floats = NDArray[np.float64]
FILE_FORMAT = "lineardyn ensemble 1"
WORST = (
    Status.WORKER_LOST, Status.NON_FINITE, Status.DIVERGED, Status.STEP_TOO_SMALL, Status.MAX_STEPS, Status.EVENT,
    Status.SUCCESS,
)  # fmt: skip
ENDED = (Status.SUCCESS, Status.EVENT)
"""How a run ends that went as far as it was asked to."""


@dataclass(frozen=True, eq=False)
class Ensemble(Sequence[Trajectory]):
    r"""Runs of one network on one data set from many starts, or with many weight decays or learning rates.

    ``ensemble[r]`` is run r as a :class:`Trajectory`; a slice, a list of numbers or a mask gives the ensemble of those
    runs. Everything stacked has the runs on its leading axis, and T times: those that *every* run reached. A run that
    stopped early so shortens them; :attr:`completed` leaves it out, ``ensemble[r]`` has all that it computed.

    Attributes
    ----------
    t : (R, T)
        Times of each run (they differ where learning rates do, and where terminal events end runs).
    loss : (R, T)
        ``½⟨‖y - f(x)‖²⟩ + ½ λ_r Σ_l ‖w_l‖²`` on the training data.
    effective_singular_values : (R, T, K, K)
        ``B = Uᵀ Σ^ŷx V`` of each [Pinson et al. eq 5].
    kernel_spectrum : (R, T, C, H, W)
        ``(Σ_o |ŵ_1[o, u, v, c]|²)^½`` of each.
    statuses, status, message : how each run ended; the worst of them; that in words, with the numbers of the runs
    stats : what each run took, one dictionary a run; ``batch`` is the number of runs that shared its steps
    events : the times of the events of each run, a tuple a run as in :class:`Trajectory`
    event_times : (R, E)
        The same as an array, NaN where one has not happened: column e is of event e.

    Examples
    --------
    >>> from lineardyn import LinearCNN, SecondMoments, gradient_flow, pure_cosines, stack_weights
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 2)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> starts = stack_weights([network.init_balanced(moments, scale, rng=0) for scale in (0.01, 0.1)])
    >>> ensemble = gradient_flow(network, moments, starts, [0.0, 1.0, 10.0])
    >>> len(ensemble), ensemble.loss.shape, ensemble.loss.round(4)[:, 1]
    (2, (2, 3), array([0.2295, 0.0076]))
    >>> alone = gradient_flow(network, moments, network.init_balanced(moments, 0.1, rng=0), [0.0, 1.0, 10.0])
    >>> bool((ensemble[1].loss == alone.loss).all())
    True

    When is each mode learned, for each start?

    >>> from lineardyn import ModeLearned
    >>> events = [ModeLearned(0), ModeLearned(1)]
    >>> gradient_flow(network, moments, starts, [10.0], events=events).event_times.round(2)
    array([[0.4 , 1.78],
           [0.1 , 0.61]])
    """

    network: LinearNetwork
    moments: SecondMoments
    times: Floats = field(repr=False)
    states: Floats = field(repr=False)
    starts: Floats = field(repr=False)
    settings: tuple[FlowSettings, ...] | tuple[DescentSettings, ...] = field(repr=False)
    reached: NDArray[np.int64] = field(repr=False)
    """``(R,)``: how many of its ``times (R, T')`` each run reached; ``states (R, T', n)`` are filled so far."""
    statuses: tuple[Status, ...]
    stats: tuple[dict[str, Any], ...] = field(repr=False)
    events: tuple[tuple[float | None, ...], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Trajectory]:
        return (self[run] for run in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Ensemble: ...
    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> Trajectory | Ensemble:
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            return self._run(index)
        runs = np.arange(len(self))
        if isinstance(index, slice):
            return self._some(runs[index])
        chosen = as_real_array("index", index)
        fits = chosen.ndim == 1 and (
            len(chosen) == len(self) if chosen.dtype.kind == "b" else chosen.dtype.kind in "iu"
        )
        if not fits or (chosen.dtype.kind != "b" and len(chosen) and not self._inside(chosen)):
            raise ArgumentError(
                f"index is {shown(index)}, expected a number, a slice, numbers or a mask of {len(self)} runs"
            )
        return self._some(runs[chosen])

    def _inside(self, runs: NDArray[Any]) -> bool:
        return bool(runs.min() >= -len(self) and runs.max() < len(self))

    def _run(self, index: int) -> Trajectory:
        if check_count("index", index, minimum=-len(self)) >= len(self):
            raise ArgumentError(f"index is {index}, expected one of -{len(self)} .. {len(self) - 1}: the runs")
        run = int(index) % len(self)
        n = int(self.reached[run])
        return Trajectory(
            network=self.network, moments=self.moments, t=self.times[run, :n], states=self.states[run, :n],
            start=self.starts[run], settings=self.settings[run], status=self.statuses[run],
            stats=dict(self.stats[run]), events=self.events[run],
        )  # fmt: skip

    def _some(self, runs: NDArray[np.int64]) -> Ensemble:
        if not len(runs):
            raise ArgumentError(f"index selects no run, expected one of {len(self)} at least")
        return replace(
            self, times=self.times[runs], states=self.states[runs], starts=self.starts[runs],
            settings=tuple(self.settings[r] for r in runs), reached=self.reached[runs],
            statuses=tuple(self.statuses[r] for r in runs), stats=tuple(self.stats[r] for r in runs),
            events=tuple(self.events[r] for r in runs),
        )  # fmt: skip

    @property
    def completed(self) -> Ensemble:
        """The runs that reached their end, or an event that ended them."""
        return self[np.array([status in ENDED for status in self.statuses])]

    @property
    def status(self) -> Status:
        """The worst status of a run."""
        return next(status for status in WORST if status in self.statuses)

    @property
    def message(self) -> str:
        """The worst status in words, and which runs stopped early."""
        fine = (Status.SUCCESS,) if self.status is Status.EVENT else ENDED
        early = [run for run, status in enumerate(self.statuses) if status not in fine]
        if not early:
            return self.status.value
        named = ", ".join(map(str, early[:10])) + (", .." if len(early) > 10 else "")
        return f"{len(early)} of {len(self)} runs stopped early ({named}). {self.status.value}"

    @property
    def n_times(self) -> int:
        """T, how many times every run reached."""
        return int(self.reached.min())

    @property
    def t(self) -> Floats:
        return self.times[:, : self.n_times]

    def weights(self, index: int) -> Weights:
        """Weights at ``t[:, index]``, a list of arrays ``(R, *shape)``; negative indices count from the end."""
        n = self.n_times
        if check_count("index", index, minimum=-n) >= n:
            raise ArgumentError(
                f"index is {index}, expected one of -{n} .. {n - 1}: {n} states are recorded in every run"
            )
        return _stacked([self.network.unpack(states[:n][index]) for states in self.states])

    def at(self, t: float) -> Weights:
        """Weights of all runs at any time that each of them reached, a list of arrays ``(R, *shape)``.

        See :meth:`Trajectory.at`.
        """
        return _stacked([run.at(t) for run in self])

    @property
    def event_times(self) -> Floats:
        return np.array(self.events, dtype=np.float64)  # None becomes NaN

    @cached_property
    def loss(self) -> Floats:
        decays = np.array([settings.weight_decay for settings in self.settings])
        penalty = 0.5 * decays[:, None] * (self.states[:, : self.n_times] ** 2 @ self.network.state_weights)
        return self.evaluate(self.moments) + penalty

    def evaluate(self, moments: SecondMoments) -> Floats:
        """Loss ``½⟨‖y - f(x)‖²⟩`` ``(R, T)`` on other data, without penalty."""
        return self._unfold(self._in_one.evaluate(moments))

    @cached_property
    def effective_singular_values(self) -> Floats:
        return self._unfold(self._in_one.effective_singular_values)

    @cached_property
    def kernel_spectrum(self) -> Floats:
        return self._unfold(self._in_one.kernel_spectrum)

    @property
    def _in_one(self) -> Trajectory:
        """All states one after another, as if of one run."""
        n = self.n_times
        if not n:
            runs = ", ".join(map(str, np.flatnonzero(self.reached == 0)[:10]))
            raise ArgumentError(
                f"runs {runs} hold no state, expected one in every run: leave them out, with ensemble.completed"
            )
        states = self.states[:, :n].reshape(len(self) * n, -1)
        return Trajectory(
            network=self.network, moments=self.moments, t=self.t.ravel(), states=states, start=self.starts[0],
            settings=self.settings[0], status=self.status, stats={},
        )  # fmt: skip

    def _unfold(self, values: Floats) -> Floats:
        return values.reshape(len(self), self.n_times, *values.shape[1:])

    def plot(self) -> Figure:
        """Effective singular values and loss over time: medians with bands, or all runs where their times differ."""
        from lineardyn.plots import plot_ensemble

        return plot_ensemble(self)

    def save(self, path: str | Path) -> None:
        """Write one ``.npz`` that holds all runs and their statistics, whole or not at all."""
        header = {
            "format": FILE_FORMAT,
            "settings": [{"kind": type(settings).__name__, **asdict(settings)} for settings in self.settings],
            "reached": self.reached.tolist(),
            "statuses": [status.name for status in self.statuses],
            "stats": list(self.stats),
            "events": list(self.events),
        }
        filled = np.arange(self.states.shape[1]) < self.reached[:, None]
        states = np.where(filled[..., None], self.states, 0.0) if not filled.all() else self.states
        arrays = {"times": self.times, "states": states, "starts": self.starts}
        write_runs(path, self.network, self.moments, header, arrays)

    @staticmethod
    def load(path: str | Path) -> Ensemble:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataFileError
            If the file is missing or is no saved ensemble.
        """
        return read_runs(path, FILE_FORMAT, "ensemble", "Ensemble.save", _from_file)


def _stacked(runs: list[Weights]) -> Weights:
    return [np.stack(layer) for layer in zip(*runs, strict=True)]


def _from_file(network: LinearNetwork, moments: SecondMoments, header: Header, arrays: Arrays) -> Ensemble:
    n_runs, n_times = arrays["times"].shape
    n = int(network.offsets[-1])
    check_shapes(arrays, {"times": (n_runs, n_times), "states": (n_runs, n_times, n), "starts": (n_runs, n)})
    reached = np.array(header["reached"], dtype=np.int64)
    events = header.get("events", [()] * n_runs)  # none in older files
    if any(len(of) != n_runs for of in (events, *(header[n] for n in ("settings", "reached", "statuses", "stats")))):
        raise ValueError("the header is of another number of runs")
    if len({len(times) for times in events}) > 1:
        raise ValueError("the header is of other numbers of events")
    if not n_runs or reached.min() < 0 or reached.max() > n_times:
        raise ValueError("the header is of other numbers of times")
    settings: Any = tuple(settings_from(saved) for saved in header["settings"])
    return Ensemble(
        network=network, moments=moments, times=arrays["times"], states=arrays["states"], starts=arrays["starts"],
        settings=settings, reached=reached, statuses=tuple(Status[name] for name in header["statuses"]),
        stats=tuple(header["stats"]), events=tuple(tuple(times) for times in events),
    )  # fmt: skip
