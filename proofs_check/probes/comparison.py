r"""A trained model beside what the linear theory says of its data: learning order, spectrum, predictor, cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from lineardyn.fourier import fft2
from lineardyn.modes import Modes
from lineardyn.moments import SecondMoments
from lineardyn.validation import Rng, check_count, check_number, check_targets
from proofs_check.probes.model import as_numpy, asked
from proofs_check.probes.modes import against_targets, in_modes
from proofs_check.probes.sensitivity import mean_jacobian
from proofs_check.probes.tracking import layer_norms
from solvers import RegularizedProblem, solve
from solvers.result import Solution

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["Comparison", "compare_with_theory"]

Floats = NDArray[np.float64]
ROUND_OFF = 1e-12


@dataclass(frozen=True)
class Comparison:
    """What a model does, beside what the theory of linear networks of the same depth and weight decay predicts.

    Attributes
    ----------
    modes
        Of the data; ``learned (R,)`` is ``B_αα/s_α`` of the model: 0 at the start, 1 when mode α is learned.
    predictor : (H, W, K, C)
        The model's mean Jacobian in Fourier space; ``solution.predictor`` is the theory's.
    sensitivity, predicted, power : (C, H, W)
        ``⟨‖∂f/∂x̂_cf‖⟩`` of the model; the length of the columns of the theory's predictor; the data's ``⟨|x̂_cf|²⟩``.
    loss
        ``½⟨‖y - f(x)‖²⟩`` of the model, beside ``solution``'s.
    norm
        Sum of squares of the model's weights; ``least_norm`` is what the theory's predictor costs.
    """

    modes: Modes
    learned: Floats
    predictor: NDArray[np.complex128] = field(repr=False)
    solution: Solution
    sensitivity: Floats = field(repr=False)
    predicted: Floats = field(repr=False)
    power: Floats = field(repr=False)
    loss: float
    norm: float
    least_norm: float
    depth: int
    weight_decay: float

    @property
    def order_tau(self) -> float:
        """Kendall's τ of ``learned`` with s over the modes: 1 where larger singular values are learned further."""
        alive = ~self.modes.null
        return _correlation(scipy.stats.kendalltau, self.modes.s[alive], self.learned[alive])

    @property
    def spectrum_rho(self) -> float:
        """Spearman's ρ of the model's sensitivity with the data's power over frequencies (G: high variance, high)."""
        return _correlation(scipy.stats.spearmanr, self.sensitivity.ravel(), self.power.ravel())

    @property
    def predicted_rho(self) -> float:
        """Spearman's ρ of the model's sensitivity with the theory's."""
        return _correlation(scipy.stats.spearmanr, self.sensitivity.ravel(), self.predicted.ravel())

    @property
    def alignment(self) -> float:
        """Cosine of the angle between the mean Jacobian and the theory's predictor; 0 where one of them is 0."""
        sizes = np.linalg.norm(self.predictor) * np.linalg.norm(self.solution.predictor)
        return float(np.vdot(self.predictor, self.solution.predictor).real / sizes) if sizes > 0 else 0.0

    def rows(self) -> list[tuple[str, str, str]]:
        """``(quantity, model, linear theory)``."""
        return [
            ("loss ½⟨‖y − f‖²⟩", f"{self.loss:.4g}", f"{0.5 * self.solution.loss:.4g}"),
            ("norm Σ w²", f"{self.norm:.4g}", f"{self.least_norm:.4g} (least, for its predictor)"),
            ("modes learned by half", f"{int((self.learned > 0.5).sum())}", f"of {int((~self.modes.null).sum())}"),
            ("order of learning: Kendall τ with s", f"{self.order_tau:.2f}", "1"),
            ("sensitivity: Spearman ρ with the data's power", f"{self.spectrum_rho:.2f}", "towards 1"),
            ("sensitivity: Spearman ρ with the theory's", f"{self.predicted_rho:.2f}", "1"),
            ("mean Jacobian: cosine with the theory's predictor", f"{self.alignment:.2f}", "1"),
        ]

    def table(self) -> str:
        """The rows as text."""
        head = ("", "model", f"linear, depth {self.depth}, λ = {self.weight_decay:g}")
        lines = [head, *self.rows()]
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)

    def plot(self) -> Figure:
        """Modes learned; radial averages of the model's sensitivity, of the theory's and of the data's power."""
        from proofs_check.probes.plots import plot_comparison

        return plot_comparison(self)


