"""The verb: integrate gradient flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.ensembles.axes import StackedWeights, number_of_runs, pack_starts, spread
from lineardyn.ensembles.ensemble import Ensemble
from lineardyn.ensembles.flows import FlowSweep
from lineardyn.ensembles.running import OnResult, check_single, run_sweep
from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.executors import ExecutorLike
from lineardyn.flow.events import Event, Flow, LossBelow, ModeLearned, Stationary, Watcher, check_events
from lineardyn.flow.integration import integrate
from lineardyn.flow.stepping import MAX_STEPS, METHODS
from lineardyn.progress import progress_bar
from lineardyn.trajectory import RECORD_BYTES, FlowSettings, Trajectory
from lineardyn.validation import check_choice, check_count, check_network, check_number, check_times

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork

__all__ = ["gradient_flow"]

Several = Sequence[float] | NDArray[np.float64]
Events = Sequence[Event | ModeLearned | LossBelow | Stationary]


@overload
def gradient_flow(
    network: LinearNetwork, moments: SecondMoments, weights: StackedWeights, t_eval: ArrayLike, *,
    weight_decay: float | Several = ..., method: str = ..., rtol: float = ..., atol: float = ...,
    max_steps: int | None = ..., events: Events = ..., throw: bool = ..., progress: bool = ...,
    threads: int | None = ..., executor: ExecutorLike | None = ..., on_result: OnResult | None = ...,
) -> Ensemble: ...  # fmt: skip
@overload
def gradient_flow(
    network: LinearNetwork, moments: SecondMoments, weights: Sequence[ArrayLike], t_eval: ArrayLike, *,
    weight_decay: Several, method: str = ..., rtol: float = ..., atol: float = ...,
    max_steps: int | None = ..., events: Events = ..., throw: bool = ..., progress: bool = ...,
    threads: int | None = ..., executor: ExecutorLike | None = ..., on_result: OnResult | None = ...,
) -> Ensemble: ...  # fmt: skip
@overload
def gradient_flow(
    network: LinearNetwork, moments: SecondMoments, weights: Sequence[ArrayLike], t_eval: ArrayLike, *,
    weight_decay: float = ..., method: str = ..., rtol: float = ..., atol: float = ...,
    max_steps: int | None = ..., events: Events = ..., throw: bool = ..., progress: bool = ...,
) -> Trajectory: ...  # fmt: skip
def gradient_flow(
    network: LinearNetwork,
    moments: SecondMoments,
    weights: Sequence[ArrayLike],
    t_eval: ArrayLike,
    *,
    weight_decay: float | Several = 0.0,
    method: str = "auto",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int | None = None,
    events: Events = (),
    throw: bool = True,
    progress: bool = False,
    threads: int | None = None,
    executor: ExecutorLike | None = None,
    on_result: OnResult | None = None,
) -> Trajectory | Ensemble:
    r"""Integrate ``dw/dt = -∇ℒ``, ``ℒ = ½⟨‖y - f(x)‖²⟩ + ½ weight_decay Σ_l ‖w_l‖²``, from ``weights`` at t = 0.

    Time is learning rate × full-batch steps of gradient descent on ℒ [Pinson et al. eq 15-16 for two layers, one hidden
    channel; theory section 1 in general].

    Parameters
    ----------
    network : LinearCNN or LinearFCN
    moments : SecondMoments
        of the training data.
    weights : list of arrays
        The state at t = 0, in pixel space, layer 1 first. For an ensemble each array has a leading axis of R runs:
        :func:`stack_weights` makes such a list of several starts.
    t_eval : (T,)
        Increasing times >= 0 to record; they do not change the steps (see Notes).
    method : "auto", "bs32", "tsit5", "dop853", "rkc", "rock4" or "geometric"
        See Notes; any case.
    weight_decay : float or (R,)
        λ >= 0; one for each run makes an ensemble, from one start or R.
    rtol, atol : float
        Bound the RMS of the local error, scaled by ``atol + rtol |y|``, in Fourier coordinates; > 0, rtol <= 1.
    max_steps : int, optional
        Bound on accepted and rejected steps together; 10 million by default.
    events : list of ModeLearned, LossBelow, Stationary or Event
        Their times come back in ``Trajectory.events`` and ``Ensemble.event_times``; a terminal one ends the run (of an
        ensemble that run only). They do not change the steps; dense runs are no batch then (see Notes).
    throw : bool
        Raise where the integration stops early (the exception holds the part computed), or return that part.
    progress : bool
        Show a progress bar.
    threads, executor, on_result
        Of ensembles only, see Notes: an int; a ``concurrent.futures.Executor`` or a function that makes one; a function
        that is called with ``(index, trajectory)`` of each run when it ends.

    Returns
    -------
    Trajectory, or Ensemble where an argument has a leading axis of runs
        Its ``stats``: ``requested`` and ``method``, ``n_steps``, ``n_rejected``, ``n_rhs`` (all right-hand sides) and
        ``t_reached``, and ``t_rest`` where the state was found to change no more; of RKC and ROCK4 also ``max_stages``,
        ``spectral_radius``, and ``n_rhs_radius``, spent on estimating it; of ``"auto"``, where it went over to RKC,
        ``t_stiff`` and ``n_rhs_stiff``, the right-hand sides until then, and ``n_active`` where frequencies were
        screened.

    Raises
    ------
    ArgumentError
        For arguments that do not fit one another.
    ComputationError
        With ``throw``, if the integration stopped early.

    Notes
    -----
    These flows are stiff with a real spectrum: once a mode is learned it relaxes at the rate of its own large singular
    value, while the slowest mode sets the horizon. The explicit pairs ``"bs32"`` (order 3), ``"tsit5"`` (5) and
    ``"dop853"`` (8) are then limited by stability. The stabilised methods take as many stages in a step h as the
    spectral radius ρ asks for: ``"rkc"`` (order 2) about ``√(1.5 h ρ)``, ``"rock4"`` (order 4) about ``√(2.9 h ρ)``.

    ``"auto"`` starts with DOP853 at a fifth of the tolerance, as early errors grow with the modes, and goes over to RKC
    where stability limits a step and an estimate says that RKC takes fewer right-hand sides from there;
    below rtol = 1e-8, where order 2 is too low, it never does. For the network of Pinson et al. and statistics of few
    rows RKC's stages are then spent on the ``n_active`` frequencies that matter; the others move once a step, by the
    exact flow of a frozen residual. ``n_rhs`` counts those cheaper right-hand sides as whole ones. ROCK4 loses to RKC
    here, and to DOP853 where the tolerance is tight: directions that relax fast follow modes that still grow, which
    every stage of RKC does to second order and those of ROCK4 to first only. ``docs/benchmarks.md`` has the map,
    measured, of stiffness and error → fastest method.

    ``"geometric"`` takes the steps of ``"auto"``, and after each restores what the flow conserves: at each frequency
    ``A_l A_l^H - A_{l+1}^H A_{l+1}`` is ``exp(-2λt)`` times what it was at t = 0, to 1e-13 of ``Σ_l ‖A_l‖²`` there and
    then (seen: 1e-15), at any tolerance, depth and number of channels, at every step and recorded time. The correction
    is a gauge of the hidden layers, which leaves the predictor of the step alone to round-off and takes no right-hand
    side; accuracy and number of steps are those of ``"auto"`` but for chance. See ``lineardyn.flow.geometric``.

    A horizon far beyond the end of learning costs little: the run is over where the gradient is round-off and no
    direction of negative curvature is found (``t_rest``), looked for whenever the work has doubled.

    Recorded times inside a step come from the method's dense output, of order 3, 4, 6, 2 and 3; they do not change the
    steps. A run gives the same bits each time, but in the one process that compiles its kernels: numba may link other
    copies of inner functions there, which differ in the last bits (and a step more or less with them).

    *Ensembles.* Runs go at once on ``threads`` threads (by default NUMBA_NUM_THREADS, else OMP_NUM_THREADS, else the
    number of cores). Each is what it would be alone, bit for bit (on one BLAS thread). Over dense statistics runs share
    matrix products, steps and ``max_steps`` in batches of up to 256 outputs: steps are so small that every run keeps
    the tolerance, and the same batch gives the same bits. An ``executor`` (processes; ``Client.get_executor()`` of
    dask.distributed) is given chunks of runs, each solved on one thread. What a dead worker had is tried again, three
    times; a broken pool of processes takes no more work, so give a function that makes one,
    ``executor=lambda: ProcessPoolExecutor(2)``. With ``throw`` the exception holds the Ensemble, with all that ended.

    With ``events`` each run is watched by itself. Over dense statistics runs then go one by one, as none could leave
    the shared steps of a batch at its own end; they too are what they would be alone, bit for bit. Looking at a run
    takes Python, one thread at a time: an executor of processes gains more than threads. It needs functions of your own
    from the top of a module that its workers import, no lambda; on threads they are called from several at once.

    References
    ----------
    Bogacki and Shampine 1989 (BS 3(2)); Tsitouras 2011 (5(4)); Hairer, Nørsett and Wanner, Solving ODEs I, II.5
    (DOP853; its interpolant of order 6 is ours, see ``tableaus``); Sommeijer, Shampine and Verwer 1997 (RKC); Abdulle
    2002 (ROCK4; its polynomials are ours, see ``rock4``); Hairer, Lubich and Wanner, Geometric Numerical Integration,
    IV.4 (projection on invariants; the gauge is ours).

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn import LinearCNN, SecondMoments, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 8, 8), n_outputs=2)
    >>> run = gradient_flow(network, moments, network.init_small(1e-3, rng=0), [0.0, 0.2, 2.0])
    >>> np.diagonal(run.effective_singular_values, axis1=1, axis2=2).round(2) + 0.0
    array([[0.  , 0.  ],
           [3.41, 0.  ],
           [4.  , 1.41]])
    """
    check_network(network)
    network.check_moments(moments)
    n_runs = number_of_runs(network, weights, weight_decay=weight_decay)
    times = check_times("t_eval", t_eval)
    settings = FlowSettings(
        weight_decay=0.0 if n_runs else check_number("weight_decay", weight_decay, minimum=0.0),  # type: ignore[arg-type]
        method=check_choice("method", method, ("auto", *METHODS)),
        rtol=check_number("rtol", rtol, minimum=0.0, strict=True, maximum=1.0),
        atol=check_number("atol", atol, minimum=0.0, strict=True),
        max_steps=MAX_STEPS if max_steps is None else check_count("max_steps", max_steps),
    )
    watched = check_events(events)
    if n_runs:
        starts = pack_starts(network, weights, n_runs)
        decays = spread("weight_decay", weight_decay, n_runs).tolist()
        made = {decay: replace(settings, weight_decay=decay) for decay in set(decays)}
        sweep = FlowSweep(network, moments, starts, tuple(made[decay] for decay in decays), times, watched)
        for event in watched:
            event.margin(sweep.flow)  # a mode that these data do not have is refused here, not by a worker
        options: dict[str, Any] = {"threads": threads, "executor": executor, "on_result": on_result}
        return run_sweep(sweep, "gradient_flow", progress=progress, throw=throw, **options)
    check_single(threads=threads, executor=executor, on_result=on_result)
    state = network.pack(weights)
    if 8 * state.size * len(times) > RECORD_BYTES:
        raise ArgumentError(
            f"t_eval has {len(times)} times, expected at most {RECORD_BYTES // (8 * state.size)}: one state takes "
            f"{8 * state.size} bytes; ask for fewer times (Trajectory.at gives the states between)"
        )
    states = np.empty((len(times), state.size))
    if times[0] == 0.0:  # the start is the first of them: one copy will do
        states[0] = state
        state = states[0]
    watcher = Watcher(watched, Flow(network, moments, settings.weight_decay), state) if watched else None
    with progress_bar("gradient flow", float(times[-1]), shown=progress) as report:
        result = integrate(
            network, moments, state, times, weight_decay=settings.weight_decay, method=settings.method,
            rtol=settings.rtol, atol=settings.atol, max_steps=settings.max_steps, report=report,
            watcher=watcher, out=states,
        )  # fmt: skip
    reached, states = times[: len(result.states)], result.states
    if watcher is not None:
        reached, states = watcher.record(reached, states)
    trajectory = Trajectory(
        network=network,
        moments=moments,
        t=reached,
        states=states,
        start=state,
        settings=settings,
        status=result.status,
        stats=result.stats,
        events=() if watcher is None else tuple(watcher.times),
    )
    if throw and result.status not in (Status.SUCCESS, Status.EVENT):
        message = (
            f"gradient_flow stopped at t = {trajectory.stats['t_reached']:g} of {times[-1]:g}. {result.status.value}"
        )
        raise ComputationError(result.status, message, trajectory)
    return trajectory
