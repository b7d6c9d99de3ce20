"""At the door of every probe: a model that can be asked, images that fit it, and a model left as it was."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, ComputationError, LineardynError, Status
from lineardyn.progress import progress_bar
from lineardyn.validation import check_count, check_finite, check_images_shape, shown

if TYPE_CHECKING:
    import torch

__all__ = ["Asked", "as_numpy", "asked", "torch_module"]

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
                piece = torch.as_tensor(np.ascontiguousarray(self.images[part]))
                yield part, piece.to(device=self.device, dtype=self.dtype)
                if show is not None:
                    show(part.stop)

    def outputs(self, images: torch.Tensor) -> torch.Tensor:
        """The model's outputs as ``(n, K)``; an image as output counts as its C·H·W numbers."""
        found = self.model(images)
        if not hasattr(found, "ndim") or found.ndim < 1 or len(found) != len(images):
            raise ArgumentError(
                f"model returns {shown(found)} for {len(images)} images, expected a tensor with one row for each"
            )
        result: torch.Tensor = found.reshape(len(images), -1)
        return result


@contextmanager
def asked(
    model: Any, images: ArrayLike, *, batch_size: int, device: Any = None, progress: bool = False, title: str = "asking"
) -> Iterator[Asked]:
    """Check model and images; inside the block the model is in evaluation mode, afterwards as it was before.

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
    if not isinstance(model, torch.nn.Module):
        raise ArgumentError(f"model is {shown(model)}, expected a torch.nn.Module")
    dtype, home = _dtype_and_device(model, torch)
    place = home if device is None else torch.device(device)
    if place != home and any(True for _ in model.parameters()):
        raise ArgumentError(
            f"device is {str(place)!r} but the model is on {str(home)!r}, expected the same: model.to({str(place)!r}) "
            f"first, or leave device out"
        )
    array = _check_images(images)
    question = Asked(model, array, check_count("batch_size", batch_size), dtype, place, progress, title)
    with _evaluating(model), _room_for(question):
        _try_one(question)
        yield question


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


def as_numpy(values: ArrayLike) -> NDArray[Any]:
    """A numpy array, or a tensor on any device, as a numpy array."""
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def _check_images(images: ArrayLike) -> NDArray[Any]:
    array = as_numpy(images)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(f"images has dtype {array.dtype}, expected real numbers (N, C, H, W)")
    check_images_shape(array.shape)
    if array.dtype.kind in "iu" and array.size and array.max() > 1:
        raise ArgumentError(
            f"images are integers up to {array.max()}, expected real numbers as the model was trained on: for bytes "
            f"images / {BRIGHTEST_BYTE}.0, then the same normalisation as in training"
        )
    if not len(array):
        raise ArgumentError("images is empty, expected at least one image (N, C, H, W)")
    check_finite("images", array)
    return array


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode inside, each part's own mode afterwards; said where that changes the function."""
    modes = [(part, part.training) for part in model.modules()]
    changed = sorted({type(part).__name__ for part, training in modes if training and _differs(part)})
    if changed:
        warnings.warn(
            f"the model is in training mode, in which {' and '.join(changed)} compute another function; it is asked in "
            f"evaluation mode and set back afterwards (model.eval() before the call avoids this warning)",
            stacklevel=5,
        )
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _differs(part: Any) -> bool:
    return any(word in type(part).__name__ for word in ("BatchNorm", "Dropout", "InstanceNorm"))


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
    try:
        with torch.no_grad():
            _, first = next(iter(Asked(**{**vars(question), "batch_size": 1, "progress": False}).batches()))
            found = question.outputs(first)
    except RuntimeError as error:
        if _says_out_of_memory(error):
            raise
        said = str(error).strip().splitlines()[0]
        raise ArgumentError(
            f"images have shape (C, H, W) = {question.images.shape[1:]}, which the model does not take ({said}): give "
            f"images of the size and number of channels that it was made for"
        ) from None
    if not bool(torch.isfinite(found).all()):
        raise ArgumentError(
            "model's output for the first image is infinite or NaN, expected finite numbers: its weights have diverged"
        )
