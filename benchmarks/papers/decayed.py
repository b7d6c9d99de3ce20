r"""Training with weight decay counted as W counts it, and the trained network in NumPy. Needs PyTorch.

    ``(1/N) Σ_x C(f(x), y) + λ ‖θ‖²``,   ``‖θ‖² = Σ_l (‖W_l‖_F² + n ‖b_l‖²)``   (theory, section 4)

:func:`proofs_check.cbn.train_cyclic` minimises the same in float64 with dense operators, up to 8 × 8 pixels; this is
for larger images, many of them, classifiers and GPUs.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.papers.figure import Run, silent
from benchmarks.papers.models import CircularConv2d, Pooling
from benchmarks.papers.training import keep_state, resume_state
from proofs_check.cbn import CyclicCNN

__all__ = [
    "Decayed", "Trained", "as_cyclic", "draw_weights", "loss_of", "operator_norm", "squared", "train_decayed",
    "train_kept",
]  # fmt: skip

Floats = NDArray[np.float64]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

RISE = 100
"""Steps over which the rate of Adam rises, before it falls along a half cosine."""
BETAS = (0.9, 0.99)
"""Of Adam: with 0.999 it remembers small gradients for so long that it leaps when λ begins to tell."""
CHECKPOINTS = 10
"""Per training."""


@dataclass(frozen=True)
class Decayed:
    """Adam; λ grows from a thousandth, geometrically, up to the share ``full`` of the steps, then stays.

    With all of λ from the start these networks, which are deep and begin on a plateau, decay to 0 before they learn.
    """

    weight_decay: float
    learning_rate: float
    batch_size: int
    n_steps: int
    full: float = 0.6

    def decay(self, step: int) -> float:
        """λ at one step."""
        return self.weight_decay * math.pow(1000.0, -max(0.0, 1.0 - step / (self.full * self.n_steps)))

    def rate(self, step: int) -> float:
        """Of Adam at one step."""
        fall = 0.5 * (1.0 + math.cos(math.pi * step / self.n_steps))
        return self.learning_rate * fall * min(1.0, (step + 1) / RISE)


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode, and the processor time of its training, over all its sessions."""

    model: nn.Module
    cpu_seconds: float


class _Clock:
    """Processor time since the start of a training that may have been stopped in between, as a part of it."""

    def __init__(self) -> None:
        self.begin = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self.begin

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.begin = time.process_time() - state["seconds"]


