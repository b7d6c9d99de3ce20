"""What an integration or a training run brings back: it evaluates, plots and saves itself."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, Status
from lineardyn.flow.integration import integrate
from lineardyn.moments import SecondMoments, Statistics
from lineardyn.networks import LinearCNN, LinearFCN, LinearNetwork, Weights
from lineardyn.validation import check_array, check_count, check_number, check_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Arrays",
    "DescentSettings",
    "FlowSettings",
    "Header",
    "Trajectory",
    "check_shapes",
    "read_runs",
    "settings_from",
    "write_runs",
]

Floats = NDArray[np.float64]
FILE_FORMAT = "lineardyn trajectory 1"
CHUNK_BYTES = 2**26
RECORD_BYTES = 2**32
"""Largest record of states that is kept; a run that would pass it is told what fits."""


@dataclass(frozen=True)
class FlowSettings:
    """How a gradient flow was integrated."""

    weight_decay: float
    method: str
    rtol: float
    atol: float
    max_steps: int


@dataclass(frozen=True)
class DescentSettings:
    """How gradient descent was run."""

    weight_decay: float
    learning_rate: float
    n_steps: int
    batch_size: int | None


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""States of a network along gradient flow or gradient descent.

    Attributes
    ----------
    t : (T,)
        Times; learning rate × step for gradient descent.
    loss : (T,)
        ``½⟨‖y - f(x)‖²⟩ + ½ λ Σ_l ‖w_l‖²`` on the training data.
    effective_singular_values : (T, R, R)
        ``B = Uᵀ Σ^ŷx V`` in the modes of the training data [Pinson et al. eq 5]; rows and columns of null modes are 0.
    kernel_spectrum : (T, C, H, W)
        ``(Σ_o |ŵ_1[o, u, v, c]|²)^½``.
    status, message : how the run ended, as Status and as a sentence
    stats : what it took: the method, numbers of steps and right-hand sides (see the verb that made the run)
    events : the time of each event asked for, in that order; None where it has not happened. A terminal event ends the
        run: its time is then the last of ``t``, after those of ``t_eval`` before it

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from lineardyn import LinearCNN, SecondMoments, Trajectory, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 2)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> run = gradient_flow(network, moments, network.init_balanced(moments, 0.1, rng=0), [0.0, 1.0, 10.0])
    >>> run.loss.round(4), run.kernel_spectrum.shape, [w.shape for w in run.at(0.5)]
    (array([0.388 , 0.0076, 0.    ]), (3, 1, 4, 4), [(1, 4, 4, 1), (2, 4, 4, 1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run.save(pathlib.Path(folder) / "run.npz")
    ...     again = Trajectory.load(pathlib.Path(folder) / "run.npz")
    >>> bool((again.loss == run.loss).all())
    True
    """

    network: LinearNetwork
    moments: SecondMoments
    t: Floats
    states: Floats = field(repr=False)
    start: Floats = field(repr=False)
    settings: FlowSettings | DescentSettings
    status: Status
    stats: dict[str, Any]
    events: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        self.stats.setdefault("t_reached", float(self.t[-1]) if len(self.t) else 0.0)

    def __len__(self) -> int:
        return len(self.t)

    @property
    def message(self) -> str:
        """The status in words, with what to do about it."""
        return self.status.value

    def weights(self, index: int) -> Weights:
        """Weights at ``t[index]``; negative indices count from the end."""
        if check_count("index", index, minimum=-len(self)) >= len(self):
            raise ArgumentError(
                f"index is {index}, expected one of -{len(self)} .. {len(self) - 1}: {len(self)} states are recorded"
            )
        return self.network.unpack(self.states[index])

    def at(self, t: float) -> Weights:
        """Weights at any time between 0 and the last one recorded.

        Along a flow the integration is taken up again from the last recorded state before ``t``, with the same method
        and tolerances, so that the answer is as accurate as the recorded ones. Between recorded steps of gradient
        descent weights are interpolated linearly.

        Raises
        ------
        ArgumentError
            For a time that is negative or after the last one recorded.
        ComputationError
            If the integration stopped early, as with a small ``max_steps``.
        """
        time = check_number("t", t, minimum=0.0)
        last = float(self.t[-1]) if len(self) else 0.0
        if time > last:
            raise ArgumentError(f"t is {time:g}, expected a time up to {last:g}: the last one recorded")
        if time == 0.0:
            return self.network.unpack(self.start)
        after = int(np.searchsorted(self.t, time))
        if self.t[after] == time:
            return self.weights(after)
        base = self.states[after - 1] if after else self.start
        base_time = float(self.t[after - 1]) if after else 0.0
        if isinstance(self.settings, DescentSettings):
            share = (time - base_time) / (self.t[after] - base_time)
            return self.network.unpack(base + share * (self.states[after] - base))
        result = integrate(
            self.network, self.moments, base, np.array([time - base_time]),
            weight_decay=self.settings.weight_decay, method=self.settings.method, rtol=self.settings.rtol,
            atol=self.settings.atol, max_steps=self.settings.max_steps,
        )  # fmt: skip
        if result.status is not Status.SUCCESS:
            raise ComputationError(result.status, f"at({time:g}) stopped early. {result.status.value}", self)
        return self.network.unpack(result.states[-1])

    @cached_property
    def loss(self) -> Floats:
        penalty = 0.5 * self.settings.weight_decay * (self.states**2 @ self.network.state_weights)
        return self.evaluate(self.moments) + penalty

    def evaluate(self, moments: SecondMoments) -> Floats:
        """Loss ``½⟨‖y - f(x)‖²⟩`` ``(T,)`` on other data, without penalty: generalisation curves."""
        self.network.check_moments(moments)
        return self._map(moments.losses)

    @cached_property
    def effective_singular_values(self) -> Floats:
        modes = self.moments.modes()
        kept = ~modes.null
        weights = self.moments.weights
        rows = self.moments.pack(modes.v[kept]) * weights
        right = self.moments.apply(rows) * weights  # Σ^xx v_α in packed coordinates, (R', D)
        values = np.zeros((len(self), len(modes.s), len(modes.s)))
        values[:, kept[:, None] & kept] = self._map(lambda v: (modes.u[:, kept].T @ (v @ right.T)).reshape(len(v), -1))
        return values

    def _map(self, function: Callable[[Floats], Floats]) -> Floats:
        """Apply a function of packed predictors, a few states at a time."""
        if not len(self):
            raise ArgumentError("this trajectory holds no state: the run stopped before the first recorded time")
        step = max(1, CHUNK_BYTES // (8 * self.network.n_outputs * len(self.moments.weights)))
        parts = [self.states[i : i + step] for i in range(0, len(self), step)]
        return np.concatenate([function(self.network.predictors(part)) for part in parts])

    @cached_property
    def kernel_spectrum(self) -> Floats:
        channels = self.network.image_shape[0]
        first = self.states[:, : self.network.offsets[1]]
        parts = first.reshape(len(self), -1, channels, 2, self.network.half.size)
        power = np.einsum("tocxf,tocxf->tcf", parts, parts)
        full = self.network.half.unpack(np.stack([power, np.zeros_like(power)], axis=-2)).real
        return np.sqrt(full)

    def plot(self) -> Figure:
        """Effective singular values, diagonal and off-diagonal, and below them the loss, over time."""
        from lineardyn.plots import plot_trajectory

        return plot_trajectory(self)

    def save(self, path: str | Path) -> None:
        """Write one ``.npz`` that holds the run and its statistics, whole or not at all."""
        header = {
            "format": FILE_FORMAT,
            "settings": {"kind": type(self.settings).__name__, **asdict(self.settings)},
            "status": self.status.name,
            "stats": self.stats,
            "events": self.events,
        }
        arrays = {"t": self.t, "states": self.states, "start": self.start}
        write_runs(path, self.network, self.moments, header, arrays)

    @staticmethod
    def load(path: str | Path) -> Trajectory:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataFileError
            If the file is missing or is no saved trajectory.
        """
        return read_runs(path, FILE_FORMAT, "trajectory", "Trajectory.save", _from_file)


Arrays = dict[str, Floats]
Header = dict[str, Any]
R = TypeVar("R")


def write_runs(
    path: str | Path, network: LinearNetwork, moments: SecondMoments, header: Header, arrays: Arrays
) -> None:
    """One ``.npz`` with the network, the statistics and whatever else, whole or not at all."""
    target = check_path(path)
    about = {
        **header,
        "network": {
            "kind": type(network).__name__,
            "image_shape": network.image_shape,
            "widths": network.widths,
            "n_outputs": network.n_outputs,
            **({"convention": network.convention} if isinstance(network, LinearCNN) else {}),
        },
        "moments": {
            "form": moments.form,
            "n_samples": moments.n_samples,
            "target_power": moments.target_power,
            "image_power": moments.image_power,
            "dense": moments.statistics.dense,
        },
    }
    stats = {name: getattr(moments.statistics, name) for name in ("rows", "target", "gain", "matrix")}
    every: Any = {"header": json.dumps(about), "sigma_yx": moments.sigma_yx, **stats, **arrays}
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as file:
            np.savez(file, **every)
        partial.replace(target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataFileError(f"path {str(target)!r} cannot be written ({error}): choose a folder that can") from None
        raise


def read_runs(
    path: str | Path,
    file_format: str,
    name: str,
    writer: str,
    make: Callable[[LinearNetwork, SecondMoments, Header, Arrays], R],
) -> R:
    """What ``make`` builds of a file of this format; a file that is none raises DataFileError."""
    source = check_path(path)
    try:
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {key: file[key] for key in file.files if key != "header"}
        if header["format"] != file_format:
            raise KeyError("format")
        return make(*_what_ran(header, arrays), header, arrays)
    except FileNotFoundError:
        raise DataFileError(f"path {str(path)!r} does not exist, expected a file written by {writer}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataFileError(
            f"path {str(path)!r} holds no saved {name} ({error}), expected a file written by {writer}"
        ) from None


def settings_from(saved: Header) -> FlowSettings | DescentSettings:
    """The settings of a run, from what a file says of them."""
    verbs = {"FlowSettings": FlowSettings, "DescentSettings": DescentSettings}
    settings = dict(saved)
    made: FlowSettings | DescentSettings = verbs[settings.pop("kind")](**settings)
    return made


def _what_ran(header: Header, arrays: Arrays) -> tuple[LinearNetwork, SecondMoments]:
    networks = {"LinearCNN": LinearCNN, "LinearFCN": LinearFCN}
    shape, saved = header["network"], header["moments"]
    of_kernels = {"convention": shape["convention"]} if "convention" in shape else {}  # older files: true convolution
    network: LinearNetwork = networks[shape["kind"]](
        tuple(shape["image_shape"]), widths=tuple(shape["widths"]), n_outputs=shape["n_outputs"], **of_kernels
    )
    _check_shapes(network, saved["dense"], arrays)
    moments = SecondMoments(
        form=saved["form"],
        image_shape=network.image_shape,
        n_samples=saved["n_samples"],
        target_power=saved["target_power"],
        image_power=saved["image_power"],
        sigma_yx=arrays["sigma_yx"],
        statistics=Statistics(saved["dense"], *(arrays[n] for n in ("rows", "target", "gain", "matrix"))),
    )
    return network, moments


def _from_file(network: LinearNetwork, moments: SecondMoments, header: Header, arrays: Arrays) -> Trajectory:
    n = int(network.offsets[-1])
    check_shapes(arrays, {"t": (len(arrays["states"]),), "states": (len(arrays["t"]), n), "start": (n,)})
    return Trajectory(
        network=network,
        moments=moments,
        t=arrays["t"],
        states=arrays["states"],
        start=arrays["start"],
        settings=settings_from(header["settings"]),
        status=Status[header["status"]],
        stats=header["stats"],
        events=tuple(None if t is None else float(t) for t in header.get("events", ())),
    )


def _check_shapes(network: LinearNetwork, dense: bool, arrays: Arrays) -> None:
    width = 2 * network.half.size * network.image_shape[0]
    n_rows = 0 if dense else len(arrays["gain"])
    shapes: dict[str, tuple[int, ...]] = {
        "sigma_yx": (network.n_outputs, *network.image_shape),
        "rows": (0, 0) if dense else (n_rows, width),
        "target": (network.n_outputs, width if dense else n_rows),
        "gain": (n_rows,),
        "matrix": (width, width) if dense else (0, 0),
    }
    check_shapes(arrays, shapes)


def check_shapes(arrays: Arrays, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise ArgumentError (a ValueError) unless the arrays fit one another: compiled code trusts their shapes."""
    for name, shape in shapes.items():
        arrays[name] = check_array(name, arrays[name], shape=shape, why="as the network in this file has it")
