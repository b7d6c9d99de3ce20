"""What can go wrong, each in one clear sentence: the exceptions, and the status of a computation."""

from __future__ import annotations

from enum import Enum
from typing import Any

__all__ = ["ArgumentError", "ComputationError", "DataFileError", "LineardynError", "Status"]


class LineardynError(Exception):
    """Base of every error that this project raises on purpose."""


class ArgumentError(LineardynError, ValueError):
    """An argument that cannot be used: its name, what came, what is needed, what to do."""


class DataFileError(LineardynError, OSError):
    """A data file that is missing, truncated, of another format, or unsafe to read."""


class Status(Enum):
    """How a computation ended; the value is a sentence that says what to do about it."""

    SUCCESS = "The computation reached its end."
    EVENT = "The run stopped at an event that was asked for with terminal=True."
    MAX_STEPS = (
        "The number of steps reached max_steps before the last time asked for: raise max_steps, "
        "loosen rtol, shorten t_eval, or use method='rkc' (these flows are stiff)."
    )
    STEP_TOO_SMALL = (
        "The step size fell below the spacing of floating-point numbers: the tolerances ask for more "
        "than float64 holds; raise rtol or atol."
    )
    NON_FINITE = (
        "The right-hand side became infinite or NaN: the weights or the statistics are too large; "
        "rescale the images (for instance to [0, 1]) or start from smaller weights."
    )
    DIVERGED = (
        "Gradient descent diverged: the learning rate is above the stability limit; "
        "lower it (lineardyn.max_learning_rate gives the limit at given weights)."
    )
    MAX_ITERATIONS = (
        "The solver reached its largest number of iterations before the tolerance: raise tol, start from a nearby "
        "solution (solvers.path), or take another method."
    )
    TIME_LIMIT = (
        "The time allowed was over before the bounds met: the gap is what is known; give it more time, or take it."
    )
    INACCURATE = (
        "The conic solver reported an inaccurate solution: see the gap of the certificate; give another of cvxpy's "
        "solvers, or a method of this library."
    )
    OUT_OF_MEMORY = "There was not enough memory for a batch: lower batch_size."
    WORKER_LOST = (
        "A worker process died each time that it took up this run: give it more memory or fewer runs at once; an "
        "Executor that broke cannot be used again, pass a function that makes one, as "
        "executor=lambda: ProcessPoolExecutor(2)."
    )


class ComputationError(LineardynError, RuntimeError):
    """A computation that stopped early; ``result`` holds the part that was computed."""

    def __init__(self, status: Status, message: str, result: Any) -> None:
        super().__init__(message)
        self.status = status
        self.result = result
