"""The jitted steps of gradient descent on one image, in packed Fourier coordinates: each touches the weights once."""

from __future__ import annotations

from numba import njit

from lineardyn.flow._kernels import FAST, U, bounded, multiply


@njit(nogil=True, cache=True, fastmath=FAST)
def _step_top(b, h, g, rate, slope, shrink, add):
    """``g (+)= slope·conj(b)``, then ``b = shrink·b + rate·slope·conj(h)``, in one pass."""
    n = b.size // 2
    br, bi, hr, hi, gr, gi = b[:n], b[n:], h[:n], h[n:], g[:n], g[n:]
    step = rate * slope
    if add:
        for f in range(n):
            gr[f] += slope * br[f]
            gi[f] -= slope * bi[f]
            br[f] = shrink * br[f] + step * hr[f]
            bi[f] = shrink * bi[f] - step * hi[f]
    else:
        for f in range(n):
            gr[f] = slope * br[f]
            gi[f] = -slope * bi[f]
            br[f] = shrink * br[f] + step * hr[f]
            bi[f] = shrink * bi[f] - step * hi[f]


@njit(nogil=True, cache=True, fastmath=FAST)
def _step_inner(a, h, g, pulled, rate, shrink, add):
    """``pulled (+)= conj(a)·g``, then ``a = shrink·a + rate·g·conj(h)``, in one pass."""
    n = a.size // 2
    ar, ai, hr, hi, gr, gi, pr, pi = a[:n], a[n:], h[:n], h[n:], g[:n], g[n:], pulled[:n], pulled[n:]
    for f in range(n):
        real = ar[f] * gr[f] + ai[f] * gi[f]
        imag = ar[f] * gi[f] - ai[f] * gr[f]
        if add:
            pr[f] += real
            pi[f] += imag
        else:
            pr[f] = real
            pi[f] = imag
        ar[f] = shrink * ar[f] + rate * (gr[f] * hr[f] + gi[f] * hi[f])
        ai[f] = shrink * ai[f] + rate * (gi[f] * hr[f] - gr[f] * hi[f])


@njit(nogil=True, cache=True, fastmath=FAST)
def _step_first(a, x, g, rate, shrink):
    """``a = shrink·a + rate·g·conj(x)`` where x is already the conjugate spectrum of the image."""
    n = a.size // 2
    ar, ai, xr, xi, gr, gi = a[:n], a[n:], x[:n], x[n:], g[:n], g[n:]
    for f in range(n):
        ar[f] = shrink * ar[f] + rate * (gr[f] * xr[f] - gi[f] * xi[f])
        ai[f] = shrink * ai[f] + rate * (gr[f] * xi[f] + gi[f] * xr[f])


@njit(nogil=True, cache=True, fastmath=FAST)
def _conjugate(out, x):
    n = out.size // 2
    for f in range(n):
        out[f] = x[f]
        out[n + f] = -x[n + f]


@njit(nogil=True, cache=True, fastmath=FAST)
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit(nogil=True, cache=True, fastmath=FAST)
def _sample_step_cnn(y, x, answer, rate, sizes, offsets, weights, constant, shrink, hidden, pulled, weighted):
    """One gradient step on one packed image ``x``, in place. ``hidden``, ``pulled``: ``(L, C_max, 2F)`` scratch."""
    depth = sizes.size - 1
    channels, outputs = sizes[0], sizes[depth]
    pair = weights.size // channels
    for c in range(channels):
        _conjugate(hidden[0, c], x[c * pair : (c + 1) * pair])
    for layer in range(1, depth):
        a = y[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], sizes[layer - 1], pair)
        for o in range(sizes[layer]):
            for i in range(sizes[layer - 1]):
                n = U(pair // 2)
                multiply(hidden[layer, o], U(0), a[o, i], U(0), hidden[layer - 1, i], U(0), n, i > 0)
    last = sizes[depth - 1]
    half = pair // 2
    for i in range(last):
        h = hidden[depth - 1, i]
        for f in range(half):
            weighted[i, f] = weights[f] * h[f]
            weighted[i, half + f] = -weights[f] * h[half + f]
    top = y[offsets[depth - 1] :].reshape(outputs, last, pair)
    for k in range(outputs):
        value = 0.0
        for i in range(last):
            value += _dot(top[k, i], weighted[i])
        slope = constant * (answer[k] - constant * value)
        for i in range(last):
            _step_top(top[k, i], hidden[depth - 1, i], pulled[depth - 1, i], rate, slope, shrink, k > 0)
    for layer in range(depth - 1, 0, -1):
        a = y[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], sizes[layer - 1], pair)
        for o in range(sizes[layer]):
            for i in range(sizes[layer - 1]):
                if layer == 1:
                    _step_first(a[o, i], x[i * pair : (i + 1) * pair], pulled[1, o], rate, shrink)
                else:
                    _step_inner(
                        a[o, i], hidden[layer - 1, i], pulled[layer, o], pulled[layer - 1, i], rate, shrink, o > 0
                    )


@njit(nogil=True, cache=True, fastmath=FAST)
def _sample_step_fcn(y, x, answer, rate, sizes, offsets, weights, shrink, hidden, pulled, weighted):
    """The same for a fully connected network; ``hidden``, ``pulled``: ``(L + 1, 1, M_max)`` scratch."""
    depth = sizes.size - 1
    for d in range(weights.size):
        weighted[0, d] = weights[d] * x[d]
    for layer in range(1, depth + 1):
        w = y[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], sizes[layer - 1])
        below = weighted[0] if layer == 1 else hidden[layer - 1, 0, : sizes[layer - 1]]
        for o in range(sizes[layer]):
            hidden[layer, 0, o] = _dot(w[o], below)
    for k in range(sizes[depth]):
        pulled[depth, 0, k] = answer[k] - hidden[depth, 0, k]
    for layer in range(depth, 0, -1):
        w = y[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], sizes[layer - 1])
        below = x if layer == 1 else hidden[layer - 1, 0, : sizes[layer - 1]]
        down = pulled[layer - 1, 0]
        for o in range(sizes[layer]):
            slope = pulled[layer, 0, o]
            row = w[o]
            if layer > 1:
                for i in range(row.size):
                    down[i] = slope * row[i] + (down[i] if o > 0 else 0.0)
            for i in range(row.size):
                row[i] = shrink * row[i] + rate * slope * below[i]


@njit(nogil=True, cache=True)
def descend_samples(
    y, rate, start, stop, every, n_steps, out, recorded, order, images, answers,
    conv, sizes, offsets, weights, constant, decay, hidden, pulled, weighted,
):  # fmt: skip
    """One image a step: ``order (steps,)`` are the rows of ``images (N, D)`` and ``answers (N, K)``."""
    shrink = 1.0 - rate * decay
    for step in range(start, stop):
        n = order[step - start]
        if conv:
            _sample_step_cnn(
                y, images[n], answers[n], rate, sizes, offsets, weights, constant, shrink, hidden, pulled, weighted
            )
        else:
            _sample_step_fcn(y, images[n], answers[n], rate, sizes, offsets, weights, shrink, hidden, pulled, weighted)
        if (step + 1) % every == 0 or step + 1 == n_steps:
            if not bounded(y):
                return -recorded
            out[recorded] = y
            recorded += 1
    return recorded
