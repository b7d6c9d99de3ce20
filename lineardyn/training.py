"""Gradient descent as it is run in practice: full batch, mini-batch, one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.descent import recorded_steps
from lineardyn.ensembles.axes import StackedWeights, number_of_runs, pack_starts, spread
from lineardyn.ensembles.descents import DescentSweep
from lineardyn.ensembles.ensemble import Ensemble
from lineardyn.ensembles.running import OnResult, check_single, run_sweep
from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.executors import ExecutorLike
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearNetwork
from lineardyn.progress import progress_bar
from lineardyn.stability import divergence, max_learning_rate
from lineardyn.trajectory import DescentSettings, Trajectory
from lineardyn.validation import Rng, as_generator, check_count, check_network, check_number

__all__ = ["gradient_descent", "max_learning_rate"]

Floats = NDArray[np.float64]
Data = SecondMoments | tuple[ArrayLike, ArrayLike]
Several = Sequence[float] | NDArray[np.float64]


@overload
def gradient_descent(
    network: LinearNetwork, data: Data, weights: StackedWeights, *,
    learning_rate: float | Several, n_steps: int, batch_size: int | None = ..., weight_decay: float | Several = ...,
    rng: Rng | Sequence[Rng] | None = ..., record_every: int = ..., throw: bool = ..., progress: bool = ...,
    threads: int | None = ..., executor: ExecutorLike | None = ..., on_result: OnResult | None = ...,
) -> Ensemble: ...  # fmt: skip
@overload
def gradient_descent(
    network: LinearNetwork, data: Data, weights: Sequence[ArrayLike], *,
    learning_rate: Several, n_steps: int, batch_size: int | None = ..., weight_decay: float | Several = ...,
    rng: Rng | Sequence[Rng] | None = ..., record_every: int = ..., throw: bool = ..., progress: bool = ...,
    threads: int | None = ..., executor: ExecutorLike | None = ..., on_result: OnResult | None = ...,
) -> Ensemble: ...  # fmt: skip
@overload
def gradient_descent(
    network: LinearNetwork, data: Data, weights: Sequence[ArrayLike], *,
    learning_rate: float, n_steps: int, batch_size: int | None = ..., weight_decay: Several,
    rng: Rng | Sequence[Rng] | None = ..., record_every: int = ..., throw: bool = ..., progress: bool = ...,
    threads: int | None = ..., executor: ExecutorLike | None = ..., on_result: OnResult | None = ...,
) -> Ensemble: ...  # fmt: skip
@overload
def gradient_descent(
    network: LinearNetwork, data: Data, weights: Sequence[ArrayLike], *,
    learning_rate: float, n_steps: int, batch_size: int | None = ..., weight_decay: float = ...,
    rng: Rng | None = ..., record_every: int = ..., throw: bool = ..., progress: bool = ...,
) -> Trajectory: ...  # fmt: skip
def gradient_descent(
    network: LinearNetwork,
    data: Data,
    weights: Sequence[ArrayLike],
    *,
    learning_rate: float | Several,
    n_steps: int,
    batch_size: int | None = None,
    weight_decay: float | Several = 0.0,
    rng: Rng | Sequence[Rng] | None = None,
    record_every: int = 1,
    throw: bool = True,
    progress: bool = False,
    threads: int | None = None,
    executor: ExecutorLike | None = None,
    on_result: OnResult | None = None,
) -> Trajectory | Ensemble:
    r"""Gradient descent ``w ← w - η ∇ℒ``, ``ℒ = ½⟨‖y - f(x)‖²⟩ + ½ weight_decay Σ_l ‖w_l‖²``.

    The step is taken in Fourier space, where it is the same step: the DFT is unitary.

    Parameters
    ----------
    network : LinearCNN or LinearFCN
    data : (images, targets) or SecondMoments
        Full batch takes either. With ``batch_size``, images are needed: a pair, or SecondMoments of ``form="samples"``
        (made once, they serve many runs).
    weights : list of arrays
        The start, in pixel space, layer 1 first. For an ensemble each array has a leading axis of R runs:
        :func:`stack_weights` makes such a list of several starts.
    learning_rate : float or (R,)
        η; ``Trajectory.t`` is η × step. Frameworks' ``mse`` has another unit: see ``convert_learning_rate``.
    n_steps : int
    batch_size : int, optional
        Images of each step, drawn uniformly with replacement: ``rng.integers(N, size=(n_steps, batch_size))``.
    weight_decay : float or (R,)
    rng : int or Generator
        Required with ``batch_size``. An ensemble takes one for each run as well; a single one is spawned, and run r
        draws from ``numpy.random.default_rng(rng).spawn(R)[r]``.
    record_every : int
        The first and the last step are always recorded.
    throw : bool
        Raise where the weights become infinite, or return the part before.
    progress : bool
        Show a progress bar.
    threads, executor, on_result
        Of ensembles only, see the Notes of :func:`gradient_flow`. Full-batch runs over dense statistics share matrix
        products, and nothing else.

    Returns
    -------
    Trajectory, or Ensemble where an argument has a leading axis of runs
        ``stats`` holds ``method`` ("full batch" or "batches of n") and ``n_steps``, the last recorded one.

    Raises
    ------
    ArgumentError
        For arguments that do not fit one another.
    ComputationError
        With ``throw``, if the descent diverged; it holds the finite part, and says which rates are stable.

    References
    ----------
    Pinson, Lenaerts, Ginis (ICML 2023), eq 9-11 (one sample a step); its distance to the flow is O(η) at a fixed time.

    Examples
    --------
    >>> from lineardyn import LinearCNN, gradient_descent, pure_cosines
    >>> data = pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5])
    >>> network = LinearCNN((1, 8, 8), n_outputs=2)
    >>> run = gradient_descent(network, data, network.init_small(1e-2, rng=0), learning_rate=0.01, n_steps=200,
    ...                        batch_size=1, rng=0, record_every=100)
    >>> run.t
    array([0., 1., 2.])
    """
    check_network(network)
    n_runs = number_of_runs(network, weights, learning_rate=learning_rate, weight_decay=weight_decay)
    settings = DescentSettings(
        weight_decay=0.0 if n_runs else check_number("weight_decay", weight_decay, minimum=0.0),  # type: ignore[arg-type]
        learning_rate=1.0 if n_runs else check_number("learning_rate", learning_rate, minimum=0.0, strict=True),  # type: ignore[arg-type]
        n_steps=check_count("n_steps", n_steps),
        batch_size=None if batch_size is None else check_count("batch_size", batch_size),
    )
    if rng is None and batch_size is not None:
        raise ArgumentError("rng is None, expected a seed or a numpy.random.Generator: batch_size draws images")
    generators = _generators(rng, n_runs or 1, single=not n_runs)
    moments = _moments(data, batch_size)
    network.check_moments(moments)
    every = check_count("record_every", record_every)
    starts = pack_starts(network, weights, n_runs) if n_runs else network.pack(weights)[None]
    steps = recorded_steps(settings.n_steps, every, 8 * starts.shape[1])
    if n_runs:
        decays = spread("weight_decay", weight_decay, n_runs)
        rates = spread("learning_rate", learning_rate, n_runs, strict=True)
        each = zip(rates.tolist(), decays.tolist(), strict=True)
        sweep = DescentSweep(
            network, moments, starts,
            tuple(replace(settings, learning_rate=rate, weight_decay=decay) for rate, decay in each),
            steps, every, generators if batch_size else (),
        )  # fmt: skip
        options: dict[str, Any] = {"threads": threads, "executor": executor, "on_result": on_result}
        return run_sweep(sweep, "gradient_descent", progress=progress, throw=throw, **options)
    check_single(threads=threads, executor=executor, on_result=on_result)
    run = DescentSweep(network, moments, starts, (settings,), steps, every, generators if batch_size else ())
    out = np.empty((1, len(steps), starts.shape[1]))
    with progress_bar("gradient descent", 1.0, shown=progress) as report:
        (outcome,) = run.solve(slice(0, 1), out, run.prepare(), report)
    trajectory = run.trajectory(0, out[0], outcome)
    if throw and outcome.status is not Status.SUCCESS:
        reached = (
            f"gradient_descent stopped after step {trajectory.stats['n_steps']} of {n_steps}. {outcome.status.value}"
        )
        limits = divergence(network, moments, starts[0], settings.learning_rate, settings.weight_decay, batch_size)
        raise ComputationError(outcome.status, f"{reached} {limits}", trajectory)
    return trajectory


def _generators(rng: Rng | Sequence[Rng] | None, n_runs: int, *, single: bool) -> tuple[np.random.Generator, ...]:
    """One for each run: those given, or spawned from one; that one itself where there is a single run."""
    if rng is None:
        return ()
    if isinstance(rng, list | tuple | np.ndarray) and not single:
        if len(rng) != n_runs:
            raise ArgumentError(f"rng has {len(rng)} seeds or generators, expected {n_runs}: one for each run")
        return tuple(as_generator(each, f"rng[{i}]") for i, each in enumerate(rng))
    generator = as_generator(rng)  # type: ignore[arg-type]
    return (generator,) if single else tuple(generator.spawn(n_runs))


def _moments(data: Data, batch_size: int | None) -> SecondMoments:
    form = "auto" if batch_size is None else "samples"
    if isinstance(data, SecondMoments):
        if batch_size is not None and data.form != "samples":
            raise ArgumentError(
                f"data holds moments of form {data.form!r}, expected images for batch_size={batch_size}: pass "
                f"(images, targets), or SecondMoments.from_data(images, targets, form='samples')"
            )
        return data
    try:
        images, targets = data
    except (TypeError, ValueError):
        raise ArgumentError(f"data is a {type(data).__name__}, expected (images, targets) or SecondMoments") from None
    return SecondMoments.from_data(images, targets, form=form)
