"""At the door of every probe: a model that can be asked, images that fit it, and a model left as it was."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, ComputationError, LineardynError, Status
from lineardyn.progress import progress_bar
from lineardyn.validation import as_real_array, check_count, check_finite, check_images_shape, shown

if TYPE_CHECKING:
    import torch

__all__ = ["Asked", "as_numpy", "asked", "check_model", "torch_module"]

Floats = NDArray[np.float64]

BRIGHTEST_BYTE = 255


def torch_module() -> Any:
    """The module ``torch``, or an error that names the extra."""
    try:
        import torch
    except ImportError:
        raise LineardynError(
            "PyTorch is not installed, expected it to ask a model: pip install 'lineardyn[torch]'"
        ) from None
    return torch


@dataclass(frozen=True)
class Asked:
    """A model in evaluation mode and the images to ask it about, batch by batch, in its dtype and on its device."""

    model: torch.nn.Module
    images: NDArray[Any]
    batch_size: int
    dtype: torch.dtype
    device: torch.device
    progress: bool
    title: str

    def batches(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Which images, and they as a tensor ``(n, C, H, W)``."""
        torch = torch_module()
        count = len(self.images)
        with progress_bar(self.title, count, shown=self.progress) as show:
            for first in range(0, count, self.batch_size):
                part = slice(first, min(first + self.batch_size, count))
                # a copy: a first layer that works in place must not write into the caller's images
                piece = torch.as_tensor(np.array(self.images[part]))
                yield part, piece.to(device=self.device, dtype=self.dtype)
                if show is not None:
                    show(part.stop)

    def first(self, count: int) -> Asked:
        """The same model about the first images alone, without a progress bar."""
        return replace(self, images=self.images[:count], progress=False)

    def outputs(self, images: torch.Tensor) -> torch.Tensor:
        """The model's outputs as ``(n, K)``; an image as output counts as its C·H·W numbers."""
        found = self.model(images.clone())  # a leaf of the graph may not be changed in place, its copy may
        if not hasattr(found, "ndim") or found.ndim < 1 or len(found) != len(images):
            raise ArgumentError(
                f"model returns {shown(found)} for {len(images)} images, expected a tensor with one row for each"
            )
        if not found.is_floating_point():
            raise ArgumentError(
                f"model returns {found.dtype}, expected floating-point numbers: ask it for its scores, not for classes"
            )
        result: torch.Tensor = found.reshape(len(images), -1)
        return result


@contextmanager
def asked(
    model: Any,
    images: ArrayLike,
    *,
    batch_size: int,
    device: Any = None,
    progress: bool = False,
    title: str = "asking",
    warn: bool = True,
) -> Iterator[Asked]:
    """Check model and images; inside the block the model is in evaluation mode, afterwards as it was before.

    The random state of PyTorch is afterwards as it was before, too. ``warn=False`` where the caller knows of the mode.

    Raises
    ------
    ArgumentError
        No ``torch.nn.Module``; parameters that are no floating-point numbers or lie on several devices; images of the
        wrong shape, not finite, or bytes of 0 .. 255; images that the model does not take.
    ComputationError
        Not enough memory for a batch; the text says which size to try.
    LineardynError
        PyTorch is not installed.
    """
    torch = torch_module()
    check_model(model)
    dtype, home = _dtype_and_device(model, torch)
    place = home if device is None else _place(device, torch)
    if any(True for _ in model.parameters()):
        if not _same(place, home):
            raise ArgumentError(
                f"device is {str(place)!r} but the model is on {str(home)!r}, expected the same: "
                f"model.to({str(place)!r}) first, or leave device out"
            )
        place = home
    array = _check_images(images)
    size = min(check_count("batch_size", batch_size), len(array))
    question = Asked(model, array, size, dtype, place, progress, title)
    devices = [place] if place.type == "cuda" else []
    with _evaluating(model, warn=warn), torch.random.fork_rng(devices=devices), _room_for(question):
        _try_one(question)
        yield question


def check_model(model: Any) -> None:
    """Refuse what is no module, or one without numbers, and batch norms that let images see one another."""
    torch = torch_module()
    if not isinstance(model, torch.nn.Module):
        raise ArgumentError(f"model is {shown(model)}, expected a torch.nn.Module")
    for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
        if parameter.device.type == "meta":
            raise ArgumentError(
                f"model's {name!r} is on the device 'meta' and has no numbers, expected a model with weights: "
                f"model.to_empty(device='cpu'), then load_state_dict"
            )
    for name, part in model.named_modules():
        if "BatchNorm" in type(part).__name__ and getattr(part, "running_mean", part) is None:
            raise ArgumentError(
                f"model's batch norm {name!r} keeps no running statistics, so that each output depends on all images "
                f"of a batch, expected track_running_stats=True"
            )


