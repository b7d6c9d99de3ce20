r"""Which frequencies a model's outputs depend on [Godfrey et al. eq 5.1, figures 2-6].

    ``sensitivity_cf = ⟨‖∂f/∂x̂_cf‖⟩``,   ``∂f_k/∂x̂_cf = Σ_ij ∂f_k/∂x_cij e^{2πi(ui/H + vj/W)} / √P``

the derivative of each output along the Fourier coefficients of the image (unitary DFT), its length over the outputs,
averaged over images. For a linear model ``f(x) = Σ_f v̂_f x̂_f`` it is the length of the columns of v̂_f.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2, radius
from lineardyn.validation import check_choice
from proofs_check.probes.model import Asked, asked, torch_module
from proofs_check.spectra import radial_average

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["FrequencySensitivity", "frequency_sensitivity", "jacobians", "mean_jacobian"]

Floats = NDArray[np.float64]

BASES = ("dft", "pixel")
REDUCTIONS = ("l2", "l1", "max")


@dataclass(frozen=True)
class FrequencySensitivity:
    """How much a model's outputs move with each Fourier coefficient.

    Attributes
    ----------
    mean : (C, H, W)
        The average over images; of pixels instead of frequencies where ``basis="pixel"``.
    standard_error : (C, H, W)
        Of that average; NaN for a single image.
    first_moments, second_moments : (N,)
        Of each image, over all frequencies: ``Σ s r / Σ s`` and ``Σ s r² / Σ s`` with the radius r in cycles per image;
        0 for an image at which nothing moves, NaN for a basis of pixels, which have no radius.
    """

    mean: Floats
    standard_error: Floats
    first_moments: Floats = field(repr=False)
    second_moments: Floats = field(repr=False)
    n_images: int
    basis: str
    reduce: str

    def radial(self) -> tuple[Floats, Floats]:
        """Mean radii, and the mean over channels and over rings of width 1 around DC, on the torus."""
        self._need_frequencies()
        return radial_average(self.mean)

    @property
    def first_moment(self) -> float:
        """``Σ s r / Σ s`` of the averaged sensitivity: the mean radius, in cycles per image."""
        return self._moment(1)

    @property
    def second_moment(self) -> float:
        """``Σ s r² / Σ s`` of the averaged sensitivity."""
        return self._moment(2)

    def _moment(self, power: int) -> float:
        self._need_frequencies()
        return float(_moments(self.mean[None], power)[0])

    def _need_frequencies(self) -> None:
        if self.basis != "dft":
            raise ArgumentError(f"basis is {self.basis!r}, expected 'dft': pixels have no radius to average over")

    def plot(self) -> Figure:
        """The average over channels: as an image with DC in the middle and over the radius; of pixels, as an image."""
        from proofs_check.probes.plots import plot_sensitivity

        return plot_sensitivity(self)


def frequency_sensitivity(
    model: torch.nn.Module,
    images: ArrayLike,
    *,
    basis: str = "dft",
    reduce: str = "l2",
    batch_size: int = 64,
    device: Any = None,
    progress: bool = False,
) -> FrequencySensitivity:
    r"""``⟨‖∂f/∂x̂_cf‖⟩`` for each channel and frequency, by automatic differentiation (exact up to round-off).

    Reverse mode, one pass an output; forward mode, one pass a pixel, where the model has more outputs than the image
    has numbers. The model is asked in evaluation mode and left as it was.

    Parameters
    ----------
    model
        Takes images ``(N, C, H, W)`` and returns ``(N, K)`` (any other shape counts as its K numbers); each output row
        depends on its own image alone. Any floating-point type; computed in it.
    images : (N, C, H, W)
        numpy or torch; normalised as in training.
    basis : {"dft", "pixel"}
        Derivatives along Fourier coefficients, or along pixels (a saliency map).
    reduce : {"l2", "l1", "max"}
        Over the outputs.
    batch_size
        Images at a time: bounds the memory.
    device
        Where the model is, unless given.

    Returns
    -------
    FrequencySensitivity

    Raises
    ------
    ArgumentError, ComputationError, LineardynError
        See :func:`proofs_check.probes.model.asked`.

    Examples
    --------
    A linear model has the sensitivity of its predictor::

        network = LinearCNN((1, 8, 8), n_outputs=4)
        weights = network.init_glorot(rng=0)
        found = frequency_sensitivity(to_torch(network, weights), images)
        np.linalg.norm(network.effective_predictor(weights), axis=2)  # (H, W, C): found.mean, channels last
    """
    check_choice("basis", basis, BASES)
    check_choice("reduce", reduce, REDUCTIONS)
    with asked(model, images, batch_size=batch_size, device=device, progress=progress, title="sensitivity") as question:
        shape = question.images.shape[1:]
        shift = np.empty(0)
        total, squares = np.zeros(shape), np.zeros(shape)
        moments: list[Floats] = []
        for _, batch in question.batches():
            lengths = _lengths(question, batch, basis, reduce)
            moments.append(np.stack([_moments(lengths, 1), _moments(lengths, 2)]))
            # sums of differences from one image: no digits are lost where all images have nearly the same lengths
            shift = shift if shift.size else lengths[0]
            total += (lengths - shift).sum(axis=0)
            squares += ((lengths - shift) ** 2).sum(axis=0)
    count = len(question.images)
    mean = total / count
    spread = np.maximum(squares / count - mean**2, 0.0)
    error = np.sqrt(spread / (count - 1)) if count > 1 else np.full(shape, np.nan)
    first, second = np.concatenate(moments, axis=1) if basis == "dft" else np.full((2, count), np.nan)
    return FrequencySensitivity(mean + shift, error, first, second, count, basis, reduce)


def jacobians(question: Asked, batch: torch.Tensor) -> Floats:
    """``∂f_k/∂x`` of each image: ``(n, K, C, H, W)``, float64."""
    return np.stack(list(_rows(question, batch)), axis=1)


def mean_jacobian(question: Asked) -> tuple[Floats, Floats]:
    """``⟨∂f/∂x⟩ (K, C, H, W)`` and ``⟨‖∂f/∂x̂‖⟩ (C, H, W)``."""
    means: Any = 0.0
    lengths: Any = 0.0
    for _, batch in question.batches():
        rows: list[Floats] = []
        squares: Any = 0.0
        for slopes in _rows(question, batch):
            rows.append(slopes.sum(axis=0))
            squares = squares + np.abs(fft2(slopes)) ** 2
        means, lengths = means + np.stack(rows), lengths + np.sqrt(squares).sum(axis=0)
    count = len(question.images)
    return np.asarray(means) / count, np.asarray(lengths) / count


def _rows(question: Asked, batch: torch.Tensor) -> Iterator[Floats]:
    """``∂f_k/∂x (n, C, H, W)`` of one output after the other, so that no more than one need be held."""
    torch = torch_module()
    with torch.enable_grad():
        images = batch.detach().requires_grad_(True)
        outputs = question.outputs(images)
    n_outputs = outputs.shape[1]
    if not outputs.requires_grad:
        raise ArgumentError(
            "model's outputs carry no gradient, expected a model that is differentiable in its images: it is "
            "quantised, or its forward pass uses no_grad or detach"
        )
    if n_outputs > images[0].numel():
        del outputs
        columns = _forward_mode(question, batch)
        yield from (columns[:, k].reshape(batch.shape) for k in range(n_outputs))
        return
    for k in range(n_outputs):
        row = _gradient(outputs[:, k].sum(), images, last=k + 1 == n_outputs)
        yield row.detach().cpu().to(torch.float64).numpy()


def _gradient(output: torch.Tensor, images: torch.Tensor, *, last: bool) -> torch.Tensor:
    """Of one output, summed over the batch: each image moves its own row alone. An output may depend on no pixel."""
    torch = torch_module()
    (found,) = torch.autograd.grad(output, images, retain_graph=not last, allow_unused=True)
    return torch.zeros_like(images) if found is None else found


def _forward_mode(question: Asked, batch: torch.Tensor) -> Floats:
    """``(n, K, C·H·W)``, a column for each pixel; without the graph that reverse mode needs."""
    torch = torch_module()
    columns: list[Floats] = []
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch, when it first loads its rules of forward mode, calls a function that it has deprecated
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        for i in range(batch[0].numel()):
            direction = torch.zeros_like(batch)
            direction.reshape(len(batch), -1)[:, i] = 1.0
            _, moved = torch.func.jvp(question.outputs, (batch,), (direction,))
            columns.append(moved.cpu().to(torch.float64).numpy())
    return np.stack(columns, axis=-1)


def _lengths(question: Asked, batch: torch.Tensor, basis: str, reduce: str) -> Floats:
    """``(n, C, H, W)``; the DFT of a gradient has the modulus of the derivative along Fourier coefficients."""
    total = np.zeros(tuple(batch.shape))
    for slopes in _rows(question, batch):
        size = np.abs(fft2(slopes) if basis == "dft" else slopes)
        if reduce == "max":
            total = np.maximum(total, size)
        else:
            total += size**2 if reduce == "l2" else size
    return np.sqrt(total) if reduce == "l2" else total


def _moments(lengths: Floats, power: int) -> Floats:
    """Of each image ``(n, C, H, W)``; 0 where nothing moves."""
    weights = lengths.sum(axis=1)
    total = weights.sum(axis=(1, 2))
    found = (weights * radius(lengths.shape[2:]) ** power).sum(axis=(1, 2))
    return np.asarray(found / np.where(total > 0, total, 1.0))
