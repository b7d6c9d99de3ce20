"""The same flow in diffrax, made as fast as we know how: the half spectrum in float64, two layouts, the faster counts.

- ``split``: the state is one flat vector, Re and Im in halves; one real matrix product each way (constants K×2F);
- ``four``: Re and Im of κ and A are four arrays, so that no slice is copied; two products each way.

Tried first and slower (16²×4, 32²×10, 64²×10: time of a flow over the better of these two): κ (2, F) and A (K, 2, F)
with contractions over two axes 1.18 / 1.08 / 1.16; frequencies along the rows 1.66 / 1.35 / 1.38. Tried without effect:
XLA's 512-bit vectors; B instead of the state at the output times (``SaveAt(fn=...)``). Found to help and in use: sums
over classes written out (XLA's column reductions cost twice as much), the plain loop of ``ForwardMode``, and a PI
controller (0.4, 0.3): with diffrax's default one step in four is rejected where stability limits the step (1.2×).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.problems import Floats, FlowProblem
from benchmarks.peers.right_hand_sides import Packed

VARIANTS = ("split", "four")
MAX_STEPS = 2_000_000  # a bound, far from reached: rejected steps of a lost solution would go on for ever


class DiffraxFlow:
    """Dopri8, jitted once for a problem and a number of output times; times, tolerances and start are arguments."""

    def __init__(self, problem: FlowProblem, *, variant: str = "split") -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.packed = Packed(problem)
        self.variant = variant
        self.field = {"split": _split, "four": _four}[variant](self.packed)
        self.solve = jax.jit(self._solve)

    def _solve(self, y0: Any, times: Any, rtol: Any, atol: Any) -> Any:
        import diffrax

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: self.field(y)),
            diffrax.Dopri8(),
            t0=0.0,
            t1=times[-1],
            dt0=None,
            y0=y0,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, pcoeff=0.4, icoeff=0.3),
            adjoint=diffrax.ForwardMode(),  # a plain while loop: the default checkpoints for a gradient nobody takes
            max_steps=MAX_STEPS,
            throw=False,
        )
        return solution.ys, solution.stats["num_steps"], solution.result == diffrax.RESULTS.successful

    def state(self, weights: list[Floats]) -> Any:
        """Initial state in the layout of this variant, on the device of jax."""
        import jax
        import jax.numpy as jnp

        z = self.packed.state(weights).reshape(-1, len(self.packed.indices), 2).transpose(0, 2, 1)
        parts = (z[0, 0], z[0, 1], z[1:, 0], z[1:, 1]) if self.variant == "four" else z.ravel()
        return jax.block_until_ready(jax.tree.map(jnp.array, parts))

    def __call__(self, y0: Any, times: Floats, rtol: float, atol: float) -> tuple[Any, int, bool]:
        """Solve; returns the states at the output times, the number of steps, and whether it came to the end."""
        import jax

        states, steps, complete = jax.block_until_ready(self.solve(y0, times, rtol, atol))
        return states, int(steps), bool(complete)

    def effective(self, states: Any) -> Floats:
        """B (T, K, K) of the states."""
        k, f = self.packed.problem.n_outputs, len(self.packed.indices)
        if self.variant == "four":
            kr, ki, ar, ai = (np.asarray(part) for part in states)
            rows = np.concatenate([np.stack([kr, ki], 1)[:, None], np.stack([ar, ai], 2)], axis=1)
        else:
            rows = np.asarray(states).reshape(-1, k + 1, 2, f)
        interleaved = np.ascontiguousarray(rows.transpose(0, 1, 3, 2))
        return np.array([self.packed.effective(y.ravel()) for y in interleaved])


def _halves(interleaved: Any) -> Floats:
    """Columns of interleaved Re, Im as all Re, then all Im."""
    flat = np.ascontiguousarray(interleaved).view(np.float64)
    return np.concatenate([flat[:, 0::2], flat[:, 1::2]], axis=1)


def _constants(packed: Packed) -> tuple[Any, Any, Any]:
    """``(S, to_b (2F, K), q̄ (K, 2F))`` of coherent classes, or ``(target (K, 2F), matrix (2F, 2F), None)``."""
    import jax.numpy as jnp

    if packed.problem.gram is None:
        arrays = packed.s, _halves(packed.to_b.T).T, _halves(packed.q_conj)
        return jnp.asarray(arrays[0]), jnp.asarray(arrays[1]), jnp.asarray(arrays[2])
    matrix = _halves(_halves(packed.gram).T).T
    return jnp.asarray(_halves(packed.target)), jnp.asarray(matrix), None


def _split(packed: Packed) -> Callable[[Any], Any]:
    import jax.numpy as jnp

    k, f = packed.problem.n_outputs, len(packed.indices)
    target, matrix, q = _constants(packed)

    def field(y: Any) -> Any:
        rows = y.reshape(k + 1, 2 * f)
        kr, ki, ar, ai = rows[0, :f], rows[0, f:], rows[1:, :f], rows[1:, f:]
        pull = target - jnp.concatenate([ar * kr - ai * ki, ar * ki + ai * kr], axis=1) @ matrix
        if q is not None:
            pull = pull @ q
        gr, gi = pull[:, :f], pull[:, f:]
        top = jnp.concatenate(_sums_over_classes(ar, ai, gr, gi))
        below = jnp.concatenate([kr * gr + ki * gi, kr * gi - ki * gr], axis=1)
        return jnp.concatenate([top, below.ravel()])

    return field


def _sums_over_classes(ar: Any, ai: Any, gr: Any, gi: Any) -> tuple[Any, Any]:
    """Re and Im of ``Σ_γ conj(A_γ) G_γ``, written out."""
    rows = range(len(ar))
    real = sum(ar[i] * gr[i] + ai[i] * gi[i] for i in rows)
    return real, sum(ar[i] * gi[i] - ai[i] * gr[i] for i in rows)


def _four(packed: Packed) -> Callable[[Any], Any]:
    f = len(packed.indices)
    target, matrix, q = _constants(packed)
    of_real, of_imag = matrix[:f], matrix[f:]

    def field(y: Any) -> Any:
        kr, ki, ar, ai = y
        zr, zi = ar * kr - ai * ki, ar * ki + ai * kr
        if q is not None:
            e = target - (zr @ of_real + zi @ of_imag)
            gr, gi = e @ q[:, :f], e @ q[:, f:]
        else:
            gr = target[:, :f] - (zr @ of_real[:, :f] + zi @ of_imag[:, :f])
            gi = target[:, f:] - (zr @ of_real[:, f:] + zi @ of_imag[:, f:])
        return *_sums_over_classes(ar, ai, gr, gi), kr * gr + ki * gi, kr * gi - ki * gr

    return field
