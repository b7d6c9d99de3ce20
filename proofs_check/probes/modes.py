"""How much of each mode of the data a model has learned [Pinson et al. eq 5, figure 6]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.modes import Modes
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_targets, shown
from proofs_check.probes.model import Asked, as_numpy, asked, torch_module

if TYPE_CHECKING:
    import torch

__all__ = ["Outputs", "against_targets", "effective_singular_values", "in_modes"]

Floats = NDArray[np.float64]


def effective_singular_values(
    model: torch.nn.Module,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    modes: Modes | None = None,
    batch_size: int = 256,
    device: Any = None,
    progress: bool = False,
) -> Floats:
    r"""``B = Uᵀ Σ^ŷx V (R, R)``, with ``Σ^ŷx = ⟨f(x) xᵀ⟩`` and U, V the modes of ``Σ^yx``: P's measure for any network.

    ``B_αα = s_α`` when the model has learned mode α; off the diagonal it mixes modes.

    Parameters
    ----------
    model
        Takes images ``(N, C, H, W)``, returns ``(N, K)``.
    images, targets
        ``(N, C, H, W)``, and ``(N, K)`` or integer labels ``(N,)``.
    modes
        Those of another data set, such as the whole training set; by default of these images and targets.

    Returns
    -------
    ndarray (R, R)
        Rows and columns of null modes are 0.

    Raises
    ------
    ArgumentError, ComputationError, LineardynError
        See :func:`proofs_check.probes.model.asked`; also outputs that are not as many as the targets.
    """
    array, labels = as_numpy("images", images), as_numpy("targets", targets)
    if modes is None:
        modes = SecondMoments.from_data(array, labels).modes()
    elif not isinstance(modes, Modes):
        raise ArgumentError(f"modes is {shown(modes)}, expected SecondMoments.from_data(images, targets).modes()")
    n_outputs = len(modes.u)
    with asked(model, array, batch_size=batch_size, device=device, progress=progress, title="modes") as question:
        wanted = check_targets(labels, len(question.images), n_outputs=n_outputs)
        if question.images.shape[1:] != modes.v.shape[1:]:
            raise ArgumentError(
                f"modes are of images {modes.v.shape[1:]}, expected {question.images.shape[1:]}, as images have"
            )
        return in_modes(against_targets(question, wanted).covariance, modes)


@dataclass(frozen=True)
class Outputs:
    """``½⟨‖y - f(x)‖²⟩``, ``⟨f(x) xᵀ⟩ (K, C·H·W)`` and ``⟨f(x)⟩ (K,)``, in float64."""

    loss: float
    covariance: Floats
    mean: Floats


def against_targets(question: Asked, targets: Floats) -> Outputs:
    """What the model says of the images, beside what it is to say."""
    torch = torch_module()
    n_outputs = targets.shape[1]
    squares, mean = 0.0, np.zeros(n_outputs)
    total = np.zeros((n_outputs, int(np.prod(question.images.shape[1:]))))
    with torch.no_grad():
        for part, batch in question.batches():
            outputs = question.outputs(batch).cpu().to(torch.float64).numpy()
            if outputs.shape[1] != n_outputs:
                raise ArgumentError(
                    f"model has {outputs.shape[1]} outputs, expected {n_outputs}, as targets have columns"
                )
            squares += float(np.sum((targets[part] - outputs) ** 2))
            mean += outputs.sum(axis=0)
            total += outputs.T @ question.images[part].reshape(len(outputs), -1).astype(np.float64)
    count = len(question.images)
    return Outputs(0.5 * squares / count, total / count, mean / count)


def in_modes(covariance: Floats, modes: Modes) -> Floats:
    """``Uᵀ Σ V``, null modes 0."""
    kept = ~modes.null
    values = np.zeros((len(modes.s), len(modes.s)))
    right = modes.v[kept].reshape(int(kept.sum()), -1)
    values[np.ix_(kept, kept)] = modes.u[:, kept].T @ covariance @ right.T
    return values
