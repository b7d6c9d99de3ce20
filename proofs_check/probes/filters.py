r"""The singular values of every convolution, frequency by frequency [Wen & Jacot; Sedghi, Gupta, Long 2019].

A circular convolution without stride acts on each frequency by the matrix

    ``Ŵ_ω = Σ_ab w[:, :, a, b] e^{-2πi(u a d/H + v b d/W)}``   (unnormalised DFT, dilation d)

and its singular values over all ω are those of the layer. A stride s that divides the image folds the frequencies that
differ by multiples of n/s onto one another: there the block is ``[Ŵ_ω, Ŵ_{ω+n/s}, ..] / √(s_h s_w)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_image_shape, shown
from proofs_check.probes.model import asked, torch_module

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["FilterSpectrum", "filter_spectra", "layer_blocks", "parameter_norm"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

DEFAULT_GRID = (32, 32)


@dataclass(frozen=True)
class FilterSpectrum:
    """One convolution.

    Attributes
    ----------
    name
        As in ``model.named_modules()``.
    singular_values : (H', W', R)
        At each frequency of the output grid (the input grid without stride), descending.
    grid : (H, W)
        Of the layer's input.
    exact
        Whether they are the singular values of the layer itself: circular padding and strides that divide the grid.
        Otherwise they are those of the circular layer with the same filter; the note says what differs.
    note
        What is exact, or approximate and why.
    """

    name: str
    singular_values: Floats = field(repr=False)
    grid: tuple[int, int]
    exact: bool
    note: str
    frobenius: float
    """``‖W‖_F²`` of the operator: H'·W' times the sum of squares of the filter, for the circular layer."""

    @property
    def largest(self) -> float:
        """The operator norm."""
        return float(self.singular_values.max())

    def kept(self, threshold: float = 0.1) -> NDArray[np.int64]:
        """``(H', W')``: how many singular values at each frequency exceed ``threshold`` times the layer's largest."""
        return np.asarray((self.singular_values > threshold * self.largest).sum(axis=-1))

    def radial(self) -> tuple[Floats, Floats]:
        """Mean radius of each ring, and the mean of the largest singular value over it."""
        from proofs_check.spectra import radial_average

        return radial_average(self.singular_values[None, :, :, 0])

    def plot(self) -> Figure:
        """Singular values over the radius of the frequency."""
        from proofs_check.probes.plots import plot_filter_spectra

        return plot_filter_spectra([self])


def filter_spectra(
    model: torch.nn.Module, *, image_shape: Sequence[int] | None = None, pooling: ArrayLike | None = None
) -> list[FilterSpectrum]:
    """Singular values by frequency of every ``Conv2d`` of a model.

    Parameters
    ----------
    model
        Any; only its ``Conv2d`` layers are read, whatever their kernel size, stride, padding, groups and dilation.
    image_shape : (C, H, W), optional
        Of the model's input: then each layer is taken on the grid that it sees. Without it every layer is taken on a
        grid of 32×32, or as large as its filter.
    pooling : (H, W), optional
        Eigenvalues m_ω by which the singular values of layers on this grid are multiplied, to be held against 1.

    Raises
    ------
    ArgumentError
        No ``Conv2d`` in the model, or an image that it does not take.
    LineardynError
        PyTorch is not installed.
    """
    torch = torch_module()
    if not isinstance(model, torch.nn.Module):
        raise ArgumentError(f"model is {shown(model)}, expected a torch.nn.Module")
    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, torch.nn.Conv2d)]
    if not layers:
        raise ArgumentError("model has no Conv2d, expected at least one: there is no filter to look at")
    grids = {} if image_shape is None else _grids(model, [part for _, part in layers], check_image_shape(image_shape))
    return [
        _spectrum(name, part, grids.get(id(part)), pooling) for name, part in layers if not grids or id(part) in grids
    ]