def compare_with_theory(
    model: torch.nn.Module,
    images: ArrayLike,
    targets: ArrayLike,
    weight_decay: float,
    *,
    depth: int | None = None,
    n_jacobians: int = 64,
    batch_size: int = 64,
    device: Any = None,
    progress: bool = False,
    rng: Rng = 0,
) -> Comparison:
    r"""Hold a model against the linear theory of its data.

    The theory's side is the equivalent problem [Godfrey et al. theorem 4.9, corrected]: ``min ⟨‖y - Σ v̂_f x̂_f‖²⟩ + λ L
    P^{-(L-1)/L} Σ ‖v̂_f‖^{2/L}``, solved by :func:`solvers.solve`; on images and targets with their means
    subtracted, which is what biases do.

    Parameters
    ----------
    model
        Takes images ``(N, C, H, W)``, returns ``(N, K)``.
    images, targets
        ``(N, C, H, W)``, and ``(N, K)`` or integer labels ``(N,)``.
    weight_decay
        λ > 0 as this library counts it, ``½⟨‖y - f‖²⟩ + ½λΣw²`` (see :func:`lineardyn.convert_learning_rate`'s table
        in CONVENTIONS.md for frameworks).
    depth
        L; by default the number of the model's weight arrays.
    n_jacobians
        Images, the first ones, over which Jacobians are averaged.

    Raises
    ------
    ArgumentError, ComputationError, LineardynError
        See :func:`proofs_check.probes.model.asked` and :func:`solvers.solve`.
    """
    lam = check_number("weight_decay", weight_decay, minimum=0.0, strict=True)
    count = check_count("n_jacobians", n_jacobians)
    array, labels = as_numpy("images", images), as_numpy("targets", targets)
    with asked(model, array, batch_size=batch_size, device=device, progress=progress, title="modes") as question:
        wanted = check_targets(labels, len(question.images))
        outputs = against_targets(question, wanted)
    few = array[:count]
    with asked(
        model, few, batch_size=batch_size, device=device, progress=progress, title="slopes", warn=False
    ) as question:
        jacobian, sensitivity = mean_jacobian(question)
    # biases fit the mean of the targets at the mean of the images, for nothing
    moments = SecondMoments.from_data(array, wanted - wanted.mean(axis=0), center=True)
    modes = moments.modes()
    mean = array.mean(axis=0, dtype=np.float64).ravel()
    centred = in_modes(outputs.covariance - np.outer(outputs.mean, mean), modes)
    norms = layer_norms(model)
    layers = len(norms) if depth is None else check_count("depth", depth)
    problem = RegularizedProblem(moments, depth=layers, lam=lam)
    solution = solve(problem, rng=rng, throw=False)
    alive = ~modes.null
    amounts = np.diag(centred)
    # what is left of outputs that do not depend on the image, when their mean is subtracted, has no order
    amounts = np.where(np.abs(amounts) > ROUND_OFF * np.linalg.norm(outputs.covariance), amounts, 0.0)
    learned = np.where(alive, amounts / np.where(alive, modes.s, 1.0), 0.0)
    return Comparison(
        modes=modes,
        learned=learned,
        predictor=fft2(jacobian).conj().transpose(2, 3, 0, 1),
        solution=solution,
        sensitivity=sensitivity,
        predicted=np.linalg.norm(solution.predictor, axis=2).transpose(2, 0, 1),
        power=moments.power_spectrum(),
        loss=outputs.loss,
        norm=float(sum(norms)),
        least_norm=solution.penalty / lam,
        depth=layers,
        weight_decay=lam,
    )


def _correlation(measure: Callable[..., Any], a: Floats, b: Floats) -> float:
    """A rank correlation; 0 where one side is constant, so that there is no order."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(measure(a, b).statistic)