def squared(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """``Σ (f(x) - y)²`` over channels and pixels, mean over images."""
    return ((found - wanted) ** 2).flatten(1).sum(dim=1).mean()


def draw_weights(model: nn.Module) -> nn.Module:
    """Normal weights of deviation ``√(2 / fan-in)``, as :meth:`CyclicCNN.random` with scale √2; biases 0.

    A dense layer reads means over pixels: √n times that, so that its operator has the norm of the others.
    """
    pixels = 1
    for part in model.modules():
        if isinstance(part, CircularConv2d):
            pixels = math.prod(part.kernel_size)
        if isinstance(part, CircularConv2d | nn.Linear):
            spread = math.sqrt((pixels if isinstance(part, nn.Linear) else 1) * 2 / part.weight[0].numel())
            nn.init.normal_(part.weight, std=spread)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return model


def operator_norm(model: nn.Module) -> torch.Tensor:
    """``‖θ‖²`` of circular layers, and of a dense one after the mean over n pixels: ``‖V‖²/n + ‖b‖²``."""
    total, pixels = torch.zeros(()), 1
    for part in model.modules():
        if isinstance(part, CircularConv2d):
            pixels = math.prod(part.kernel_size)
            total = total + pixels * sum((p**2).sum() for p in part.parameters())
        elif isinstance(part, nn.Linear):
            total = total + (part.weight**2).sum() / pixels + (part.bias**2).sum()
    return total


def train_decayed(
    build: Callable[[], nn.Module],
    images: Floats,
    targets: Floats | NDArray[np.int64],
    recipe: Decayed,
    *,
    seed: int,
    loss: Loss = squared,
    checkpoint: Path | None = None,
    say: Callable[[str], None] = silent,
) -> Trained:
    """The model after training, float32, on the GPU where there is one; integer targets are left as they are.

    Batches are drawn with replacement. With ``checkpoint`` a run that was stopped goes on from its last tenth, to the
    same weights.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = draw_weights(build()).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=BETAS)
    order = torch.Generator().manual_seed(seed)
    x, y = torch.as_tensor(images, dtype=torch.float32, device=device), torch.as_tensor(targets, device=device)
    y = y.float() if y.is_floating_point() else y
    clock, every = _Clock(), max(1, recipe.n_steps // CHECKPOINTS)
    parts = {"model": model, "optimizer": optimizer, "clock": clock}
    for step in range(resume_state(checkpoint, parts, order, device), recipe.n_steps):
        optimizer.param_groups[0]["lr"] = recipe.rate(step)
        batch = torch.randint(len(x), (recipe.batch_size,), generator=order).to(device)
        fit, norm = loss(model(x[batch]), y[batch]), operator_norm(model)
        optimizer.zero_grad()
        (fit + recipe.decay(step) * norm).backward()
        optimizer.step()
        if (step + 1) % every == 0:
            penalty = recipe.decay(step) * norm.item()
            say(f"step {step + 1} of {recipe.n_steps}: loss {fit.item():.4g}, λ‖θ‖² {penalty:.4g}")
            keep_state(checkpoint, parts, order, step + 1)
    return Trained(model.eval(), clock.seconds)


def train_kept(
    run: Run,
    name: str,
    build: Callable[[], nn.Module],
    images: Floats,
    targets: Floats | NDArray[np.int64],
    recipe: Decayed,
    *,
    seed: int,
    loss: Loss = squared,
) -> Trained:
    """Train, or go on, or take what is kept: of the same model, recipe, seed and data, else it has another name."""
    with torch.random.fork_rng():
        model = build()
    about = hashlib.sha256(repr((model, recipe, seed, torch.__version__)).encode())
    for array in (images, targets, *(buffer.numpy() for buffer in model.buffers())):
        about.update(np.ascontiguousarray(array).tobytes())
    record = run.kept(f"{name}-{about.hexdigest()[:8]}")
    path = None if record is None else record.with_suffix(".pt")
    return train_decayed(build, images, targets, recipe, seed=seed, loss=loss, checkpoint=path, say=run.say)


def loss_of(
    model: nn.Module, images: Floats, targets: Floats | NDArray[np.int64], loss: Loss = squared, *, batch: int = 500
) -> float:
    """Mean loss over all images."""
    device, total = next(model.parameters()).device, 0.0
    with torch.no_grad():
        for first in range(0, len(images), batch):
            part = slice(first, first + batch)
            found = model(torch.as_tensor(images[part], dtype=torch.float32, device=device))
            total += float(loss(found, torch.as_tensor(targets[part], device=device))) * len(found)
    return total / len(images)


def as_cyclic(model: nn.Module) -> CyclicCNN:
    """The convolutions of a model and the pooling after each activation, in float64: filters of true convolutions.

    ``y[i] = Σ_a w[a] x[i + a - p]``, ``p = (n - 1)//2``, is the convolution with the filter ``m ↦ w[p - m]``.
    """
    weights, biases, pooling = [], [], None
    for part in model.modules():
        if isinstance(part, CircularConv2d):
            w = part.weight.detach().cpu().double().numpy()
            shift = tuple((side - 1) // 2 + 1 for side in w.shape[-2:])
            weights.append(np.roll(w[..., ::-1, ::-1], shift, axis=(-2, -1)).transpose(0, 2, 3, 1))
            biases.append(None if part.bias is None else part.bias.detach().cpu().double().numpy())
        elif isinstance(part, Pooling):
            pooling = part.eigenvalues.cpu().double().numpy()
    zeros = [np.zeros(len(w)) if b is None else b for w, b in zip(weights, biases, strict=True)]
    return CyclicCNN(weights, zeros, pooling=pooling)
