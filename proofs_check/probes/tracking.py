r"""What a model learns, recorded during one's own training loop, as a :class:`lineardyn.Trajectory`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, Status
from lineardyn.fourier import fft2
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearNetwork
from lineardyn.trajectory import (
    Arrays,
    DescentSettings,
    Header,
    Trajectory,
    check_shapes,
    read_runs,
    settings_from,
    write_runs,
)
from lineardyn.validation import check_count, check_images, check_number, check_targets
from proofs_check.probes.filters import layer_blocks, layer_weight
from proofs_check.probes.model import Asked, as_numpy, asked, check_model, torch_module
from proofs_check.probes.modes import against_targets, in_modes
from proofs_check.probes.sensitivity import mean_jacobian

if TYPE_CHECKING:
    import torch

__all__ = ["TrackedTrajectory", "Tracker", "layer_norms", "track"]

Floats = NDArray[np.float64]
FILE_FORMAT = "lineardyn tracked trajectory 1"


@dataclass(frozen=True, eq=False)
class TrackedTrajectory(Trajectory):
    """A :class:`lineardyn.Trajectory` of any model: loss, B(t) and the first layer's spectrum are the model's own.

    ``network`` is linear and of one layer, and ``weights(i)`` is the model's mean Jacobian as its kernel: for a linear
    model the predictor itself, for any other its best-known linear stand-in. ``at`` interpolates between records.

    Attributes
    ----------
    sensitivity : (T, C, H, W)
        ``⟨‖∂f/∂x̂_cf‖⟩`` on the images asked for it.
    layer_norms : (T, L)
        ``Σ w²`` of each weight array, in the order of the model's parameters; their differences are conserved by the
        flow of a network of homogeneous layers.
    """

    measured: Arrays = field(repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        # what the parent would compute from the states is known from the model itself
        for name in ("loss", "effective_singular_values", "kernel_spectrum"):
            self.__dict__[name] = self.measured[name]

    @property
    def sensitivity(self) -> Floats:
        """``(T, C, H, W)``."""
        return self.measured["sensitivity"]

    @property
    def layer_norms(self) -> Floats:
        """``(T, L)``."""
        return self.measured["layer_norms"]

    def save(self, path: str | Path) -> None:
        """Write one ``.npz``, whole or not at all."""
        header = {
            "format": FILE_FORMAT,
            "settings": {"kind": type(self.settings).__name__, **asdict(self.settings)},
            "status": self.status.name,
            "stats": self.stats,
        }
        measured = {f"measured_{name}": values for name, values in self.measured.items()}
        arrays = {"t": self.t, "states": self.states, "start": self.start, **measured}
        write_runs(path, self.network, self.moments, header, arrays)

    @staticmethod
    def load(path: str | Path) -> TrackedTrajectory:
        """Read what :meth:`save` wrote."""
        return read_runs(path, FILE_FORMAT, "tracked trajectory", "TrackedTrajectory.save", _from_file)


def track(
    model: torch.nn.Module,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    learning_rate: float,
    every: int = 1,
    weight_decay: float = 0.0,
    n_sensitivity: int = 64,
    batch_size: int = 256,
    device: Any = None,
) -> Tracker:
    r"""A callback for one's own PyTorch training loop that records what the model has learned.

    Parameters
    ----------
    model
        Takes images ``(N, C, H, W)``, returns ``(N, K)``. It is asked in evaluation mode, without a warning; its
        weights, gradients, modes and PyTorch's random state stay as they are, so that training goes on as without.
    images, targets
        To record on: ``(N, C, H, W)``, and ``(N, K)`` or integer labels ``(N,)``.
    learning_rate
        As this library counts it, ``t = learning_rate × steps``: :func:`lineardyn.convert_learning_rate` gives it for
        a framework's ``mse``.
    every
        Steps between two records.
    weight_decay
        λ, of the loss that is recorded: ``½⟨‖y - f(x)‖²⟩ + ½ λ Σ w²``.
    n_sensitivity
        Images, the first ones, on which Jacobians are taken.

    Examples
    --------
    ::

        tracker = track(model, images, labels, learning_rate=0.01, every=100)
        for step, (x, y) in enumerate(loader):
            tracker(step)
            loss(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        tracker(step + 1)
        tracker.trajectory().plot()
    """
    return Tracker(
        model, images, targets, learning_rate=learning_rate, every=every, weight_decay=weight_decay,
        n_sensitivity=n_sensitivity, batch_size=batch_size, device=device,
    )  # fmt: skip


class Tracker:
    """See :func:`track`; ``tracker(step)`` records if it is time to, :meth:`trajectory` gives what was recorded.

    A training that goes on from a checkpoint takes its tracker along by :meth:`state_dict`, as the model does.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        images: ArrayLike,
        targets: ArrayLike,
        *,
        learning_rate: float,
        every: int,
        weight_decay: float,
        n_sensitivity: int,
        batch_size: int,
        device: Any,
    ) -> None:
        self.model = model
        self.images = check_images(as_numpy("images", images))
        self.targets = check_targets(as_numpy("targets", targets), len(self.images))
        self.learning_rate = check_number("learning_rate", learning_rate, minimum=0.0, strict=True)
        self.every = check_count("every", every)
        self.weight_decay = check_number("weight_decay", weight_decay, minimum=0.0)
        self.n_sensitivity = min(check_count("n_sensitivity", n_sensitivity), len(self.images))
        self.batch_size = check_count("batch_size", batch_size)
        self.device = device
        self.moments = SecondMoments.from_data(self.images, self.targets)
        self.modes = self.moments.modes()
        self.network = LinearCNN(self.moments.image_shape, widths=(), n_outputs=self.targets.shape[1])
        self.steps: list[int] = []
        self._records: list[dict[str, Any]] = []
        check_model(model)
        # refuse at once, not after the first epoch, what has no first layer to look at or other outputs
        first_spectrum(model, self.moments.image_shape)
        with self._asked(self.images[:1]) as question:
            against_targets(question, self.targets[:1])

    def __call__(self, step: int) -> None:
        """Record the model as it is after ``step`` steps, if ``step`` is a multiple of ``every``."""
        if check_count("step", step, minimum=0) % self.every == 0:
            self.record(step)

    def record(self, step: int) -> None:
        """Record now."""
        if check_count("step", step, minimum=0) <= (self.steps[-1] if self.steps else -1):
            raise ArgumentError(f"step is {step}, expected more than {self.steps[-1]}, the last one recorded")
        with self._asked(self.images) as question:
            outputs = against_targets(question, self.targets)
        with self._asked(self.images[: self.n_sensitivity]) as question:
            jacobian, sensitivity = mean_jacobian(question)
        norms = layer_norms(self.model)
        self._records.append(
            {
                "loss": outputs.loss + 0.5 * self.weight_decay * sum(norms),
                "effective_singular_values": in_modes(outputs.covariance, self.modes),
                "kernel_spectrum": first_spectrum(self.model, self.moments.image_shape),
                "sensitivity": sensitivity,
                "layer_norms": norms,
                "states": self.network.pack([jacobian.transpose(0, 2, 3, 1)]),
            }
        )
        self.steps.append(step)

    def state_dict(self) -> dict[str, Any]:
        """Steps and records as tensors, to be kept in a checkpoint beside the model's."""
        torch = torch_module()
        names = self._records[0] if self._records else ()
        records = {name: torch.as_tensor(np.array([r[name] for r in self._records])) for name in names}
        return {"steps": list(self.steps), "records": records}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after what :meth:`state_dict` gave, in place of what is recorded here."""
        arrays = {name: values.cpu().numpy() for name, values in state["records"].items()}
        self.steps = list(state["steps"])
        self._records = [{name: values[i] for name, values in arrays.items()} for i in range(len(self.steps))]

    def _asked(self, images: Floats) -> AbstractContextManager[Asked]:
        """Without a warning: a model in training is in training mode."""
        return asked(self.model, images, batch_size=self.batch_size, device=self.device, warn=False)

    def trajectory(self) -> TrackedTrajectory:
        """What was recorded so far."""
        if not self.steps:
            raise ArgumentError("nothing is recorded yet, expected at least one call: tracker(0) before the first step")
        measured = {name: np.array([r[name] for r in self._records]) for name in self._records[0]}
        states = measured.pop("states")
        settings = DescentSettings(self.weight_decay, self.learning_rate, self.steps[-1], None)
        return TrackedTrajectory(
            network=self.network,
            moments=self.moments,
            t=self.learning_rate * np.array(self.steps, dtype=np.float64),
            states=states,
            start=states[0],
            settings=settings,
            status=Status.SUCCESS,
            stats={"method": "tracked", "n_steps": self.steps[-1]},
            measured=measured,
        )


def layer_norms(model: Any) -> list[float]:
    """``Σ w²`` of each weight array (not of biases)."""
    return [float((p.detach().double() ** 2).sum()) for p in model.parameters() if p.ndim > 1]


def first_spectrum(model: Any, image_shape: tuple[int, int, int]) -> Floats:
    """``(Σ_o |ŵ_1[o, u, v, c]|²)^½`` ``(C, H, W)`` of the first layer, convolution or dense, unitary DFT."""
    torch = torch_module()
    channels, height, width = image_shape
    for name, part in model.named_modules():
        if isinstance(part, torch.nn.Conv2d):
            if part.in_channels != channels or part.groups != 1:
                raise ArgumentError(
                    f"model's first Conv2d ({name}) takes {part.in_channels} channels in {part.groups} groups, "
                    f"expected {channels} in one group, as the images have"
                )
            blocks = layer_blocks(part, (height, width), (1, 1), name)[:, :, 0] / np.sqrt(height * width)
            return np.asarray(np.linalg.norm(blocks, axis=2).transpose(2, 0, 1))
        if isinstance(part, torch.nn.Linear) and part.in_features == channels * height * width:
            rows = layer_weight(part, name).reshape(-1, channels, height, width)
            return np.asarray(np.linalg.norm(fft2(rows), axis=0))
    raise ArgumentError(
        f"model has neither a Conv2d nor a Linear of {channels * height * width} inputs, expected one: the spectrum of "
        f"the first layer is recorded"
    )


def _from_file(network: LinearNetwork, moments: SecondMoments, header: Header, arrays: Arrays) -> TrackedTrajectory:
    n, count, image = int(network.offsets[-1]), len(arrays["t"]), network.image_shape
    n_modes = min(network.n_outputs, int(np.prod(image)))
    prefix = "measured_"
    check_shapes(arrays, {"t": (count,), "states": (count, n), "start": (n,)})
    check_shapes(
        arrays,
        {
            f"{prefix}loss": (count,),
            f"{prefix}effective_singular_values": (count, n_modes, n_modes),
            f"{prefix}kernel_spectrum": (count, *image),
            f"{prefix}sensitivity": (count, *image),
            f"{prefix}layer_norms": (count, arrays[f"{prefix}layer_norms"].shape[-1]),
        },
    )
    return TrackedTrajectory(
        network=network,
        moments=moments,
        t=arrays["t"],
        states=arrays["states"],
        start=arrays["start"],
        settings=settings_from(header["settings"]),
        status=Status[header["status"]],
        stats=header["stats"],
        measured={name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)},
    )
