"""Training of a classifier for the figures: seeded, and with a checkpoint after every epoch. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["Recipe", "accuracy", "keep_state", "read_checkpoint", "resume_state", "train", "write_checkpoint"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum on cross-entropy; the rate drops tenfold after ``patience`` epochs without a smaller loss."""

    learning_rate: float
    batch_size: int
    epochs: int
    weight_decay: float = 0.0
    momentum: float = 0.9
    patience: int = 50


def train(
    build: Callable[[], nn.Module],
    images: Floats,
    targets: Floats,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> nn.Module:
    """The model after training, in evaluation mode, on the GPU where there is one; float32.

    With ``checkpoint``, a run that was stopped goes on after its last whole epoch, to the same weights.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build().to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=recipe.patience)
    order = torch.Generator().manual_seed(seed)
    x = torch.as_tensor(images, dtype=torch.float32)
    y = torch.as_tensor(targets.argmax(axis=1))
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    for epoch in range(resume_state(checkpoint, parts, order, device), recipe.epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(x), generator=order).split(recipe.batch_size):
            loss = nn.functional.cross_entropy(model(x[batch].to(device)), y[batch].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(batch)
        schedule.step(total / len(x))
        keep_state(checkpoint, parts, order, epoch + 1)
    return model.eval()


def accuracy(model: nn.Module, images: Floats, targets: Floats, *, batch_size: int = 500) -> float:
    """Share of images whose largest output is the right one."""
    device, right = next(model.parameters()).device, 0
    with torch.no_grad():
        for first in range(0, len(images), batch_size):
            part = slice(first, first + batch_size)
            found = model(torch.as_tensor(images[part], dtype=torch.float32, device=device)).argmax(dim=1)
            right += int((found.cpu().numpy() == targets[part].argmax(axis=1)).sum())
    return right / len(images)


def read_checkpoint(path: Path | None, device: torch.device) -> dict[str, Any] | None:
    """What :func:`write_checkpoint` wrote, None where there is nothing."""
    if path is None or not path.exists():
        return None
    found: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return found


def write_checkpoint(path: Path | None, state: dict[str, Any]) -> None:
    """Whole or not at all; nowhere where ``path`` is None."""
    if path is None:
        return
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    partial.replace(path)


def resume_state(path: Path | None, parts: dict[str, Any], order: torch.Generator, device: torch.device) -> int:
    """Load parts and order where there is a checkpoint; how many epochs (or steps) are done."""
    kept = read_checkpoint(path, device)
    if kept is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    order.set_state(kept["order"].cpu())
    return int(kept["epoch"])


def keep_state(path: Path | None, parts: dict[str, Any], order: torch.Generator, epoch: int) -> None:
    """Write the parts' states, the order's, and how many epochs (or steps) are done."""
    states = {name: part.state_dict() for name, part in parts.items()}
    write_checkpoint(path, {"epoch": epoch, "order": order.get_state(), **states})
