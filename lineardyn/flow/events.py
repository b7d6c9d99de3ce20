"""Events: when a mode is learned, when the loss is low enough, when learning has ended."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.flow import _kernels
from lineardyn.flow.landscape import Landscape
from lineardyn.flow.stepping import EVENT, _Run
from lineardyn.validation import check_count, check_number, shown

if TYPE_CHECKING:
    from lineardyn.modes import Modes
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork, Weights

__all__ = ["AnyEvent", "Event", "Flow", "LossBelow", "ModeLearned", "Stationary", "Watcher", "check_events"]

Floats = NDArray[np.float64]
Margin = Callable[[float, Floats], float]
"""Of a time and a packed state: negative before the event, >= 0 once it has happened."""


@dataclass(frozen=True)
class Flow:
    """What is integrated; flows that ``replace`` makes of it with other weight decays find the modes once for all."""

    network: LinearNetwork
    moments: SecondMoments
    weight_decay: float
    found: dict[str, Modes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def modes(self) -> Modes:
        if "modes" not in self.found:
            self.found["modes"] = self.moments.modes()
        return self.found["modes"]


@dataclass(frozen=True)
class Event:
    r"""The first time at which ``function(t, weights) >= 0``, for ``gradient_flow(..., events=[...])``.

    Parameters
    ----------
    function : (t, weights) → float
        Continuous; weights in pixel space, layer 1 first. Return minus what falls through zero.
    terminal : bool
        End the run there: the time of the event and its state are the last that are recorded.

    Notes
    -----
    The run goes its steps as if nobody looked. The function is looked at after each of them; where it has become >= 0,
    the time is the root of the function along the dense output of that step, by Brent's method: recording that very
    time gives that very state. So an event that has come and gone between two steps is not seen, and of several
    crossings inside one step one is found. Steps are short while anything is learned.

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn import Event, LinearCNN, SecondMoments, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 8, 8), n_outputs=2)
    >>> norm = Event(lambda t, weights: np.linalg.norm(weights[0]) - 0.1)
    >>> run = gradient_flow(network, moments, network.init_small(1e-3, rng=0), [2.0], events=[norm])
    >>> [round(t, 4) for t in run.events]
    [0.1815]
    """

    function: Callable[[float, Weights], float]
    terminal: bool = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentError(f"function is {shown(self.function)}, expected a function of (t, weights)")

    def margin(self, flow: Flow) -> Margin:
        """Before the event negative, then >= 0."""

        def value(t: float, state: Floats) -> float:
            number = self.function(t, flow.network.unpack(state))
            try:
                result = float(number)
            except (TypeError, ValueError):
                result = math.nan
            if not math.isfinite(result):
                raise ArgumentError(f"function gives {shown(number)} at t = {t:g}, expected a finite number")
            return result

        return value


class _OwnEvent(ABC):
    """An event of this library."""

    terminal: bool

    @abstractmethod
    def margin(self, flow: Flow) -> Margin:
        """Before the event negative, then >= 0."""


@dataclass(frozen=True)
class ModeLearned(_OwnEvent):
    """The first time at which ``B_αα >= fraction · s_α``: the learning time of mode α.

    Parameters
    ----------
    mode : int
        α, 0 for the largest singular value; not a null mode.
    fraction : float
        0 < fraction <= 1.
    terminal : bool
        End the run there; see :class:`Event`.

    Notes
    -----
    Pinson et al. (2023), eq 5 for B. ``learning_time`` and ``ModeClock.learning_time`` are the closed forms.
    """

    mode: int
    fraction: float = 0.5
    terminal: bool = False

    def __post_init__(self) -> None:
        check_count("mode", self.mode, minimum=0)
        check_number("fraction", self.fraction, minimum=0.0, strict=True, maximum=1.0)

    def margin(self, flow: Flow) -> Margin:
        modes, weights = flow.modes, flow.moments.weights
        if self.mode >= len(modes.s) or modes.null[self.mode]:
            seen = np.flatnonzero(~modes.null)[-1]
            raise ArgumentError(f"mode is {self.mode}, expected one of 0 .. {seen}: the modes with s > 0 of these data")
        row = flow.moments.pack(modes.v[[self.mode]]) * weights
        right = flow.moments.apply(row)[0] * weights  # Σ^xx v_α
        left, goal = modes.u[:, self.mode], self.fraction * modes.s[self.mode]

        def value(t: float, state: Floats) -> float:
            return float(left @ (flow.network.predictors(state[None])[0] @ right) - goal)

        return value


@dataclass(frozen=True)
class LossBelow(_OwnEvent):
    """The first time at which the loss, weight decay included as in ``Trajectory.loss``, is at most ``value`` > 0.

    The flow lowers it always, so that this time is the only one. ``terminal`` ends the run there; see :class:`Event`.
    """

    value: float
    terminal: bool = False

    def __post_init__(self) -> None:
        check_number("value", self.value, minimum=0.0, strict=True)

    def margin(self, flow: Flow) -> Margin:
        penalty = 0.5 * flow.weight_decay * flow.network.state_weights

        def value(t: float, state: Floats) -> float:
            bare = float(flow.moments.losses(flow.network.predictors(state[None]))[0])
            return self.value - bare - float(state**2 @ penalty)

        return value


@dataclass(frozen=True)
class Stationary(_OwnEvent):
    r"""The first time at which the loss has no more than ``rtol · ½⟨‖y‖²⟩`` to gain: learning has ended.

    A small gradient alone says nothing: a small start is a plateau, and so is the time between one mode and the next.
    Stationary is where none of these would lower the loss by more:

    - to go on as long again at the present rate, ``t ‖∇ℒ‖²``;
    - the steepest line, followed to its lowest point (the loss is a polynomial along it);
    - the same along Newton's direction, which leads to what slow directions have still to learn;
    - any line of negative curvature, the same way: at a saddle one leads down, at a minimum none does.

    Parameters
    ----------
    rtol : float
        0 < rtol <= 1, relative to the loss of the predictor 0.
    terminal : bool
        End the run there; see :class:`Event`.

    Notes
    -----
    Lines of negative curvature come from Krylov spaces of the Hessian, with products that are exact, and are only
    looked for where the rest holds. A judgement, therefore, not a proof: growth slower than about 1e-3 of the fastest
    relaxation can be missed, and the last mode of a deep network that starts almost at 0 grows that slowly. What is
    learned so slowly that t is still small beside it counts as learned.

    Examples
    --------
    >>> from lineardyn import LinearCNN, SecondMoments, Stationary, gradient_flow, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 8, 8), n_outputs=2)
    >>> end = Stationary(rtol=1e-6, terminal=True)
    >>> run = gradient_flow(network, moments, network.init_small(1e-3, rng=0), [1e3], events=[end])
    >>> run.status.name, bool(0.5 < run.t[-1] < 3.0), bool(run.loss[-1] < 1e-6)
    ('EVENT', True, True)
    """

    rtol: float = 1e-6
    terminal: bool = False

    def __post_init__(self) -> None:
        check_number("rtol", self.rtol, minimum=0.0, strict=True, maximum=1.0)

    def margin(self, flow: Flow) -> Margin:
        return _Plateaus(
            Landscape.of(flow.network, flow.moments, flow.weight_decay), 0.5 * self.rtol * flow.moments.target_power
        )


@dataclass
class _Plateaus:
    """``ln(allowed gain / promised gain)``; remembers a direction that led off the present plateau."""

    landscape: Landscape
    allowed: float
    way_off: Floats | None = None

    def __call__(self, t: float, state: Floats) -> float:
        promised = self._along_the_flow(t, state)
        if promised <= self.allowed:
            promised = max(promised, self._off_the_plateau(state))
        if promised == 0.0:
            return 1.0
        return float(np.clip(math.log(max(self.allowed, 1e-300)) - math.log(promised), -700.0, 1.0))

    def _along_the_flow(self, t: float, state: Floats) -> float:
        slope = self.landscape.descent(state)
        power = float(slope @ slope)
        if not math.isfinite(power):
            return math.inf
        if t * power > self.allowed:
            return t * power
        return max(t * power, self.landscape.gain(state, slope))

    def _off_the_plateau(self, state: Floats) -> float:
        """The most that any of the other lines was seen to gain, or the first that is too much."""
        best = 0.0 if self.way_off is None else self.landscape.gain(state, self.way_off)
        if best <= self.allowed:
            slope = self.landscape.descent(state)
            best = max(best, self.landscape.gain(state, self.landscape.newton_direction(state, slope)))
        if best > self.allowed:
            return best
        start = np.random.default_rng(0).standard_normal(state.size)
        best = max(best, self.landscape.gain(state, start))  # at a saddle of higher order no curvature says where
        for values, vectors in self.landscape.low_directions(state, start):
            for vector in vectors[values < 0.0]:
                gain = self.landscape.gain(state, vector)
                best = max(best, gain)
                if gain > self.allowed:
                    self.way_off = vector
                    return gain
        return best


AnyEvent = Event | _OwnEvent


def check_events(events: Any) -> tuple[AnyEvent, ...]:
    """Return the events as a tuple."""
    wanted = "expected a list of ModeLearned, LossBelow, Stationary or Event"
    if not isinstance(events, Sequence) or isinstance(events, str):
        raise ArgumentError(f"events is {shown(events)}, {wanted}: write [event]")
    for i, event in enumerate(events):
        if not isinstance(event, Event | _OwnEvent):
            raise ArgumentError(f"events[{i}] is {shown(event)}, {wanted}")
    return tuple(events)


@dataclass
class Watcher:
    """Looks at a run after each step; ``times`` are those of the events, None where one has not happened.

    ``stop`` is the time and the state at which a terminal event ended the run, ``state`` the last one seen. ``report``
    is told the time of each step, and may raise: a slow function must not keep a thread that nobody waits for.
    """

    events: tuple[AnyEvent, ...]
    flow: Flow
    state: Floats
    report: Callable[[float], None] | None = field(init=False, default=None)
    times: list[float | None] = field(init=False)
    stop: tuple[float, Floats] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._margins = [self._quietly(event.margin(self.flow)) for event in self.events]
        self.times = [None] * len(self.events)
        self._values = [-math.inf] * len(self.events)
        self._before: _Run | None = None
        self._source: _Run | None = None
        self._look(0.0, 0.0, lambda t: self.state)

    @staticmethod
    def _quietly(margin: Margin) -> Margin:
        def value(t: float, state: Floats) -> float:
            with np.errstate(over="ignore", invalid="ignore"):
                number = margin(t, state)
            return -1e300 if math.isnan(number) else max(-1e300, min(number, 1e300))

        return value

    def advance(self, run: _Run, budget: int, max_steps: int) -> int:
        """Take up to ``budget`` steps, as the kernel would."""
        if self.stop is not None:
            return EVENT
        if self._before is None or self._source is not run:
            self._before, self._source = run.twin(), run
        before = self._before
        for _ in range(budget):
            before.follow(run)
            start = float(run.control[_kernels.TIME])
            code = run.advance(1, max_steps)
            end = float(run.control[_kernels.TIME])
            if end > start:
                self.state = run.layout.unpad(run.y).copy()
                if self._look(start, end, lambda t: self._inside(run, before, t)):
                    return EVENT
                if self.report is not None:
                    self.report(end)
            if code != _kernels.RUNNING:
                return code
        return int(_kernels.RUNNING)

    def wait(self, start: float, end: float, state: Floats) -> bool:
        """The same while nothing moves."""
        if self.stop is not None:
            return True
        self.state = state
        return self._look(start, end, lambda t: state)

    def _inside(self, run: _Run, before: _Run, t: float) -> Floats:
        probe = before.twin()
        probe.times = run.times
        state: Floats = probe.states_inside(np.array([t]))[0]
        return state

    def _look(self, start: float, end: float, inside: Callable[[float], Floats]) -> bool:
        """Find what has happened up to ``end``, where the state is ``self.state``; True where the run ends."""
        waiting = [i for i, t in enumerate(self.times) if t is None]
        values = {i: self._margins[i](end, self.state) for i in waiting}
        found = {i: self._root(i, start, end, values[i], inside) for i in waiting if values[i] >= 0.0}
        last = min((t for i, t in found.items() if self.events[i].terminal), default=math.inf)
        for i, t in found.items():
            if t <= last:
                self.times[i] = t
        for i in waiting:
            self._values[i] = values[i]
        if last == math.inf:
            return False
        self.stop = (last, self.state if last == end else inside(last))
        return True

    def _root(self, i: int, start: float, end: float, value: float, inside: Callable[[float], Floats]) -> float:
        """The time at which margin i becomes >= 0, from its values at both ends."""
        if end == start or value == 0.0 or end <= np.nextafter(start, math.inf):
            return end
        known = {start: self._values[i], end: value}
        margin = self._margins[i]
        return float(
            scipy.optimize.brentq(
                lambda t: known[t] if t in known else margin(t, inside(t)), start, end, xtol=1e-300, maxiter=500
            )
        )

    def record(self, times: Floats, states: Floats) -> tuple[Floats, Floats]:
        """What was recorded, up to where a terminal event ended the run, that point included."""
        if self.stop is None:
            return times, states
        last, state = self.stop
        n = int(np.searchsorted(times, last))
        return np.append(times[:n], last), np.concatenate([states[:n], state[None]])
