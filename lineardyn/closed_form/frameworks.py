"""From the units of the deep-learning frameworks to those of this library (and of the papers' formulas)."""

from __future__ import annotations

from lineardyn.validation import check_choice, check_count, check_number

__all__ = ["convert_learning_rate", "convert_weight_decay"]

_FRAMEWORKS = ("keras", "pytorch", "torch")


def convert_learning_rate(lr: float, *, n_outputs: int, framework: str) -> float:
    """Learning rate here of a framework's plain SGD on its mean squared error: ``2 lr / K``.

    Keras and PyTorch average the squared error over the K outputs too, ``mse = (2/K)·½‖y - f‖²``; this library's loss
    is ``½⟨‖y - f‖²⟩``. Then ``t = learning rate × steps``. Plain SGD only: no momentum, no adaptive method.

    ``framework``: ``"keras"``, ``"pytorch"`` or ``"torch"``, any case. Raises ArgumentError for another name,
    ``lr <= 0`` or ``n_outputs < 1``.

    >>> convert_learning_rate(0.1, n_outputs=4, framework="pytorch")
    0.05
    """
    check_choice("framework", framework, _FRAMEWORKS)
    rate = check_number("lr", lr, minimum=0.0, strict=True)
    return 2.0 * rate / check_count("n_outputs", n_outputs)


def convert_weight_decay(value: float, *, n_outputs: int, framework: str) -> float:
    """Weight decay λ here of a framework's setting under its mean squared error, at the converted learning rate.

    PyTorch's ``weight_decay`` wd adds ``wd·w`` to the gradient: ``λ = K wd / 2``. Keras' ``l2(a)`` adds ``a‖w‖²`` to
    the loss: ``λ = K a``. Here the loss has ``½ λ Σ‖w‖²``. Names and errors as :func:`convert_learning_rate`; 0 is
    allowed.

    >>> convert_weight_decay(0.01, n_outputs=4, framework="pytorch")
    0.02
    >>> convert_weight_decay(0.01, n_outputs=4, framework="keras")
    0.04
    """
    name = check_choice("framework", framework, _FRAMEWORKS)
    decay = check_number("value", value, minimum=0.0) * check_count("n_outputs", n_outputs)
    return decay if name == "keras" else decay / 2.0
