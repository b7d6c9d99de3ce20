r"""The singular values of every convolution, frequency by frequency [Wen & Jacot; Sedghi, Gupta, Long 2019].

A circular convolution without stride acts on each frequency by the matrix

    ``Ŵ_ω = Σ_ab w[:, :, a, b] e^{-2πi(u a d/H + v b d/W)}``   (unnormalised DFT, dilation d)

and its singular values over all ω are those of the layer. A stride s that divides the image folds the frequencies that
differ by multiples of n/s onto one another: there the block is ``[Ŵ_ω, Ŵ_{ω+n/s}, ..] / √(s_h s_w)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_image_shape
from proofs_check.probes.model import asked, check_model, torch_module

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["FilterSpectrum", "filter_spectra", "layer_blocks", "layer_weight", "operator_norm"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

DEFAULT_GRID = (32, 32)


@dataclass(frozen=True)
class FilterSpectrum:
    """One convolution.

    Attributes
    ----------
    name
        As in ``model.named_modules()``; of a model that is a single layer, ``"Conv2d"``.
    singular_values : (H', W', R)
        At each frequency of the output grid (the input grid without stride), descending.
    grid : (H, W)
        Of the layer's input.
    exact
        Whether they are the singular values of the layer itself: strides that divide the grid, an output for each
        stride, and circular padding or none.
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
    """``‖W‖_F²``, the sum of squares of all these singular values (before ``pooling``)."""

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
        Eigenvalues m_ω by which the singular values of layers with this output grid are multiplied, to be held
        against 1.

    Raises
    ------
    ArgumentError
        No ``Conv2d`` in the model, an image that it does not take, weights that are not finite, or eigenvalues that no
        layer has the grid of.
    LineardynError
        PyTorch is not installed.
    """
    torch = torch_module()
    check_model(model)
    layers = [(name or "Conv2d", part) for name, part in model.named_modules() if isinstance(part, torch.nn.Conv2d)]
    if not layers:
        raise ArgumentError("model has no Conv2d, expected at least one: there is no filter to look at")
    places = {part: _smallest_grid(part) for _, part in layers}
    if image_shape is not None:
        places = _grids(model, list(places), check_image_shape(image_shape))
    found = [_spectrum(name, part, places[part]) for name, part in layers if part in places]
    return found if pooling is None else _pooled(found, check_array("pooling", pooling, shape=(None, None)))


def _pooled(spectra: list[FilterSpectrum], eigenvalues: Floats) -> list[FilterSpectrum]:
    grids = sorted({s.singular_values.shape[:2] for s in spectra})
    if eigenvalues.shape not in grids:
        raise ArgumentError(
            f"pooling has shape {eigenvalues.shape}, expected one of {', '.join(map(str, grids))}: the layers' grids"
        )
    scale = np.abs(eigenvalues)[:, :, None]
    return [
        replace(s, singular_values=s.singular_values * scale) if s.singular_values.shape[:2] == scale.shape[:2] else s
        for s in spectra
    ]


def _smallest_grid(layer: Any) -> tuple[int, int]:
    """The grid for a layer without an image: 32×32, or as large as the filter."""
    (a, b), (m, n) = _reach(layer), DEFAULT_GRID
    return max(m, a + 1), max(n, b + 1)


def _reach(layer: Any) -> list[int]:
    """From the first tap of a filter to its last, in pixels."""
    return [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]


def _grids(model: Any, layers: Sequence[Any], image_shape: tuple[int, int, int]) -> dict[Any, tuple[int, int]]:
    """The grid of each layer's input, seen while the model looks at one image."""
    seen: dict[Any, tuple[int, int]] = {}

    def note(part: Any, inputs: Any) -> None:
        seen[part] = (int(inputs[0].shape[-2]), int(inputs[0].shape[-1]))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with asked(model, np.zeros((1, *image_shape)), batch_size=1, warn=False):
            pass
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _spectrum(name: str, layer: Any, grid: tuple[int, int]) -> FilterSpectrum:
    exact, note = _exactness(layer, grid)
    blocks = layer_blocks(layer, grid, _strides(layer, grid), name)
    values = np.linalg.svd(blocks, compute_uv=False)  # (H', W', groups, R)
    merged = -np.sort(-values.reshape(*values.shape[:2], -1), axis=-1)
    return FilterSpectrum(name, merged, grid, exact, note, float(np.sum(np.abs(blocks) ** 2)))


