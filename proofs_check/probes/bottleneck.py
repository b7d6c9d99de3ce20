r"""Which frequencies and channels a network keeps, layer by layer, and what its norm allows [Wen & Jacot].

The theory is of circular layers of stride 1 (theory, section 4); on any other model the same quantities are measured,
and the report says what applies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.fourier import fft2
from lineardyn.validation import check_count, check_number
from proofs_check.probes.filters import FilterSpectrum, filter_spectra
from proofs_check.probes.model import Asked, asked, torch_module
from proofs_check.probes.sensitivity import jacobians

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["BottleneckReport", "LayerBottleneck", "bottleneck_report"]

Floats = NDArray[np.float64]

LIPSCHITZ = (
    "Sequential", "Conv2d", "Linear", "ReLU", "LeakyReLU", "Hardtanh", "ReLU6", "Flatten", "Unflatten", "Identity",
    "Dropout", "Dropout2d", "AvgPool2d", "AdaptiveAvgPool2d", "MaxPool2d", "CircularPad2d", "ZeroPad2d", "Tanh",
)  # fmt: skip
"""Parts whose Jacobian has norm at most 1, besides the layers with weights: then the bound by the Jacobian holds."""


@dataclass(frozen=True)
class LayerBottleneck:
    """One layer with weights.

    Attributes
    ----------
    name, kind
        As in ``model.named_modules()``; ``"Conv2d"`` or ``"Linear"``.
    norm
        ``‖W‖_F²`` as an operator on its grid, plus ``n ‖b‖²`` with the n pixels of its output.
    weights_kept : (H', W') or None
        Singular values of the filter above the threshold, at each frequency; ``None`` for a dense layer.
    weights_rank : int
        Their number over all frequencies; of a dense layer, that of its matrix.
    activations_kept : (H, W) or None
        Channels that the layer's input uses at each frequency: singular values over images above the threshold;
        ``None`` for an input that is no image.
    activations_rank : int
        Their number over all frequencies; of a flat input, its rank over images.
    power : (H, W) or None
        Mean square of the input's Fourier coefficients over channels and images.
    """

    name: str
    kind: str
    norm: float
    weights_kept: NDArray[np.int64] | None = field(repr=False)
    weights_rank: int
    activations_kept: NDArray[np.int64] | None = field(repr=False)
    activations_rank: int
    power: Floats | None = field(repr=False)


@dataclass(frozen=True)
class BottleneckReport:
    """The layers, and the norm against its bounds.

    Attributes
    ----------
    layers
        In the order in which images meet them.
    norm
        ``‖θ‖²``, operator convention.
    rank
        The smallest ``activations_rank`` over the layers after the first: dimensions through which all has to pass.
    jacobian_bound : float or None
        ``L Σ s_i(Jf(x))^{2/L}``, the largest over the images looked at: ``‖θ‖²`` is at least that. ``None`` where it
        does not apply.
    note
        What applies, and why not.
    """

    layers: tuple[LayerBottleneck, ...]
    norm: float
    rank: int
    jacobian_bound: float | None
    note: str
    spectra: tuple[FilterSpectrum, ...] = field(repr=False)

    @property
    def depth(self) -> int:
        """L, the layers with weights."""
        return len(self.layers)

    @property
    def norm_per_rank(self) -> float:
        """``‖θ‖² / (L · rank)``: tends to 1 in deep networks of least norm whose bottleneck is this (no pooling)."""
        return self.norm / (self.depth * max(self.rank, 1))

    def table(self) -> str:
        """The layers as text, one a line."""
        head = f"{'layer':24} {'norm':>10} {'rank of weights':>16} {'rank of input':>14} {'frequencies':>12}"
        lines = [head]
        for layer in self.layers:
            used = "-" if layer.activations_kept is None else str(int((layer.activations_kept > 0).sum()))
            lines.append(
                f"{layer.name:24} {layer.norm:10.4g} {layer.weights_rank:16d} {layer.activations_rank:14d} {used:>12}"
            )
        bound = "does not apply" if self.jacobian_bound is None else f"{self.jacobian_bound:.4g}"
        lines.append(f"norm {self.norm:.4g}; L × rank {self.depth * self.rank}; bound by the Jacobian {bound}")
        return "\n".join([*lines, self.note])

    def plot(self) -> Figure:
        """Singular values of every filter over the radius, and ranks over the layers."""
        from proofs_check.probes.plots import plot_bottleneck

        return plot_bottleneck(self)


def bottleneck_report(
    model: torch.nn.Module,
    images: ArrayLike,
    *,
    threshold: float = 0.05,
    n_jacobians: int = 4,
    batch_size: int = 64,
    device: Any = None,
    progress: bool = False,
) -> BottleneckReport:
    r"""Kept frequencies and channels of weights and activations, and ``‖θ‖²`` against ``L × rank`` and its lower bound.

    Parameters
    ----------
    model
        Takes images ``(N, C, H, W)``; its ``Conv2d`` and ``Linear`` layers are looked at.
    images : (N, C, H, W)
        At least as many as the largest number of channels, or ranks of activations are bounded by them.
    threshold
        Singular values above this share of the layer's largest are kept.
    n_jacobians
        Images, the first ones, at which the bound by the Jacobian is computed.

    Raises
    ------
    ArgumentError, ComputationError, LineardynError
        See :func:`proofs_check.probes.model.asked`; also a model without a layer that has weights.
    """
    check_number("threshold", threshold, minimum=0.0, strict=True)
    check_count("n_jacobians", n_jacobians)
    with asked(model, images, batch_size=batch_size, device=device, progress=progress, title="bottleneck") as question:
        inputs, sizes = _inputs(question)
        bound, note = _jacobian_bound(question, min(n_jacobians, len(question.images)), len(inputs))
    shape = question.images.shape[1:]
    conv = any(type(part).__name__ == "Conv2d" for part in inputs)
    spectra = {s.name: s for s in (filter_spectra(model, image_shape=shape) if conv else [])}
    names = {part: name for name, part in model.named_modules()}
    layers = tuple(
        _layer(names[part], part, value, sizes[part], spectra.get(names[part]), threshold)
        for part, value in inputs.items()
    )
    ranks = [layer.activations_rank for layer in layers[1:]] or [layers[0].weights_rank]
    norm = float(sum(layer.norm for layer in layers))
    return BottleneckReport(layers, norm, min(ranks), bound, note, tuple(spectra.values()))


def _inputs(question: Asked) -> tuple[dict[Any, Floats], dict[Any, int]]:
    """What each layer with weights is given, image by image, in the order of the first pass; pixels of its output."""
    torch = torch_module()
    seen: dict[Any, list[Floats]] = {}
    sizes: dict[Any, int] = {}

    def note(part: Any, inputs: Any, output: Any) -> None:
        seen.setdefault(part, []).append(inputs[0].detach().cpu().double().numpy())
        sizes[part] = int(np.prod(output.shape[2:]))

    parts = [p for p in question.model.modules() if isinstance(p, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [part.register_forward_hook(note) for part in parts]
    try:
        with torch.no_grad():
            for _, batch in question.batches():
                question.outputs(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {part: np.concatenate(values) for part, values in seen.items()}, sizes


def _layer(
    name: str, part: Any, inputs: Floats, pixels: int, spectrum: FilterSpectrum | None, threshold: float
) -> LayerBottleneck:
    if inputs.ndim == 4:
        kept, power = _used(inputs, threshold)
        used = int(kept.sum())
    else:
        kept, power = None, None
        used = _rank(np.linalg.svd(inputs.reshape(len(inputs), -1), compute_uv=False), threshold)
    if spectrum is None:
        weights, rank = None, _rank(np.linalg.svd(_matrix(part), compute_uv=False), threshold)
    else:
        weights = spectrum.kept(threshold)
        rank = int(weights.sum())
    norm = operator_norm(part, inputs.shape[1:]) + pixels * _bias_norm(part)
    return LayerBottleneck(name, type(part).__name__, norm, weights, rank, kept, used, power)


def _used(inputs: Floats, threshold: float) -> tuple[NDArray[np.int64], Floats]:
    """Channels in use at each frequency, against the largest singular value of all; and the power there."""
    spectra = fft2(inputs).transpose(2, 3, 0, 1)  # (H, W, N, C)
    values = np.linalg.svd(spectra, compute_uv=False)
    return np.asarray((values > threshold * values.max()).sum(axis=-1)), np.mean(np.abs(spectra) ** 2, axis=(2, 3))


def _rank(values: NDArray[Any], threshold: float) -> int:
    return int((values > threshold * values.max(initial=0.0)).sum())


def _matrix(part: Any) -> Floats:
    return np.asarray(part.weight.detach().cpu().double().numpy())


def _bias_norm(part: Any) -> float:
    return 0.0 if part.bias is None else float((part.bias.detach().double() ** 2).sum())


def operator_norm(part: Any, input_shape: tuple[int, ...]) -> float:
    """``‖W‖_F²`` of the layer as an operator: every tap counted as often as it meets a pixel (zero padding meets none).

    The layer with squared weights, applied to ones; with reflected padding taps that meet one pixel twice count apart.
    """
    torch = torch_module()
    if isinstance(part, torch.nn.Linear):
        return float((part.weight.detach().double() ** 2).sum()) * int(np.prod(input_shape[:-1]))
    copy = torch.nn.Conv2d(
        part.in_channels, part.out_channels, part.kernel_size, stride=part.stride, padding=part.padding,
        dilation=part.dilation, groups=part.groups, bias=False, padding_mode=part.padding_mode, device="meta",
    )  # fmt: skip
    copy.weight = torch.nn.Parameter(part.weight.detach().cpu().double() ** 2, requires_grad=False)
    with torch.no_grad():
        return float(copy(torch.ones(1, *input_shape, dtype=torch.float64)).sum())


def _jacobian_bound(question: Asked, count: int, depth: int) -> tuple[float | None, str]:
    """``max_x L Σ s_i(Jf(x))^{2/L}``, where every part but the weights has a Jacobian of norm at most 1."""
    others = sorted({type(p).__name__ for p in question.model.modules()} - set(LIPSCHITZ))
    if others:
        return None, f"the bound by the Jacobian does not apply: {', '.join(others)} may stretch what they are given"
    few = Asked(**{**vars(question), "images": question.images[:count], "progress": False})
    largest = 0.0
    for _, batch in few.batches():
        for slopes in jacobians(few, batch):
            values = np.linalg.svd(slopes.reshape(len(slopes), -1), compute_uv=False)
            kept = values[values > 1e-10 * values.max(initial=0.0)]
            largest = max(largest, depth * float(np.sum(kept ** (2.0 / depth))))
    return largest, "the bound by the Jacobian applies: every other part is at most 1-Lipschitz"