def _grids(model: Any, layers: Sequence[Any], image_shape: tuple[int, int, int]) -> dict[int, tuple[int, int]]:
    """The grid of each layer's input, seen while the model looks at one image."""
    seen: dict[int, tuple[int, int]] = {}

    def note(part: Any, inputs: Any) -> None:
        seen[id(part)] = (int(inputs[0].shape[-2]), int(inputs[0].shape[-1]))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with asked(model, np.zeros((1, *image_shape)), batch_size=1):
            pass
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _spectrum(name: str, layer: Any, grid: tuple[int, int] | None, pooling: ArrayLike | None) -> FilterSpectrum:
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    place = (max(DEFAULT_GRID[0], reach[0]), max(DEFAULT_GRID[1], reach[1])) if grid is None else grid
    exact, note = _exactness(layer, place)
    strides = _strides(layer, place)
    blocks = layer_blocks(layer, place, strides)
    values = np.linalg.svd(blocks, compute_uv=False)  # (H', W', groups, R)
    if pooling is not None:
        eigenvalues = np.asarray(pooling, dtype=np.float64)
        if eigenvalues.shape == values.shape[:2]:
            values = values * np.abs(eigenvalues)[:, :, None, None]
    merged = -np.sort(-values.reshape(*values.shape[:2], -1), axis=-1)
    return FilterSpectrum(name, merged, place, exact, note, float(np.sum(np.abs(blocks) ** 2)))


def _strides(layer: Any, grid: tuple[int, int]) -> tuple[int, int]:
    """The layer's strides, 1 along an axis that they do not divide."""
    first, second = (s if n % s == 0 else 1 for s, n in zip(layer.stride, grid, strict=True))
    return first, second


def layer_blocks(layer: Any, grid: tuple[int, int], strides: tuple[int, int]) -> Complexes:
    """``(H/s_h, W/s_w, groups, C_out/groups, s_h s_w C_in/groups)``: what the circular layer does to each frequency."""
    weight = layer.weight.detach().cpu().double().numpy()  # (C_out, C_in/groups, kh, kw)
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(np.arange(n), d * np.arange(k)) / n)
        for n, d, k in zip(grid, layer.dilation, layer.kernel_size, strict=True)
    )
    full = np.einsum("ocab,ua,vb->uvoc", weight, rows, columns, optimize=True)
    (height, width), (s, t), groups = grid, strides, layer.groups
    folded = full.reshape(s, height // s, t, width // t, groups, weight.shape[0] // groups, weight.shape[1])
    blocks = folded.transpose(1, 3, 4, 5, 0, 2, 6).reshape(
        height // s, width // t, groups, weight.shape[0] // groups, s * t * weight.shape[1]
    )
    return np.asarray(blocks / np.sqrt(s * t))


def _exactness(layer: Any, grid: tuple[int, int]) -> tuple[bool, str]:
    """Whether the layer is the circular convolution whose singular values these are."""
    if any(n % s for n, s in zip(grid, layer.stride, strict=True)):
        return False, f"stride {layer.stride} does not divide the grid {grid}: taken as stride 1 there"
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if reach == [0, 0] and layer.padding in ((0, 0), "same", "valid", 0):
        return True, "a 1×1 filter needs no padding: exact"
    kept = layer.padding == "same" or all(2 * p == r for p, r in zip(layer.padding, reach, strict=True))
    kept = kept or (any(s > 1 for s in layer.stride) and _covers(layer, grid, reach))
    if layer.padding_mode == "circular" and kept:
        return True, "circular padding: exact"
    if layer.padding_mode == "circular":
        return False, f"circular, but padding {layer.padding} does not keep the size of the image"
    edge = -(-max(reach) // 2)
    return False, (
        f"padding {layer.padding_mode!r} ({layer.padding}): the circular layer with this filter; the two differ in the "
        f"outer {edge} rows and columns of the image"
    )


def _covers(layer: Any, grid: tuple[int, int], reach: Sequence[int]) -> bool:
    """Whether a strided layer has one output for every stride, as the circular one has."""
    if isinstance(layer.padding, str):
        return bool(layer.padding == "same")
    sizes = [(n + 2 * p - r - 1) // s + 1 for n, p, r, s in zip(grid, layer.padding, reach, layer.stride, strict=True)]
    return sizes == [n // s for n, s in zip(grid, layer.stride, strict=True)]


def parameter_norm(spectra: Sequence[FilterSpectrum]) -> float:
    """``Σ_l ‖W_l‖_F²`` of the convolutions as operators on their grids (no biases)."""
    return float(sum(s.frobenius for s in spectra))
