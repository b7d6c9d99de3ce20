r"""Which frequencies a model's outputs depend on [Godfrey et al. eq 5.1, figures 2-6].

    ``sensitivity_cf = ⟨‖∂f/∂x̂_cf‖⟩``,   ``∂f_k/∂x̂_cf = Σ_ij ∂f_k/∂x_cij e^{2πi(ui/H + vj/W)} / √P``

the derivative of each output along the Fourier coefficients of the image (unitary DFT), its length over the outputs,
averaged over images. For a linear model ``f(x) = Σ_f v̂_f x̂_f`` it is the length of the columns of v̂_f.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        0 for an image at which nothing moves, and for a basis of pixels.
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
        return float(_moments(self.mean[None], power)[0])

    def plot(self) -> Figure:
        """The average over channels as an image with DC in the middle, and over the radius."""
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
        total, squares = np.zeros(shape), np.zeros(shape)
        moments: list[Floats] = []
        for _, batch in question.batches():
            lengths = _lengths(question, batch, basis, reduce)
            total += lengths.sum(axis=0)
            squares += (lengths**2).sum(axis=0)
            moments.append(
                np.stack([_moments(lengths, power) if basis == "dft" else _none(lengths) for power in (1, 2)])
            )
    count = len(question.images)
    mean = total / count
    spread = np.maximum(squares / count - mean**2, 0.0)
    error = np.sqrt(spread / (count - 1)) if count > 1 else np.full(shape, np.nan)
    first, second = np.concatenate(moments, axis=1)
    return FrequencySensitivity(mean, error, first, second, count, basis, reduce)


def jacobians(question: Asked, batch: torch.Tensor) -> Floats:
    """``∂f_k/∂x`` of each image: ``(n, K, C, H, W)``, float64."""
    torch = torch_module()
    with torch.enable_grad():
        images = batch.detach().requires_grad_(True)
        outputs = question.outputs(images)
        if outputs.shape[1] > images[0].numel():
            return _forward_mode(question, batch)
        rows = [_gradient(outputs[:, k].sum(), images, last=k + 1 == outputs.shape[1]) for k in range(outputs.shape[1])]
    return np.stack([row.detach().cpu().to(torch.float64).numpy() for row in rows], axis=1)


def mean_jacobian(question: Asked) -> tuple[Floats, Floats]:
    """``⟨∂f/∂x⟩ (K, C, H, W)`` and ``⟨‖∂f/∂x̂‖⟩ (C, H, W)``."""
    total, lengths = 0.0, 0.0
    for _, batch in question.batches():
        slopes = jacobians(question, batch)
        total = total + slopes.sum(axis=0)
        lengths = lengths + np.linalg.norm(fft2(slopes), axis=1).sum(axis=0)
    count = len(question.images)
    return np.asarray(total) / count, np.asarray(lengths) / count


def _gradient(output: torch.Tensor, images: torch.Tensor, *, last: bool) -> torch.Tensor:
    """Of one output, summed over the batch: each image moves its own row alone. An output may depend on no pixel."""
    torch = torch_module()
    if not output.requires_grad:
        return torch.zeros_like(images)
    (found,) = torch.autograd.grad(output, images, retain_graph=not last, allow_unused=True)
    return torch.zeros_like(images) if found is None else found


def _forward_mode(question: Asked, batch: torch.Tensor) -> Floats:
    torch = torch_module()
    columns = []
    for i in range(batch[0].numel()):
        direction = torch.zeros_like(batch)
        direction.reshape(len(batch), -1)[:, i] = 1.0
        _, moved = torch.func.jvp(question.outputs, (batch,), (direction,))
        columns.append(moved.detach().cpu().to(torch.float64).numpy())
    return np.stack(columns, axis=-1).reshape(len(batch), -1, *batch.shape[1:])


def _lengths(question: Asked, batch: torch.Tensor, basis: str, reduce: str) -> Floats:
    """``(n, C, H, W)``; the DFT of a gradient has the modulus of the derivative along Fourier coefficients."""
    slopes = jacobians(question, batch)
    size = np.abs(fft2(slopes)) if basis == "dft" else np.abs(slopes)
    if reduce == "l2":
        return np.asarray(np.sqrt(np.sum(size**2, axis=1)))
    return np.asarray(size.sum(axis=1) if reduce == "l1" else size.max(axis=1))


def _moments(lengths: Floats, power: int) -> Floats:
    """Of each image ``(n, C, H, W)``; 0 where nothing moves."""
    weights = lengths.sum(axis=1)
    total = weights.sum(axis=(1, 2))
    found = (weights * radius(lengths.shape[2:]) ** power).sum(axis=(1, 2))
    return np.asarray(found / np.where(total > 0, total, 1.0))


def _none(lengths: Floats) -> Floats:
    return np.zeros(len(lengths))
