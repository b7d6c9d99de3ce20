"""The learning rate that gradient descent bears, and what to say where it was too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.flow.events import Flow, Stationary, Watcher
from lineardyn.flow.integration import integrate
from lineardyn.flow.landscape import Landscape
from lineardyn.validation import check_network, check_number

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork

__all__ = ["divergence", "max_learning_rate"]

Floats = NDArray[np.float64]
FLOW_FLOPS = 2e10
"""Work spent on the flow that says what rate would have been stable: seconds."""


def max_learning_rate(
    network: LinearNetwork, moments: SecondMoments, weights: Sequence[ArrayLike], *, weight_decay: float = 0.0
) -> float:
    r"""``2 / λ_max(∇²ℒ)`` at ``weights``: above it full-batch gradient descent is unstable near a minimum there.

    At the end of learning of one pure cosine this is ``√m / (√P s)`` [theory section 2.3]; at a small start the largest
    eigenvalue is the fastest growth rate instead. Infinite where the loss has no direction of positive curvature.

    Examples
    --------
    >>> from lineardyn import LinearCNN, SecondMoments, max_learning_rate, pure_cosines
    >>> moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 0)], [1.0, 0.5]))
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> round(max_learning_rate(network, moments, network.init_small(1e-8, rng=0)), 3)
    0.25
    """
    check_network(network)
    network.check_moments(moments)
    decay = check_number("weight_decay", weight_decay, minimum=0.0)
    return _limit(Landscape.of(network, moments, decay), network.pack(weights))


def _limit(landscape: Landscape, state: Floats) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # numbers that overflow are said in words
        largest = landscape.largest_curvature(state)
    return float(2.0 / largest) if largest > 0.0 else float("inf")


def divergence(
    network: LinearNetwork,
    moments: SecondMoments,
    start: Floats,
    learning_rate: float,
    weight_decay: float,
    batch_size: int | None,
) -> str:
    """Where full-batch descent from the packed state ``start`` would be stable, in words.

    A limit belongs to a state. That of the diverged one says nothing; those of the start, and of the point where the
    flow from there has learned, are the ones that a smaller rate has to respect.
    """
    landscape = Landscape.of(network, moments, weight_decay)
    watcher = Watcher((Stationary(1e-3, terminal=True),), Flow(network, moments, weight_decay), start)
    try:
        first = _limit(landscape, start)
        span = np.array([1e6 * min(first, 1e100)])  # in units of the fastest growth: longer than the budget lasts
        budget = int(np.clip(FLOW_FLOPS / (100.0 * landscape.arguments.flops), 10, 2000))
        integrate(
            network, moments, start, span, weight_decay=weight_decay, method="auto", rtol=1e-3, atol=1e-6,
            max_steps=budget, watcher=watcher,
        )  # fmt: skip
        last = _limit(landscape, watcher.state)
    except ArgumentError as error:  # it overflows already there
        return f"learning_rate is {learning_rate:g}; the limit is unknown: {error}"
    where = "where learning ends" if watcher.stop is not None else "as far as gradient flow was followed"
    limits = f"the limit 2/λ_max(∇²ℒ) is {first:.3g} at the start and {last:.3g} {where}"
    batches = "" if batch_size is None else f"; steps of {batch_size} images bear less"
    return f"learning_rate is {learning_rate:g}; {limits}{batches}"
