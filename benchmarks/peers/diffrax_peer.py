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


class DiffraxFlow:
    """Dopri8, jitted once for a problem and a number of output times; times, tolerances and start are arguments."""

    def __init__(self, problem: FlowProblem, *, variant: str = "split") -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.packed = Packed(problem)
        self.variant = variant
        self.field, self.effective_of = _field(problem, self.packed, variant)
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
            max_steps=None,
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
        import jax

        return np.asarray(jax.vmap(self.effective_of)(states))


def _field(problem: FlowProblem, packed: Packed, variant: str) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """The right-hand side of a variant and the function that reads B from its state."""
    import jax.numpy as jnp

    constants = _halves(problem, packed)
    k = problem.n_outputs
    build = {"split": _split, "four": _four}[variant]
    return build(k, len(packed.indices), *(jnp.asarray(c) for c in constants))


def _halves(problem: FlowProblem, packed: Packed) -> tuple[Floats, Floats, Floats]:
    """``S (K, K)``, ``to_b (2F, K)`` and ``q̄ (K, 2F)`` with Re and Im in halves (modes form only)."""
    if problem.gram is not None:
        raise ValueError("the diffrax peer is written for coherent classes")
    q = np.concatenate([packed.q_conj[:, 0::2], packed.q_conj[:, 1::2]], axis=1)
    to_b = np.concatenate([packed.to_b[0::2], packed.to_b[1::2]], axis=0)
    return packed.s, np.ascontiguousarray(to_b), np.ascontiguousarray(q)


def _split(k: int, f: int, s: Any, to_b: Any, q: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    import jax.numpy as jnp

    def parts(y: Any) -> tuple[Any, ...]:
        rows = y.reshape(k + 1, 2 * f)
        return rows[0, :f], rows[0, f:], rows[1:, :f], rows[1:, f:]

    def effective(y: Any) -> Any:
        kr, ki, ar, ai = parts(y)
        return jnp.concatenate([ar * kr - ai * ki, ar * ki + ai * kr], axis=1) @ to_b

    def field(y: Any) -> Any:
        kr, ki, ar, ai = parts(y)
        pull = (s - effective(y)) @ q
        gr, gi = pull[:, :f], pull[:, f:]
        top = jnp.concatenate(_sums_over_classes(ar, ai, gr, gi))
        rows = jnp.concatenate([kr * gr + ki * gi, kr * gi - ki * gr], axis=1)
        return jnp.concatenate([top, rows.ravel()])

    return field, effective


def _sums_over_classes(ar: Any, ai: Any, gr: Any, gi: Any) -> tuple[Any, Any]:
    """Re and Im of ``Σ_γ conj(A_γ) G_γ``, written out."""
    rows = range(len(ar))
    real = sum(ar[i] * gr[i] + ai[i] * gi[i] for i in rows)
    return real, sum(ar[i] * gi[i] - ai[i] * gr[i] for i in rows)


def _four(k: int, f: int, s: Any, to_b: Any, q: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    br, bi, qr, qi = to_b[:f], to_b[f:], q[:, :f], q[:, f:]

    def effective(y: Any) -> Any:
        kr, ki, ar, ai = y
        return (ar * kr - ai * ki) @ br + (ar * ki + ai * kr) @ bi

    def field(y: Any) -> Any:
        kr, ki, ar, ai = y
        e = s - effective(y)
        gr, gi = e @ qr, e @ qi
        return *_sums_over_classes(ar, ai, gr, gi), kr * gr + ki * gi, kr * gi - ki * gr

    return field, effective
