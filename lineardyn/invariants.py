r"""What gradient flow conserves, and how far a network is from balance and alignment.

``A_l A_l^H - A_{l+1}^H A_{l+1}`` is constant at each frequency for every data set when there is no weight decay, and
decays as ``exp(-2 λ t)`` with it [theory section 1]. For Pinson's network this is ``|κ_f|² - Σ_γ |A_γf|²``. Integrators
lose it as their tolerance allows, ``gradient_flow(..., method="geometric")`` keeps it to round-off.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.networks import LinearCNN, LinearNetwork
from lineardyn.trajectory import Trajectory
from lineardyn.validation import check_network, shown

__all__ = ["balance", "balance_ratio", "invariant_drift", "off_diagonal"]

Floats = NDArray[np.float64]


def balance(network: LinearNetwork, weights: Sequence[ArrayLike]) -> list[NDArray[np.complex128] | Floats]:
    """``A_l A_l^H - A_{l+1}^H A_{l+1}`` for l = 1..L-1.

    CNN: complex ``(H, W, C_l, C_l)`` per layer, Hermitian; fully connected: real ``(M_l, M_l)``.

    >>> from lineardyn import LinearCNN, SecondMoments, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 0)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> bool(abs(balance(network, network.init_balanced(moments, 0.1, rng=0))[0]).max() < 1e-16)
    True
    """
    check_network(network)
    layers = _layers(network, weights)
    return [
        a @ np.conj(np.swapaxes(a, -1, -2)) - np.conj(np.swapaxes(b, -1, -2)) @ b for a, b in itertools.pairwise(layers)
    ]


def _layers(network: LinearNetwork, weights: Sequence[ArrayLike]) -> list[NDArray[np.complex128] | Floats]:
    """Matrices ``A_l`` per frequency ``(H, W, C_l, C_{l-1})``; the last is ``B = conj(ŵ_L)``."""
    if isinstance(network, LinearCNN):
        return list(network.spectra(weights))
    return list(network.check_weights(weights))


def invariant_drift(trajectory: Trajectory) -> Floats:
    """``(T,)``: largest ``‖balance(t) - balance(0)‖`` relative to the largest ``Σ_l ‖A_l‖²`` at that time.

    Largest over frequencies and layers, of the Frobenius norm; with weight decay it is not conserved.

    >>> from lineardyn import LinearCNN, SecondMoments, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 0)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> run = gradient_flow(network, moments, network.init_small(0.1, rng=0), [0.0, 1.0, 5.0])
    >>> bool((invariant_drift(run) < 1e-5).all())
    True
    """
    network = _check_trajectory(trajectory).network
    first = balance(network, network.unpack(trajectory.start))
    drift = np.zeros(len(trajectory))
    for i in range(len(trajectory)):
        weights = trajectory.weights(i)
        now = balance(network, weights)
        size = sum(_norms(a) ** 2 for a in _layers(network, weights))
        largest = max((float(_norms(b - a).max()) for a, b in zip(first, now, strict=True)), default=0.0)
        drift[i] = largest / float(np.max(size)) if np.max(size) > 0 else 0.0
    return drift


def _check_trajectory(trajectory: Trajectory) -> Trajectory:
    if not isinstance(trajectory, Trajectory):
        raise ArgumentError(f"trajectory is {shown(trajectory)}, expected what gradient_flow or gradient_descent gave")
    return trajectory


def _norms(matrices: NDArray[np.complex128] | Floats) -> Floats:
    return np.asarray(np.linalg.norm(matrices, axis=(-2, -1)))


def balance_ratio(trajectory: Trajectory) -> Floats:
    """``(T, H, W)``: ``‖A_2[f]‖ / ‖A_1[f]‖``, 1 where a mode is learned [Pinson et al. appendix G, fig S.2].

    Where the kernel vanishes at a frequency it is infinite, or 1 if the dense layer vanishes there too. For a LinearCNN
    with two layers, else ArgumentError.

    >>> from lineardyn import LinearCNN, SecondMoments, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 0)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> run = gradient_flow(network, moments, network.init_small(0.01, rng=0), [0.0, 20.0])
    >>> balance_ratio(run)[:, 0, 0].round(2), balance_ratio(run)[:, 1, 0].round(2)
    (array([1.93, 1.  ]), array([0.49, 1.  ]))
    """
    network = _check_trajectory(trajectory).network
    if not isinstance(network, LinearCNN) or network.depth != 2:
        raise ArgumentError(f"trajectory is of {network}, expected one of a LinearCNN with two layers")
    ratios = np.empty((len(trajectory), *network.image_shape[1:]))
    for i in range(len(trajectory)):
        kernel, dense = (_norms(a) for a in _layers(network, trajectory.weights(i)))
        ratios[i] = np.divide(dense, kernel, out=np.where(dense > 0, np.inf, 1.0), where=kernel > 0)
    return ratios


def off_diagonal(trajectory: Trajectory) -> Floats:
    """``(T,)``: ``‖B - diag B‖_F / s_1``, which rises and falls while modes are learned [Pinson et al. fig S.1].

    >>> from lineardyn import LinearCNN, SecondMoments, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 0)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> run = gradient_flow(network, moments, network.init_small(0.01, rng=0), [0.0, 0.8, 20.0])
    >>> off_diagonal(run).round(3)
    array([0.004, 0.006, 0.   ])
    """
    values = _check_trajectory(trajectory).effective_singular_values
    off = values * (1 - np.eye(values.shape[-1]))
    norms: Floats = np.linalg.norm(off, axis=(1, 2)) / trajectory.moments.modes().s[0]
    return norms