def _strides(layer: Any, grid: tuple[int, int]) -> tuple[int, int]:
    """The layer's strides, 1 along an axis that they do not divide."""
    first, second = (s if n % s == 0 else 1 for s, n in zip(layer.stride, grid, strict=True))
    return first, second


def layer_weight(layer: Any, name: str) -> Floats:
    """``(C_out, C_in/groups, kh, kw)``, or the matrix of a dense layer, finite float64."""
    return check_array(f"weight of the model's {name!r}", layer.weight.detach().cpu().double().numpy())


def layer_blocks(layer: Any, grid: tuple[int, int], strides: tuple[int, int], name: str) -> Complexes:
    """``(H/s_h, W/s_w, groups, C_out/groups, s_h s_w C_in/groups)``: what the circular layer does to each frequency."""
    weight = layer_weight(layer, name)
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
    sides = _padding(layer)
    sizes = [
        (n + sum(side) - reach - 1) // s + 1
        for n, side, reach, s in zip(grid, sides, _reach(layer), layer.stride, strict=True)
    ]
    if sizes != [n // s for n, s in zip(grid, layer.stride, strict=True)]:
        return False, f"padding {layer.padding} does not keep the size of the image: the circular layer does"
    if sides == [(0, 0), (0, 0)]:
        return True, "no padding is needed: exact"
    if layer.padding_mode == "circular":
        return True, "circular padding: exact"
    return False, (
        f"padding {layer.padding_mode!r} ({layer.padding}): the circular layer with this filter; the two differ in the "
        f"outer {max(max(side) for side in sides)} rows and columns of the image"
    )


def _padding(layer: Any) -> list[tuple[int, int]]:
    """Pixels before and after the image along each axis."""
    if layer.padding == "same":
        return [(reach // 2, reach - reach // 2) for reach in _reach(layer)]
    return [(0, 0), (0, 0)] if layer.padding == "valid" else [(p, p) for p in layer.padding]


PADDINGS: dict[str, Literal["wrap", "reflect", "edge"]] = {
    "circular": "wrap",
    "reflect": "reflect",
    "replicate": "edge",
}


def operator_norm(layer: Any, grid: Sequence[int], name: str) -> float:
    r"""``‖W‖_F²`` of a ``Conv2d`` as an operator on this grid, whatever its padding.

    ``Σ_{ab,a'b'} ⟨w_ab, w_a'b'⟩ N_aa' N_bb'``, N the outputs at which the taps a and a' meet the same pixel: the
    diagonal counts the outputs of a tap (zero padding takes some), the rest taps that padding folds onto one another.
    """
    weight = layer_weight(layer, name)
    together = []
    for n, k, d, s, side in zip(grid, layer.kernel_size, layer.dilation, layer.stride, _padding(layer), strict=True):
        if layer.padding_mode == "zeros":
            line = np.pad(np.arange(n), side, constant_values=-1)
        else:
            line = np.pad(np.arange(n), side, mode=PADDINGS[layer.padding_mode])
        first = np.arange((len(line) - d * (k - 1) - 1) // s + 1) * s
        met = line[first[:, None] + d * np.arange(k)]  # (outputs, taps): which pixel
        together.append(((met[:, :, None] == met[:, None, :]) & (met[:, :, None] >= 0)).sum(axis=0).astype(np.float64))
    return float(np.einsum("ocab,ocde,ad,be->", weight, weight, *together, optimize=True))
