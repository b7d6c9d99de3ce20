"""Gradient descent: steps, batches, single samples, records, the largest rate."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "learning rate off by a thousandth": Planted(
        "lineardyn._descent_kernels",
        "y[at + i] += rate * dy[at + i]",
        "y[at + i] += 1.001 * rate * dy[at + i]",
        by.descent("cnn", None),
    ),
    "batch summed, not averaged": Planted(
        "lineardyn._descent_kernels",
        "gain = np.full(size, 1.0 / size)",
        "gain = np.full(size, 1.0)",
        by.descent("cnn", 2),
    ),
    "targets of a batch summed": Planted(
        "lineardyn._descent_kernels",
        "target[k, b] = answers[n, k] / size",
        "target[k, b] = answers[n, k]",
        by.descent("fcn", 2),
    ),
    "batches of the wrong rows": Planted(
        "lineardyn._descent_kernels", "n = order[step - start, b]", "n = order[step - start, 0]", by.descent("cnn", 2)
    ),
    "recorded a step early, full batch and batches": Planted(
        "lineardyn._descent_kernels", "(step + 1) % every == 0", "(step + 2) % every == 0", by.recording(None), times=2
    ),
    "the state before the recorded step, batches": Planted(
        "lineardyn._descent_kernels", "out[recorded] = y\n", "out[recorded] = y - rate * dy\n", by.recording(2)
    ),
    "recorded a step early, one sample": Planted(
        "lineardyn._sample_kernels", "(step + 1) % every == 0", "(step + 2) % every == 0", by.recording(1)
    ),
    "time counts from one": Planted(
        "lineardyn.ensembles.descents",
        "return rates[:, None] * self.steps",
        "return rates[:, None] * (self.steps + 1)",
        by.recording(None),
    ),
    "last of the recorded steps": Planted(
        "lineardyn.descent",
        "np.minimum(every * np.arange(count), n_steps)",
        "every * np.arange(count)",
        by.recording(2),
    ),
    "targets of single samples averaged": Planted(
        "lineardyn.descent",
        "np.ascontiguousarray(moments.statistics.target.T * moments.n_samples)",
        "np.ascontiguousarray(moments.statistics.target.T)",
        by.descent("cnn", 1),
    ),
    "one sample without weight decay": Planted(
        "lineardyn._sample_kernels", "shrink = 1.0 - rate * decay", "shrink = 1.0", by.descent("cnn", 1)
    ),
    "one sample without the constant": Planted(
        "lineardyn._sample_kernels",
        "slope = constant * (answer[k] - constant * value)",
        "slope = constant * (answer[k] - value)",
        by.descent("cnn", 1),
    ),
    "one sample, conjugate of the last layer": Planted(
        "lineardyn._sample_kernels", "gi[f] = -slope * bi[f]", "gi[f] = slope * bi[f]", by.descent("cnn", 1)
    ),
    "one sample, conjugate of a hidden layer": Planted(
        "lineardyn._sample_kernels",
        "imag = ar[f] * gi[f] - ai[f] * gr[f]",
        "imag = ar[f] * gi[f] + ai[f] * gr[f]",
        by.descent("cnn", 1),
    ),
    "one sample, conjugate of the image": Planted(
        "lineardyn._sample_kernels",
        "rate * (gr[f] * xi[f] + gi[f] * xr[f])",
        "rate * (gi[f] * xr[f] - gr[f] * xi[f])",
        by.descent("cnn", 1),
    ),
    "one sample, frequencies counted once": Planted(
        "lineardyn._sample_kernels", "weighted[i, f] = weights[f] * h[f]", "weighted[i, f] = h[f]", by.descent("cnn", 1)
    ),
    "one sample, fully connected, old slope": Planted(
        "lineardyn._sample_kernels", "(down[i] if o > 0 else 0.0)", "(down[i] if o > 1 else 0.0)", by.descent("fcn", 1)
    ),
    "1/λ for 2/λ": Planted("lineardyn.stability", "float(2.0 / largest)", "float(1.0 / largest)", by.LARGEST_RATE),
    "stencil of a shallower network": Planted(
        "lineardyn.flow.landscape",
        "nodes, factors = _derivative_stencil(self.depth)",
        "nodes, factors = _derivative_stencil(self.depth - 1)",
        by.LARGEST_RATE,
    ),
    "half of the Hessian of a small network": Planted(
        "lineardyn.flow.landscape",
        "0.5 * (matrix + matrix.T)",
        "0.25 * (matrix + matrix.T)",
        by.LARGEST_RATE_OF_A_PIXEL,
    ),
    "too many draws in a later call": Planted(
        "lineardyn.descent", "size=(stop - first, batch)", "size=(stop, batch)", by.CUT
    ),
}