def _place(device: Any, torch: Any) -> Any:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        said = str(error).strip().splitlines()[0]
        raise ArgumentError(f"device is {shown(device)}, expected one of PyTorch's ({said})") from None


def _same(one: Any, other: Any) -> bool:
    """``cuda`` is ``cuda:0``, unless another one was made the current one."""
    return one.type == other.type and (one.index is None or other.index is None or one.index == other.index)


def _dtype_and_device(model: Any, torch: Any) -> tuple[Any, Any]:
    parameters = [*model.named_parameters(), *((n, b) for n, b in model.named_buffers() if b.is_floating_point())]
    for name, parameter in parameters:
        if not parameter.is_floating_point():
            raise ArgumentError(
                f"model's parameter {name!r} is of {parameter.dtype}, expected floating-point numbers: a quantised "
                f"model has no gradient, ask the model that it was made from"
            )
    devices = {str(p.device) for _, p in parameters}
    if len(devices) > 1:
        raise ArgumentError(
            f"model lies on {' and '.join(sorted(devices))}, expected one device: model.to(one of them)"
        )
    dtypes = {p.dtype for _, p in parameters}
    if len(dtypes) > 1:
        names = " and ".join(sorted(map(str, dtypes)))
        raise ArgumentError(f"model mixes {names}, expected one type: model.double() or model.float()")
    if not parameters:
        return torch.get_default_dtype(), torch.device("cpu")
    return parameters[0][1].dtype, parameters[0][1].device


def as_numpy(name: str, values: ArrayLike) -> NDArray[Any]:
    """Real numbers as numpy has them: of an array, a tensor of any type on any device, or a list of either."""
    if isinstance(values, list | tuple) and any(hasattr(v, "detach") for v in values):
        pieces = [as_numpy(name, v) for v in values]
        if len({piece.shape for piece in pieces}) > 1:
            raise ArgumentError(f"{name} holds arrays of several shapes, expected one shape")
        return np.stack(pieces)
    narrow: Any = values
    if str(getattr(values, "dtype", "")) == "torch.bfloat16":  # which numpy does not have
        narrow = narrow.float()
    array = as_real_array(name, narrow)
    # PyTorch reads neither extended precision nor the other byte order
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array


def _check_images(images: ArrayLike) -> NDArray[Any]:
    array = as_numpy("images", images)
    check_images_shape(array.shape)
    if array.dtype.kind in "iu" and array.max() > 1:
        raise ArgumentError(
            f"images are integers up to {array.max()}, expected real numbers as the model was trained on: for bytes "
            f"images / {BRIGHTEST_BYTE}.0, then the same normalisation as in training"
        )
    check_finite("images", array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


@contextmanager
def _evaluating(model: Any, *, warn: bool) -> Iterator[None]:
    """Evaluation mode inside, each part's own mode afterwards; said where that changes the function."""
    modes = [(part, part.training) for part in model.modules()]
    changed = sorted({type(part).__name__ for part, training in modes if training and _differs(part)})
    if changed and warn:
        warnings.warn(
            f"the model is in training mode, in which {' and '.join(changed)} compute another function; it is asked in "
            f"evaluation mode and set back afterwards (model.eval() before the call avoids this warning)",
            stacklevel=6,
        )
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _differs(part: Any) -> bool:
    return any(word in type(part).__name__ for word in ("BatchNorm", "Dropout", "InstanceNorm", "RReLU"))


@contextmanager
def _room_for(question: Asked) -> Iterator[None]:
    """Out of memory, on either kind of device, says which batch to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _says_out_of_memory(error):
            raise
        smaller = max(1, question.batch_size // 2)
        advice = (
            f"try batch_size={smaller}" if smaller < question.batch_size else "the model is too large for one image"
        )
        raise ComputationError(
            Status.OUT_OF_MEMORY,
            f"not enough memory on {question.device} for batch_size={question.batch_size}: {advice}",
            None,
        ) from error


def _says_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _try_one(question: Asked) -> None:
    """Ask about one image first, so that a misfit is said in our words and at once."""
    torch = torch_module()
    _, one = next(iter(question.first(1).batches()))
    try:
        with torch.no_grad():
            found = question.outputs(one)
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        if isinstance(error, ArgumentError) or _says_out_of_memory(error):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArgumentError(
            f"images have shape (C, H, W) = {question.images.shape[1:]}, which the model does not take ({said}): give "
            f"images of the size and number of channels that it was made for"
        ) from error
    if not bool(torch.isfinite(found).all()):
        raise ArgumentError(
            "model's output for the first image is infinite or NaN, expected finite numbers: its weights have diverged"
        )
