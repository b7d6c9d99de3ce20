r"""Which frequencies and channels a network keeps, layer by layer, and what its norm allows [Wen & Jacot].

The theory is of circular layers of stride 1 (theory, section 4); on any other model the same quantities are measured,
and the report says what applies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2
from lineardyn.validation import check_count, check_number
from proofs_check.probes.filters import FilterSpectrum, filter_spectra, layer_weight, operator_norm
from proofs_check.probes.model import Asked, asked, torch_module
from proofs_check.probes.sensitivity import jacobians

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["BottleneckReport", "LayerBottleneck", "bottleneck_report"]

Floats = NDArray[np.float64]

LIPSCHITZ = (
    "Sequential", "Conv2d", "Linear", "ReLU", "ReLU6", "Hardtanh", "Tanh", "Sigmoid", "Softplus", "Flatten",
    "Unflatten", "Identity", "Dropout", "Dropout2d",
)  # fmt: skip
"""Parts whose Jacobian has norm at most 1 (in evaluation mode), besides the layers with weights."""


@dataclass(frozen=True)
class LayerBottleneck:
    """One layer with weights.

    Attributes
    ----------
    name, kind
        As in ``model.named_modules()``, of a single layer its kind; ``"Conv2d"`` or ``"Linear"``.
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
        At least as many as the largest number of channels, or ranks of activations are bounded by them. Memory does not
        grow with their number.
    threshold
        Singular values above this share of the layer's largest are kept.
    n_jacobians
        Images, the first ones, at which the bound by the Jacobian is computed.

    Raises
    ------
    ArgumentError, ComputationError, LineardynError
        See :func:`proofs_check.probes.model.asked`; also a model without a ``Conv2d`` or ``Linear``, or that passes
        twice through one of them.
    """
    check_number("threshold", threshold, minimum=0.0, strict=True)
    check_count("n_jacobians", n_jacobians)
    with asked(model, images, batch_size=batch_size, device=device, progress=progress, title="bottleneck") as question:
        inputs = _inputs(question)
        bound, note = _jacobian_bound(question.first(n_jacobians), len(inputs))
        shape = question.images.shape[1:]
    conv = any(kind == "Conv2d" for kind in (seen.kind for seen in inputs.values()))
    spectra = {s.name: s for s in (filter_spectra(model, image_shape=shape) if conv else [])}
    names = {part: name or type(part).__name__ for name, part in model.named_modules()}
    layers = tuple(
        _layer(names[part], part, seen, spectra.get(names[part]), threshold) for part, seen in inputs.items()
    )
    ranks = [layer.activations_rank for layer in layers[1:]] or [layers[0].weights_rank]
    norm = float(sum(layer.norm for layer in layers))
    return BottleneckReport(layers, norm, min(ranks), bound, note, tuple(spectra.values()))


class _Seen:
    """What a layer is given, image by image: the triangular factor of all rows so far, at each frequency of an image.

    Its singular values are those of all images together, in memory that does not grow with them.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.count = 0
        self.shape: tuple[int, ...] = ()
        self.outputs = 0
        self.squares: Any = 0.0
        self._factor: Any = None

    def add(self, inputs: Floats, outputs: tuple[int, ...]) -> None:
        """``(n, C, H, W)``, or ``(n, ..)`` of a dense layer; ``outputs`` are the layer's, without n and channels."""
        self.shape, self.outputs = inputs.shape[1:], int(np.prod(outputs))
        self.count += len(inputs)
        rows: NDArray[Any] = inputs.reshape(len(inputs), -1)
        if self.kind == "Conv2d":
            rows = fft2(inputs).transpose(2, 3, 0, 1)  # (H, W, n, C)
            self.squares = self.squares + np.sum(np.abs(rows) ** 2, axis=-2)
        stack = rows if self._factor is None else np.concatenate([self._factor, rows], axis=-2)
        self._factor = np.linalg.qr(stack, mode="r") if stack.shape[-2] > stack.shape[-1] else stack

    def singular_values(self) -> Floats:
        """``(H, W, min(N, C))``, or ``(min(N, D),)``."""
        return np.asarray(np.linalg.svd(self._factor, compute_uv=False))


