r"""Conservation laws kept to round-off, by any integrator and at any tolerance.

**What is conserved.** ``M_l = A_l A_l^H - A_{l+1}^H A_{l+1}`` at each frequency, l = 1..L-1, for every data set; with
weight decay λ it decays as ``exp(-2λt)`` [theory section 1]. An integrator of order p loses it by O(h^{p+1}) a step.

**What restores it.** A *gauge* of the hidden layers, an invertible ``g_l (C_l, C_l)`` at each frequency,

    A_l → g_l A_l g_{l-1}^{-1},   g_0 = g_L = 1,

leaves the predictor ``A_L ⋯ A_1`` as it is, and moves M. After each accepted step the state goes along such an orbit
to the M of the start. The gradient of ``tr X_l M_l`` with respect to the layers is ``2 (X_l A_l - A_l X_{l-1})``, twice
the gauge by ``exp(εX)``: orbits of Hermitian X meet the set of right M at right angles, and the correction is, to first
order, the shortest that there is. It is as small as the error of the step, so that the order is kept; it costs no
right-hand side, and leaves the residual E and with it the stiff part of the flow alone, so that it works with
stabilised methods too. f goes along: the gradient of the bare loss turns by the inverse gauge,
``∇_l → g_l^{-1} ∇_l g_{l-1}`` for Hermitian g.

**One hidden channel a layer** (any depth, any input channels): with ``p_l = ‖A_l‖²`` the laws fix ``p_l - p_{l+1}`` and
the predictor fixes ``Π p_l``. So all p_l are known from one number, the only root of an increasing polynomial of degree
L; for L = 2 a quadratic, ``x (x + |M|) = p_1 p_2`` with x the smaller of both. There is a solution, and one only,
unless a layer is exactly 0 at the frequency.

**Any channels**: Newton's method on Hermitian X, per frequency, with ``g = exp(X)``: for one hidden layer a step is the
Sylvester equation ``X S + S X = ΔM``, ``S = A_1 A_1^H + A_2^H A_2``; more layers couple. The operator is
``2 J J^H``, J^H the gauge; conjugate gradients solve for all layers at once and never enter the null space of S, where
channels are empty and nothing is missing. Fully connected networks are one frequency with real matrices, the first
layer in the metric of the packing; M_l² laws of a wide layer cost many times a right-hand side there.

**What is promised**: M at each frequency, each step and each recorded time to 1e-13 of ``Σ_l ‖A_l‖²`` there and then
(seen: 1e-15), the predictor of each step to round-off. Not where the integrator returns a layer that is exactly 0 at a
frequency and should not be: no gauge leads from there, and the state stays as it is; nor below 1e-145, whose squares
underflow.

**Other ways.** Implicit Gauss methods keep all quadratic invariants, these too, but solve a nonlinear system in each
step. Splitting into exact hyperbolic rotations of two layers with E frozen keeps M for L = 2; for L > 2 a rotation of
A_l and A_{l+1} keeps M_l only, since it moves A_l in M_{l-1} while A_{l-1} stays. Commutator-free rotations of order 4
(Celledoni, Marthinsen, Owren 2003) were tried for L = 2: exact in M, but at equal error 1.1 to 2.4 times as many
right-hand sides as this where the flow is not stiff (errors 1e-4 to 1e-6), and 4 to 8 times where s_max/s_min = 16
(errors 1e-2 to 1e-4): they are not stabilised.

The word is that of geometric integration: Hairer, Lubich, Wanner, IV.1-2 and IV.4 (projection on invariants).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.flow import _geometric_kernels

if TYPE_CHECKING:
    from lineardyn.networks import LinearNetwork

__all__ = ["ConservationLaws"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
NO_SLOPE = np.empty(0)


@dataclass(frozen=True)
class ConservationLaws:
    """Balance matrices of a start, and the way back to them: see the text of this module.

    ``values (L-1, F)`` are real where each hidden layer of a CNN has one channel, else ``(F, Σ C_l²)`` complex; ``at``
    and ``hidden`` say where the layers and their balance matrices begin among the numbers of a frequency; ``metric``
    is the square root of the weights of the coordinates of a fully connected network, nothing for a CNN.

    >>> import numpy as np
    >>> from lineardyn import LinearCNN, balance
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> state = network.pack(network.init_small(0.1, rng=0))
    >>> before, laws = balance(network, network.unpack(state))[0], ConservationLaws.of(network, state, 0.0)
    >>> state = state + 0.01 * network.pack(network.init_small(1.0, rng=1))
    >>> predictor = network.effective_predictor(network.unpack(state))
    >>> laws.restore(state, 0.0)
    >>> after = network.unpack(state)
    >>> bool(np.allclose(balance(network, after)[0], before, rtol=0, atol=1e-16))
    True
    >>> bool(np.allclose(network.effective_predictor(after), predictor, rtol=0, atol=1e-16))
    True
    """

    sizes: NDArray[np.int64]
    at: NDArray[np.int64]
    hidden: NDArray[np.int64]
    length: int
    metric: Floats | None
    decay: float
    values: Floats | Complexes

    @classmethod
    def of(cls, network: LinearNetwork, start: Floats, weight_decay: float) -> ConservationLaws:
        """The laws of a flow from a packed state without padding."""
        from lineardyn.networks import LinearCNN

        conv = isinstance(network, LinearCNN)
        sizes = np.array(network.sizes, dtype=np.int64)
        at = np.concatenate([[0], np.cumsum(sizes[1:] * sizes[:-1])])
        hidden = np.concatenate([[0], np.cumsum(sizes[1:-1] ** 2)])
        metric = None if conv else np.sqrt(network.state_weights)
        networks = _networks(start, int(at[-1]), network.half.size, metric)
        values = np.empty((len(networks), hidden[-1]), dtype=np.complex128)
        for z, matrices in zip(networks, values, strict=True):
            _geometric_kernels.balance(z, sizes, at, hidden, matrices)
        scalar = conv and bool((sizes[1:-1] == 1).all())
        laws = np.ascontiguousarray(values.real.T) if scalar else values
        return cls(sizes, at, hidden, network.half.size if conv else 1, metric, weight_decay, laws)

    def restore(self, state: Floats, time: float, slope: Floats = NO_SLOPE) -> None:
        """Move a packed state, padded or not, to where the laws hold, in place, and with it ``slope``, f there."""
        fade = float(np.exp(-2.0 * self.decay * time))
        if self.decay and slope.size:
            slope += self.decay * state  # the rest is the gradient of the bare loss
        if self.values.dtype == np.float64:
            n = state.size // (2 * int(self.at[-1]))
            _geometric_kernels.restore_scalars(state, slope, 2 * n * self.at, n, self.values, fade)
        else:
            self._restore_matrices(state, slope, fade)
        if self.decay and slope.size:
            slope -= self.decay * state

    def _restore_matrices(self, state: Floats, slope: Floats, fade: float) -> None:
        n_numbers = int(self.at[-1])
        networks = _networks(state, n_numbers, self.length, self.metric)
        slopes = _networks(slope, n_numbers, self.length, self.metric)
        _geometric_kernels.restore_matrices(networks, slopes, self.values, fade, self.sizes, self.at, self.hidden)
        for flat, found in ((state, networks), (slope, slopes)):
            if self.metric is None:
                spectra = flat.reshape(n_numbers, 2, -1)
                spectra[:, 0, : len(found)], spectra[:, 1, : len(found)] = found.real.T, found.imag.T
            elif flat.size:
                flat[:] = found[0].real / self.metric


def _networks(flat: Floats, n_numbers: int, length: int, metric: Floats | None) -> Complexes:
    """A packed state, frequency by frequency: ``(F, n_numbers)``, none if it is empty."""
    if metric is not None:
        return (flat * metric).astype(np.complex128)[None] if flat.size else np.empty((0, n_numbers), np.complex128)
    spectra = flat.reshape(n_numbers, 2, -1)[:, :, :length]
    return np.ascontiguousarray((spectra[:, 0] + 1j * spectra[:, 1]).T)
