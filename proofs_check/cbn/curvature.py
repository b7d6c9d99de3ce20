r"""The regression loss of a :class:`CyclicCNN`, its gradient, and its Hessian times a vector, exact away from kinks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse.linalg
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.validation import Rng, as_generator, check_array, check_choice, shown
from proofs_check.cbn.arguments import check_image
from proofs_check.cbn.bounds import check_cyclic
from proofs_check.cbn.network import CyclicCNN

__all__ = ["LOSSES", "check_data", "hessian_product", "loss_factor", "loss_gradient", "sharpness", "training_loss"]

Floats = NDArray[np.float64]

LOSSES = ("regression", "flow")

_DENSE = 40
"""Parameters up to which the Hessian is written out: Lanczos needs room."""
_TOLERANCE = 1e-10
"""Relative, on the largest eigenvalue."""


def training_loss(net: CyclicCNN, data: Sequence[ArrayLike], *, loss: str = "regression") -> float:
    """``(1/N) Σ ‖f(x) - y‖²`` (``"regression"``), or half of it (``"flow"``); sums over channels and pixels.

    ``data = (images (N, C_0, *grid), targets (N, C_L, *grid))``.

    Examples
    --------
    >>> import numpy as np
    >>> net = CyclicCNN([np.zeros((1, 4, 1))])
    >>> data = (np.ones((2, 1, 4)), np.ones((2, 1, 4)))
    >>> training_loss(net, data), training_loss(net, data, loss="flow")
    (4.0, 2.0)
    """
    images, targets = check_data(net, data)
    return 0.5 * loss_factor(loss, len(images)) * float(((net.forward(images)[0][-1] - targets) ** 2).sum())


def loss_gradient(net: CyclicCNN, data: Sequence[ArrayLike], *, loss: str = "regression") -> Floats:
    """Gradient of :func:`training_loss` with respect to :meth:`CyclicCNN.parameters`; at a kink from the right of σ.

    Examples
    --------
    >>> import numpy as np
    >>> net = CyclicCNN.random((4,), (1, 2, 1), rng=0)
    >>> x = np.random.default_rng(0).standard_normal((3, 1, 4))
    >>> bool(np.allclose(loss_gradient(net, (x, net(x))), 0.0))
    True
    """
    images, targets = check_data(net, data)
    before, read = net.forward(images)
    slopes = net.slopes_of(before)
    errors = [loss_factor(loss, len(images)) * (before[-1] - targets)]
    for layer, slope in zip(net.layers[:0:-1], slopes[::-1], strict=True):
        errors.append(slope * net.pool(layer.transpose(errors[-1])))
    return _flat(net, [(errors[::-1], read)], errors[::-1])


def hessian_product(
    net: CyclicCNN, data: Sequence[ArrayLike], vector: ArrayLike, *, loss: str = "regression"
) -> Floats:
    """``H v`` of :func:`training_loss`: the derivative of :func:`loss_gradient` along v, exact away from kinks.

    Forward derivative of the backward pass; ``σ'' = 0``. One product costs about two gradients.
    """
    images, targets = check_data(net, data)
    direction = net.with_parameters(vector)
    before, read = net.forward(images)
    slopes = net.slopes_of(before)
    moved, moved_read = _along(net, direction, read, slopes)
    factor = loss_factor(loss, len(images))
    errors, changes = [factor * (before[-1] - targets)], [factor * moved]
    steps = zip(net.layers[:0:-1], direction.layers[:0:-1], slopes[::-1], strict=True)
    for layer, change, slope in steps:
        through = layer.transpose(changes[-1]) + change.transpose(errors[-1])
        changes.append(slope * net.pool(through))
        errors.append(slope * net.pool(layer.transpose(errors[-1])))
    return _flat(net, [(changes[::-1], read), (errors[::-1], moved_read)], changes[::-1])


def sharpness(net: CyclicCNN, data: Sequence[ArrayLike], *, loss: str = "regression", rng: Rng = 0) -> float:
    """``λ_max`` of the Hessian of :func:`training_loss`, by Lanczos on exact products to 1e-10 of itself.

    Raises
    ------
    ArgumentError
        For data of another shape.
    ComputationError
        If the iteration does not converge.

    Examples
    --------
    One weight, ``f = w x``, loss ``(w x - y)²``, of second derivative ``2 x²``:

    >>> import numpy as np
    >>> net = CyclicCNN([np.ones((1, 1, 1))], slope=1.0)
    >>> round(sharpness(net, ([[[3.0]]], [[[3.0]]])), 6)  # the bias adds to it: 2 (x² + 1)
    20.0
    """
    pair = check_data(net, data)
    check_choice("loss", loss, LOSSES)
    generator, size = as_generator(rng), net.parameters().size
    if size <= _DENSE:
        hessian = np.stack([hessian_product(net, pair, row, loss=loss) for row in np.eye(size)])
        return float(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[-1])
    start = generator.standard_normal(size)
    if not hessian_product(net, pair, start, loss=loss).any():
        return 0.0  # nothing depends on the parameters to second order: Lanczos could not start

    def product(vector: Floats) -> Floats:
        return hessian_product(net, pair, vector.ravel(), loss=loss)

    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=product, dtype=np.float64)
    try:
        top = scipy.sparse.linalg.eigsh(
            operator, k=1, which="LA", v0=start, tol=_TOLERANCE, return_eigenvectors=False, maxiter=20 * size
        )
    except scipy.sparse.linalg.ArpackNoConvergence as error:
        raise ComputationError(Status.MAX_ITERATIONS, f"The largest eigenvalue was not found: {error}", None) from None
    return float(top[0])


def _along(
    net: CyclicCNN, direction: CyclicCNN, read: list[Floats], slopes: list[Floats]
) -> tuple[Floats, list[Floats]]:
    """Derivatives of f and of what the layers read, along the parameters of ``direction``."""
    column = (-1, *(1,) * len(net.grid))
    moved_read = [np.zeros_like(read[0])]
    for i, (layer, change) in enumerate(zip(net.layers, direction.layers, strict=True)):
        z = layer(moved_read[i]) + change(read[i]) + direction.biases[i].reshape(column)
        if i + 1 < net.depth:
            moved_read.append(net.pool(slopes[i] * z))
    return z, moved_read


def _flat(net: CyclicCNN, pairs: list[tuple[list[Floats], list[Floats]]], errors: list[Floats]) -> Floats:
    """Filter gradients of ``Σ ⟨error, W read⟩`` and biases, in the order of the parameters."""
    axes = (0, *range(-len(net.grid), 0))
    parts = []
    for i, layer in enumerate(net.layers):
        parts.append(np.sum([layer.gradient(left[i], right[i]) for left, right in pairs], axis=0).ravel())
        parts.append(errors[i].sum(axis=axes))
    return np.concatenate(parts)


def loss_factor(loss: str, n_images: int) -> float:
    """``factor`` of ``(factor/2) Σ ‖f - y‖²``: 2/N for ``"regression"``, 1/N for ``"flow"``."""
    return (2.0 if check_choice("loss", loss, LOSSES) == "regression" else 1.0) / n_images


def check_data(net: CyclicCNN, data: Sequence[ArrayLike]) -> tuple[Floats, Floats]:
    """Return ``(images (N, C_0, *grid), targets (N, C_L, *grid))`` of a network."""
    check_cyclic(net)
    if isinstance(data, np.ndarray | str) or not hasattr(data, "__len__") or len(data) != 2:
        raise ArgumentError(f"data is {shown(data)}, expected a pair (images, targets)")
    images = check_image(data[0], net.widths[0], net.grid, "data[0]")
    if images.ndim != len(net.grid) + 2 or not len(images):
        wanted = ", ".join(map(str, (net.widths[0], *net.grid)))
        raise ArgumentError(f"data[0] has shape {images.shape}, expected (N, {wanted}) with at least one image")
    why = "one target of the network's output for each image"
    return images, check_array("data[1]", data[1], shape=(len(images), net.widths[-1], *net.grid), why=why)
