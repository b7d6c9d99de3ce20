"""Section 3: sums of cosines, the mode clock over integration over SGD, and the winners [Pinson et al. fig 4]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import LinearCNN, ModeClock, SecondMoments, gradient_descent, gradient_flow, sums_of_cosines
from lineardyn.fourier import fft2, ifft2
from lineardyn.plots import plot_frequency_growth, plot_images, plot_mode_curves
from proofs_check.report.cosines import diagonal
from proofs_check.report.section import Picture, Section, Table
from proofs_check.report.times import dense_early

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TERMS", "Sums", "compute", "section"]

Floats = NDArray[np.float64]

TERMS = [
    [((2, 3), 1.0), ((5, 1), 0.7), ((0, 6), 0.5)],
    [((1, 4), 0.7), ((7, 2), 0.5), ((3, 3), 0.3)],
]
"""Two classes; the paper does not print its frequencies and amplitudes, these are ours."""
N_UPDATES = 600
"""Number of updates in fig 4."""
START = 0.01
"""Typical |κ_f| at the start in units of its final size."""
N_TIMES = 201


@dataclass(frozen=True)
class Sums:
    """One data set of sums of cosines: kernels ``(T, H, W)`` and effective singular values ``(T, R)`` three ways."""

    size: int
    images: Floats
    s: Floats
    learning_rate: float
    t: Floats
    clock: Floats
    flow: Floats
    clock_kernels: Floats
    flow_kernels: Floats
    trained_t: Floats
    trained: Floats
    trained_kernels: Floats
    predicted: list[tuple[int, int]]
    found: dict[str, list[tuple[int, int]]]
    members: list[list[tuple[int, int]]]
    shares: dict[str, list[list[float]]]

    @property
    def as_predicted(self) -> bool:
        """Whether the winners that the clock predicts won, in the flow and under SGD."""
        return all(found == self.predicted for found in self.found.values())

    def numbers(self) -> dict[str, Any]:
        """What goes to numbers.json."""
        at = np.stack([np.interp(self.trained_t, self.t, self.clock[:, a]) for a in range(len(self.s))], axis=1)
        return {
            "size": self.size,
            "terms": TERMS,
            "singular_values": self.s,
            "learning_rate": self.learning_rate,
            "updates": N_UPDATES,
            "flow_minus_clock": np.abs((self.flow - self.clock) / self.s).max(),
            "kernel_flow_minus_clock": np.abs(self.flow_kernels - self.clock_kernels).max() / self.clock_kernels.max(),
            "sgd_minus_clock": np.abs((self.trained - at) / self.s).max(),
            "winners_predicted": self.predicted,
            "winners": self.found,
            "frequencies": self.members,
            "final_shares": self.shares,
        }


def compute(size: int, *, rng: int = 0) -> Sums:
    """Clock, flow and one-sample SGD from one balanced start with random |κ_f(0)|."""
    images, targets = sums_of_cosines((size, size), TERMS)
    moments = SecondMoments.from_data(images, targets)
    modes = moments.modes()
    network = LinearCNN((1, size, size), n_outputs=len(TERMS))
    generator = np.random.default_rng(rng)
    weights = _random_balanced(network, moments, generator)
    clock = ModeClock(modes, network, weights)
    t_end = float(clock.learning_time(0.995).max())
    t, rate = dense_early(t_end, N_TIMES), t_end / N_UPDATES
    flow = gradient_flow(network, moments, weights, t, rtol=1e-10, atol=1e-13 * float(np.abs(weights[0]).max()))
    descent = gradient_descent(
        network,
        (images, targets),
        weights,
        learning_rate=rate,
        n_steps=N_UPDATES,
        batch_size=1,
        rng=generator,
        record_every=4,
    )
    clock_kernels = clock.kernel_spectrum(t)[:, 0]
    flow_kernels, trained_kernels = flow.kernel_spectrum[:, 0], descent.kernel_spectrum[:, 0]
    q = np.abs(modes.q[:, 0])
    members = [_members(q[a]) for a in range(len(q))]
    ends = {"clock": clock_kernels[-1], "flow": flow_kernels[-1], "sgd": trained_kernels[-1]}
    return Sums(
        size=size, images=images, s=modes.s, learning_rate=rate, t=t,
        clock=np.diagonal(clock.effective_singular_values(t), axis1=1, axis2=2), flow=diagonal(flow),
        clock_kernels=clock_kernels, flow_kernels=flow_kernels,
        trained_t=descent.t, trained=diagonal(descent), trained_kernels=trained_kernels,
        predicted=[(int(u), int(v)) for u, v in clock.winners()],
        found={k: [_largest(end, group) for group in members] for k, end in ends.items() if k != "clock"},
        members=members,
        shares={k: [_shares(end, group) for group in members] for k, end in ends.items()},
    )  # fmt: skip


def _random_balanced(network: LinearCNN, moments: SecondMoments, rng: np.random.Generator) -> list[Floats]:
    """Balanced and aligned, with |κ_f| spread by a random factor between ½ and 2 (the same for f and its conjugate)."""
    modes = moments.modes()
    final = np.sqrt(modes.s / (modes.d * network.n_pixels**0.5)).min()
    weights = network.init_balanced(moments, START * float(final), rng=rng)
    shape = network.image_shape[1:]
    factor = np.exp2(rng.uniform(-1, 1, shape))
    even = np.sqrt(factor * np.roll(factor[::-1, ::-1], 1, axis=(0, 1)))  # f* = -f
    scaled = [ifft2(fft2(w.transpose(0, 3, 1, 2)) * even).real.transpose(0, 2, 3, 1) for w in weights]
    return [np.ascontiguousarray(w) for w in scaled]


def _members(q: Floats) -> list[tuple[int, int]]:
    """The frequencies of a mode, one of each conjugate pair, the strongest first."""
    height, width = q.shape
    found = [(int(u), int(v)) for u, v in np.argwhere(q > 1e-6 * q.max()) if (u, v) <= (-u % height, -v % width)]
    return sorted(found, key=lambda f: -q[f])


def _largest(kernel: Floats, group: list[tuple[int, int]]) -> tuple[int, int]:
    return max(group, key=lambda f: float(kernel[f]))


def _shares(kernel: Floats, group: list[tuple[int, int]]) -> list[float]:
    power = np.array([kernel[f] ** 2 for f in group])
    return [float(share) for share in power / power.sum()]


def section(result: Sums) -> Section:
    """The numbers as a part of the report."""
    numbers = result.numbers()
    return Section(
        id="sums-of-cosines",
        title="3 · Sums of cosines: one clock per mode, and its winners",
        paragraphs=[
            "Two classes, each a sum of three cosines, no frequency shared. All frequencies of a mode are driven by "
            "one scalar, its clock Θ(t): |κ_f| grows as exp(√P |q_f| Θ). So the frequency with the largest "
            "coefficient outgrows the others exponentially until the mode is learned, and Θ(∞) gives the winners "
            "without integration.",
            f"Clock against integration: relative difference {numbers['flow_minus_clock']:.1e}. One-sample SGD with "
            f"{N_UPDATES} "
            f"updates stays within {numbers['sgd_minus_clock']:.2g} of s: it counts how often each class was drawn. "
            + ("The winners predicted by the clock won in the flow and under SGD." if result.as_predicted
               else "The winners predicted by the clock did not all win: see the table."),
        ],
        numbers=numbers,
        pictures=_pictures(result),
        tables=[_table(result)],
    )  # fmt: skip


def _table(result: Sums) -> Table:
    rows = []
    for a, group in enumerate(result.members):
        for i, f in enumerate(group):
            name = f"({f[0]}, {f[1]})" + (" ← predicted winner" if _same(f, result.predicted[a], result.size) else "")
            rows.append(
                [str(a + 1), name, *(f"{100 * result.shares[k][a][i]:.2f} %" for k in ("clock", "flow", "sgd"))]
            )
    return Table(
        ("mode", "frequency", "clock", "flow", "SGD"), rows, "Share of |κ|² within the mode at the end of learning."
    )


def _same(f: tuple[int, int], g: tuple[int, int], size: int) -> bool:
    return f in (g, (-g[0] % size, -g[1] % size))


def _pictures(result: Sums) -> list[Picture]:
    return [
        Picture(
            "theory-sums-images",
            "The two classes.",
            lambda: plot_images(result.images, ["class 1", "class 2"]), "fig 4",
        ),
        Picture(
            "theory-sums-learning",
            "Effective singular values. Wide pale line: the clock. Thin line: gradient flow. Circles: one-sample SGD, "
            "whose steps follow the luck of the draw.",
            lambda: _learning(result), "fig 4",
        ),
        Picture(
            "theory-sums-winners",
            "Kernel coefficients |κ_f| of the six frequencies, in the colour of their mode: the dominant frequency of "
            "each takes all, the others stop growing when their mode is learned. Wide pale line: the clock.",
            lambda: _winners(result), "fig 4, eq 23-24",
        ),
    ]  # fmt: skip


def _learning(result: Sums) -> Figure:
    rate = result.learning_rate
    figure = plot_mode_curves(
        result.t / rate, result.flow, s=result.s, points=(result.trained_t[::5] / rate, result.trained[::5]),
        theory=(result.t / rate, result.clock), labels=("gradient flow", "one-sample SGD", "mode clock"),
        xlabel="updates",
    )  # fmt: skip
    figure.axes[0].set_ylabel("b(t)")
    return figure


def _winners(result: Sums) -> Figure:
    groups = [(f, a) for a, group in enumerate(result.members) for f in group]
    x = result.t / result.learning_rate
    return plot_frequency_growth(
        x, result.flow_kernels, groups, n_modes=len(result.s), theory=(x, result.clock_kernels), xlabel="updates"
    )