def _inputs(question: Asked) -> dict[Any, _Seen]:
    """Of each layer with weights, in the order of the first pass."""
    torch = torch_module()
    seen: dict[Any, _Seen] = {}

    def note(part: Any, inputs: Any, output: Any) -> None:
        conv = isinstance(part, torch.nn.Conv2d)
        place = seen.setdefault(part, _Seen("Conv2d" if conv else "Linear"))
        if place.count > done:
            raise ArgumentError(
                f"model passes twice through one {type(part).__name__}, expected once: the theory has no shared layers"
            )
        values = inputs[0].detach().cpu().double().numpy()
        place.add(values, tuple(output.shape[2:] if conv else output.shape[1:-1]))

    parts = [p for p in question.model.modules() if isinstance(p, torch.nn.Conv2d | torch.nn.Linear)]
    if not parts:
        raise ArgumentError(
            "model has neither a Conv2d nor a Linear, expected at least one: there is no layer to look at"
        )
    hooks = [part.register_forward_hook(note) for part in parts]
    done = 0
    try:
        with torch.no_grad():
            for which, batch in question.batches():
                done = which.start
                question.outputs(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _layer(name: str, part: Any, seen: _Seen, spectrum: FilterSpectrum | None, threshold: float) -> LayerBottleneck:
    values = seen.singular_values()
    kept = np.asarray((values > threshold * values.max(initial=0.0)).sum(axis=-1))
    bias = 0.0 if part.bias is None else float((part.bias.detach().double() ** 2).sum())
    if spectrum is None:
        matrix = layer_weight(part, name)
        sizes = np.linalg.svd(matrix, compute_uv=False)
        rank = int((sizes > threshold * sizes.max()).sum())
        norm = seen.outputs * (float(np.sum(matrix**2)) + bias)
        return LayerBottleneck(name, "Linear", norm, None, rank, None, int(kept.sum()), None)
    weights = spectrum.kept(threshold)
    norm = operator_norm(part, seen.shape[1:], name) + seen.outputs * bias
    power = np.mean(seen.squares, axis=-1) / seen.count
    return LayerBottleneck(name, "Conv2d", norm, weights, int(weights.sum()), kept, int(kept.sum()), power)


def _jacobian_bound(question: Asked, depth: int) -> tuple[float | None, str]:
    """``max_x L Σ s_i(Jf(x))^{2/L}``, where every part but the weights has a Jacobian of norm at most 1."""
    others = sorted({type(p).__name__ for p in question.model.modules() if not _shrinks(p)})
    if others:
        return None, f"the bound by the Jacobian does not apply: {', '.join(others)} may stretch what they are given"
    largest = 0.0
    for _, batch in question.batches():
        for slopes in jacobians(question, batch):
            matrix = slopes.reshape(len(slopes), -1)
            values = np.linalg.svd(matrix, compute_uv=False)
            # at power 2/L round-off zeros would count for much; without them the bound is still one
            noise = 10 * max(matrix.shape) * torch_module().finfo(question.dtype).eps * values.max(initial=0.0)
            largest = max(largest, depth * float(np.sum(values[values > noise] ** (2.0 / depth))))
    return largest, "the bound by the Jacobian applies: every other part is at most 1-Lipschitz"


def _shrinks(part: Any) -> bool:
    """Whether the Jacobian of a part has norm at most 1, layers with weights aside.

    Max pooling over windows that overlap repeats pixels; an average is one of rows and columns that sum to at most 1.
    """
    kind = type(part).__name__
    if kind == "LeakyReLU":
        return abs(float(part.negative_slope)) <= 1.0
    if kind == "MaxPool2d":
        apart = zip(_pair(part.stride), _pair(part.kernel_size), strict=True)
        return all(s >= k for s, k in apart) and _pair(part.dilation) == (1, 1)
    if kind == "AvgPool2d":
        whole = part.count_include_pad or _pair(part.padding) == (0, 0)
        return bool(whole and not part.ceil_mode and part.divisor_override is None)
    if kind == "AdaptiveAvgPool2d":
        return _pair(part.output_size) == (1, 1)
    return kind in LIPSCHITZ


def _pair(value: Any) -> tuple[Any, Any]:
    first, second = value if isinstance(value, tuple) else (value, value)
    return first, second
