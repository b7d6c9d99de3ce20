"""Section 2: pure cosines, closed form over integration over training, the CNN's delay [Pinson et al. fig 3]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import (
    LinearCNN,
    LinearFCN,
    Modes,
    SecondMoments,
    Trajectory,
    gradient_descent,
    gradient_flow,
    learning_time,
    pure_cosines,
    sigmoid,
)
from lineardyn.fourier import multiplicity
from lineardyn.plots import plot_delays, plot_mode_curves
from proofs_check.report.datasets import AMPLITUDES, FREQUENCIES
from proofs_check.report.section import Picture, Section, Table
from proofs_check.report.times import crossing_times, dense_early

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cosines", "balanced_fcn", "compute", "diagonal", "section"]

Floats = NDArray[np.float64]

N_UPDATES = 8000
"""Number of updates in fig 3."""
START = 1e-2
"""|κ_f| at the start, in units of its smallest final value over the modes."""
N_TIMES = 241
N_MARKS = 24


@dataclass(frozen=True)
class Cosines:
    """One data set of pure cosines, learned by both networks; time of the FCNN is divided by √P throughout."""

    size: int
    s: Floats
    m: NDArray[np.int64]
    frequencies: list[tuple[int, int]]
    learning_rate: float
    t: Floats
    closed: dict[str, Floats]
    flow: dict[str, Floats]
    trained_t: Floats
    trained: dict[str, Floats]
    times: dict[str, Floats]

    @property
    def delays(self) -> Floats:
        """Time of the CNN over time of the FCNN at a learning rate √P larger, from b0 to s/2, measured on the flow."""
        return self.times["cnn"] / self.times["fcnn"]

    def numbers(self) -> dict[str, Any]:
        """What goes to numbers.json."""
        scale = self.s
        return {
            "size": self.size,
            "singular_values": self.s,
            "frequencies": self.frequencies,
            "multiplicity": self.m,
            "learning_rate": self.learning_rate,
            "updates": N_UPDATES,
            "flow_minus_closed_form": {k: np.abs((self.flow[k] - self.closed[k]) / scale).max() for k in self.flow},
            "descent_minus_closed_form": {k: self._descent_gap(k) for k in self.trained},
            "delay_measured": self.delays,
            "delay_theory": np.sqrt(self.m),
        }

    def _descent_gap(self, network: str) -> float:
        at = np.stack(
            [np.interp(self.trained_t, self.t, self.closed[network][:, a]) for a in range(len(self.s))], axis=1
        )
        return float(np.abs((self.trained[network] - at) / self.s).max())


def balanced_fcn(modes: Modes, b0: Floats) -> list[Floats]:
    """Weights ``[(R, D), (K, R)]`` of a fully connected network, one hidden unit a mode, with ``B(0) = diag(b0)``."""
    size = np.sqrt(b0 / modes.d)
    return [np.ascontiguousarray(size[:, None] * modes.v.reshape(len(size), -1)), np.ascontiguousarray(modes.u * size)]


def compute(size: int, *, rng: int = 0) -> Cosines:
    """Both networks from the same b0, by closed form, gradient flow, and gradient descent at a finite learning rate."""
    shape = (size, size)
    moments = SecondMoments.from_data(*pure_cosines(shape, FREQUENCIES, AMPLITUDES))
    modes = moments.modes()
    frequencies = [_frequency_of(modes, a) for a in range(len(modes.s))]
    m = np.array([multiplicity(f, shape) for f in frequencies])
    final = np.sqrt(modes.s / (modes.d * np.sqrt(m * size * size)))  # s = d √P √m |κ|² at the end
    scale = START * float(final.min())
    b0 = modes.d * np.sqrt(m * size * size) * scale**2
    cnn = LinearCNN((1, size, size), n_outputs=len(modes.s))
    fcn = LinearFCN((1, size, size), widths=(len(modes.s),), n_outputs=len(modes.s))
    # to 99.9 % of the last mode by the CNN
    t_end = max(
        learning_time(0.999 * s, s=s, b0=b, n_pixels=size * size, multiplicity=int(k))
        for s, b, k in zip(modes.s, b0, m, strict=True)
    )
    t = dense_early(t_end, N_TIMES)
    kernel = _one(cnn, moments, cnn.init_balanced(moments, scale, rng=rng), b0, t, size * size, m, 1.0)
    dense = _one(fcn, moments, balanced_fcn(modes, b0), b0, t, 1, np.ones_like(m), float(size))
    both = {"cnn": kernel, "fcnn": dense}
    return Cosines(
        size=size, s=modes.s, m=m, frequencies=frequencies, learning_rate=t_end / N_UPDATES, t=t,
        closed={k: r["closed"] for k, r in both.items()}, flow={k: r["flow"] for k, r in both.items()},
        trained_t=kernel["trained_t"], trained={k: r["trained"] for k, r in both.items()},
        times={k: crossing_times(t, r["flow"], modes.s) for k, r in both.items()},
    )  # fmt: skip


def _one(
    network: LinearCNN | LinearFCN, moments: SecondMoments, weights: list[Floats], b0: Floats, t: Floats, n_pixels: int,
    m: NDArray[np.int64], speed: float,
) -> dict[str, Floats]:  # fmt: skip
    """One network by closed form, flow and descent; its own time is ``speed · t`` (√P times t for the FCNN)."""
    s = moments.modes().s
    closed = [
        sigmoid(speed * t, s=a, b0=b, n_pixels=n_pixels, multiplicity=int(k)) for a, b, k in zip(s, b0, m, strict=True)
    ]
    flow = gradient_flow(network, moments, weights, speed * t, rtol=1e-10, atol=1e-13 * float(np.abs(weights[0]).max()))
    rate = float(t[-1]) / N_UPDATES
    descent = gradient_descent(
        network, moments, weights, learning_rate=speed * rate, n_steps=N_UPDATES, record_every=N_UPDATES // 200
    )
    return {
        "closed": np.stack(closed, axis=1),
        "flow": diagonal(flow),
        "trained": diagonal(descent),
        "trained_t": descent.t / speed,
    }


def diagonal(path: Trajectory) -> Floats:
    """The diagonal of B(t), ``(T, R)``."""
    return np.diagonal(path.effective_singular_values, axis1=1, axis2=2).copy()


def _frequency_of(modes: Modes, a: int) -> tuple[int, int]:
    """The frequency of a mode that has one, the smaller of f and f*."""
    size = np.abs(modes.q[a, 0])
    u, v = np.argwhere(size > 0.5 * size.max())[0]
    return int(u), int(v)


def section(results: list[Cosines]) -> Section:
    """The first result is shown in full; every one in the figure of the delays."""
    main = results[0]
    gaps = {k: np.abs((main.flow[k] - main.closed[k]) / main.s).max() for k in main.flow}
    return Section(
        id="pure-cosines",
        title="2 · Pure cosines: the closed form, tested",
        paragraphs=[
            "Four classes, one cosine each. From a balanced, aligned start every effective singular value is a "
            "sigmoid: the convolution multiplies its rate by √P, and divides it by √m, where m is 2 unless the "
            "frequency is its own conjugate. The fully connected network (FCNN) has neither factor; its learning rate "
            "is √P larger here, as in the paper, so that only √m is left between the two.",
            f"Closed form against integration: relative difference {gaps['cnn']:.1e} (CNN) and {gaps['fcnn']:.1e} "
            f"(FCNN) at rtol 10^−10. {N_UPDATES} steps of gradient descent at learning rate {main.learning_rate:.3g} "
            f"differ by {main.numbers()['descent_minus_closed_form']['cnn']:.1e}, of first order in the learning rate.",
        ],
        numbers={f"{r.size}x{r.size}": r.numbers() for r in results},
        pictures=_pictures(results),
        tables=[_table(results)],
    )


def _table(results: list[Cosines]) -> Table:
    rows = [
        [f"{r.size}²", f"({u}, {v})", f"{s:.4g}", str(int(m)), f"{np.sqrt(m):.4f}", f"{delay:.4f}"]
        for r in results
        for (u, v), s, m, delay in zip(r.frequencies, r.s, r.m, r.delays, strict=True)
    ]
    return Table(
        ("pixels", "(u, v)", "s", "m", "√m", "measured delay"), rows, "Time to half of s, CNN over FCNN, same b(0)."
    )


def _pictures(results: list[Cosines]) -> list[Picture]:
    main = results[0]
    names = {"cnn": "CNN", "fcnn": "Fully connected network"}
    curves = [
        Picture(
            f"theory-cosines-{key}",
            f"{title}: effective singular values over updates. Wide pale line: closed form. Thin line: gradient flow, "
            "integrated. Circles: gradient descent. The three lie on one another."
            + (" The learning rate is √P larger than the CNN's: mode 1 (the constant image) is learned at the same "
               "time, the others √2 earlier than by the CNN." if key == "fcnn" else " Stages, in the order of s."),
            lambda key=key: _curves(main, key), "fig 3",  # type: ignore[misc]
        )
        for key, title in names.items()
    ]  # fmt: skip
    delays = Picture(
        "theory-cosines-delay",
        "How much later the CNN learns each mode than the FCNN. Theory √m (bars) and measurement (diamonds). The "
        "paper names only (0, 0) as exception from √2; every self-conjugate frequency is one, as (0, 4) shows on 8 × "
        "8 pixels (erratum E6).",
        lambda: plot_delays(
            {_group(r): r.delays for r in results},
            {_group(r): np.sqrt(r.m) for r in results},
            {_group(r): [f"{u},{v}" for u, v in r.frequencies] for r in results},
        ),
        "section 3, corrected",
    )
    return [*curves, delays]


def _group(result: Cosines) -> str:
    return f"{result.size} × {result.size} pixels"


def _curves(result: Cosines, key: str) -> Figure:
    rate = result.learning_rate
    every = np.unique(np.round(np.linspace(0, 1, N_MARKS) ** 2 * (len(result.trained_t) - 1)).astype(int))
    figure = plot_mode_curves(
        result.t / rate,
        result.flow[key],
        s=result.s,
        points=(result.trained_t[every] / rate, result.trained[key][every]),
        theory=(result.t / rate, result.closed[key]),
        xlabel="updates",
    )
    figure.axes[0].set_ylabel("b(t)")
    return figure
