"""A table of bad calls of the package's verbs: each ends with one error naming the argument, what came, what is needed.

The tables of from_data, networks and gradient_descent stand beside their tests.
"""

from __future__ import annotations

import numpy as np
import pytest

import lineardyn as ld
from lineardyn.errors import ArgumentError
from tests import strategies as own

DATA = own.make_data("incoherent", (1, 2, 4), 3, 0)
MOMENTS = ld.SecondMoments.from_data(DATA.images, DATA.targets)
CNN = ld.LinearCNN((1, 2, 4), widths=(2,), n_outputs=3)
FCN = ld.LinearFCN((1, 2, 4), widths=(4,), n_outputs=3)
W, V = CNN.init_small(0.1, rng=0), FCN.init_small(0.1, rng=0)


def flow(network=CNN, moments=MOMENTS, weights=W, t_eval=(0.0, 1.0), **options):
    return ld.gradient_flow(network, moments, weights, t_eval, **options)


def run():
    return flow(t_eval=[0.0, 0.5])


def descend(**options):
    return ld.gradient_descent(CNN, (DATA.images, DATA.targets), W, **{"learning_rate": 0.1, "n_steps": 3, **options})


def batches(*pairs):
    return ld.SecondMoments.from_batches(list(pairs))


IMAGES, LABELS = DATA.images, np.arange(len(DATA.images)) % 3
BAD = {
    "network none": (lambda: flow(None), r"network is None, expected a LinearCNN"),
    "network a class": (lambda: flow(ld.LinearCNN), r"network is <class .*expected a LinearCNN"),
    "network of descent": (
        lambda: ld.gradient_descent("cnn", MOMENTS, W, learning_rate=1, n_steps=1),
        r"network is 'cnn', expected",
    ),
    "network of the rate": (lambda: ld.max_learning_rate(None, MOMENTS, W), r"network is None"),
    "network of the balance": (lambda: ld.balance(None, W), r"network is None"),
    "network widths none": (lambda: ld.LinearFCN((1, 2, 4), widths=None, n_outputs=3), r"widths is None, expected"),
    "network widths numpy": (
        lambda: ld.LinearFCN((1, 2, 4), widths=np.int64(4), n_outputs=3),
        r"widths is .*4.*, expected hidden widths",
    ),
    "moments are modes": (lambda: flow(moments=MOMENTS.modes()), r"moments is a Modes, expected SecondMoments"),
    "t_eval beyond memory": (
        lambda: flow(t_eval=np.arange(2**24, dtype=float)),
        r"t_eval has 16777216 times, expected at most \d+",
    ),
    "weights ragged": (lambda: flow(weights=[[[1], [1, 2]], W[1]]), r"weights\[0\] is no array"),
    "weights overflow": (lambda: ld.max_learning_rate(CNN, MOMENTS, [1e200 * w for w in W]), r"weights are so large"),
    # the record is counted before a list of its length is made
    "record beyond memory": (lambda: descend(n_steps=10**15), r"record_every is 1, expected at least \d+"),
    "rng of full batch": (lambda: descend(rng="seed"), r"rng is 'seed', expected a seed"),
    "rng of many lines": (lambda: descend(batch_size=1, rng=np.eye(3)), r"rng is array\(.*expected a seed"),
    "state of a half": (lambda: run().weights(0.5), r"index is 0.5, expected an integer"),
    "state none": (lambda: run().weights(None), r"index is None, expected an integer"),
    "save nowhere": (lambda: run().save(""), r"path is '', expected the path of a file"),
    "load none": (lambda: ld.Trajectory.load(None), r"path is None, expected the path of a file"),
    "npz none": (lambda: ld.load_npz(None), r"path is None, expected the path of a file"),
    "drift of none": (lambda: ld.invariant_drift(None), r"trajectory is None, expected what gradient_flow"),
    "plot of moments": (lambda: ld.plot_modes(MOMENTS), r"modes is a SecondMoments"),
    "pixels ragged": (
        lambda: ld.sigmoid(1.0, s=1.0, b0=0.1, n_pixels=[[1], [1, 2]], multiplicity=1),
        r"n_pixels is no array",
    ),
    "label huge": (
        lambda: ld.SecondMoments.from_data(IMAGES, np.where(LABELS == 2, 10**12, LABELS)),
        r"targets has no image of class 2 although 1000000000001",
    ),
    "label huge in a batch": (lambda: batches((IMAGES, LABELS * 10**11)), r"batches\[0\] targets holds the label"),
    "targets ragged in a batch": (lambda: batches((IMAGES, [[1], [1, 2]])), r"batches\[0\] targets is no array"),
    "one class in batches": (lambda: batches((IMAGES, 0 * LABELS)), r"targets hold one class only"),
    "no image of a class in batches": (lambda: batches((IMAGES, 5 * (LABELS > 0))), r"no image of class 1 although 6"),
    "root a number": (lambda: ld.load_mnist(3), r"root is 3, expected the path of a folder"),
    "frequency a number": (lambda: ld.fourier.multiplicity(1, (4, 4)), r"frequency is 1, expected a pair of integers"),
    "frequency on no pixels": (lambda: ld.fourier.multiplicity((1, 1), (0, 4)), r"shape\[0\] is 0"),
    "spectrum of a row": (lambda: ld.fourier.fft2([1.0, 2.0]), r"x has shape \(2,\).*\(..., H, W\)"),
    "multiplicity a list": (
        lambda: ld.cosine_recursion(1, s=1, b0=0.1, n_pixels=4, multiplicity=[1, 2], learning_rate=0.1),
        r"multiplicity is \[1, 2\], expected an integer",
    ),
    "images overflow": (lambda: ld.SecondMoments.from_data(1e200 * IMAGES, LABELS), r"squares overflow.*rescale"),
    "targets overflow": (lambda: ld.SecondMoments.from_data(IMAGES, 1e200 * DATA.targets), r"squares overflow"),
    "t_eval unsorted": (
        lambda: flow(t_eval=[0, 2, 1]),
        r"t_eval\[2\] = 1 comes after t_eval\[1\] = 2, .*sort them",
    ),
    "t_eval repeated": (lambda: flow(t_eval=[0, 1, 1]), r"t_eval\[2\] = 1.*increasing"),
    "t_eval negative": (lambda: flow(t_eval=[-1, 1]), r"t_eval\[0\] is -1, expected times >= 0"),
    "t_eval empty": (lambda: flow(t_eval=[]), r"t_eval is empty"),
    "t_eval infinite": (lambda: flow(t_eval=[0, np.inf]), r"t_eval holds inf"),
    "t_eval a number": (lambda: flow(t_eval=1.0), r"t_eval has shape \(\)"),
    "rtol negative": (lambda: flow(rtol=-1e-3), r"rtol is -0.001, expected a number > 0"),
    "rtol zero": (lambda: flow(rtol=0), r"rtol is 0, expected a number > 0"),
    "rtol nan": (lambda: flow(rtol=np.nan), r"rtol is nan, expected a finite number"),
    "rtol large": (lambda: flow(rtol=10), r"rtol is 10, expected a number <= 1"),
    "atol negative": (lambda: flow(atol=-1), r"atol is -1, expected a number > 0"),
    "atol infinite": (lambda: flow(atol=np.inf), r"atol is inf, expected a finite number"),
    "atol text": (lambda: flow(atol="tight"), r"atol is 'tight', expected a number"),
    "method unknown": (lambda: flow(method="rk45"), r"method is 'rk45', expected one of 'auto', 'bs32'"),
    "method near miss": (lambda: flow(method="dop835"), r"did you mean 'dop853'"),
    "method number": (lambda: flow(method=5), r"method is 5, expected one of"),
    "max_steps zero": (lambda: flow(max_steps=0), r"max_steps is 0, expected an integer >= 1"),
    "max_steps float": (lambda: flow(max_steps=1e6), r"max_steps is 1000000.0, expected an integer"),
    "weight_decay negative": (lambda: flow(weight_decay=-1), r"weight_decay is -1, expected a number >= 0"),
    "weights of the other kind": (lambda: flow(weights=V), r"weights\[0\] has shape \(4, 8\)"),
    "weights of another width": (
        lambda: flow(weights=[W[0], W[1][..., :1]]),
        r"weights\[1\] has shape \(3, 2, 4, 1\), expected \(3, 2, 4, 2\)",
    ),
    "weights too short": (
        lambda: flow(FCN, weights=[V[0][:, :7], V[1]]),
        r"weights\[0\] has shape \(4, 7\), expected \(4, 8\)",
    ),
    "weights one layer": (lambda: flow(weights=W[:1]), r"weights has 1 arrays, expected 2"),
    "weights an array": (lambda: flow(weights=W[0]), r"weights is a ndarray, expected a list of 2 arrays"),
    "weights nan": (lambda: flow(weights=[W[0] * np.nan, W[1]]), r"weights\[0\] holds nan"),
    "weights complex": (lambda: flow(weights=[W[0] * 1j, W[1]]), r"weights\[0\] has dtype complex128"),
    "weights small kernel": (lambda: flow(weights=[W[0][:, :, :3], W[1]]), r"circular and as large as the image"),
    "moments an array": (lambda: flow(moments=DATA.images), r"moments is a ndarray, expected SecondMoments"),
    "moments of other outputs": (
        lambda: flow(ld.LinearCNN((1, 2, 4), n_outputs=2), weights=W),
        r"moments has n_outputs 3, expected 2",
    ),
    "moments of other images": (
        lambda: flow(ld.LinearCNN((1, 4, 2), n_outputs=3)),
        r"moments has image_shape \(1, 2, 4\), expected \(1, 4, 2\)",
    ),
    "learning rate of other moments": (
        lambda: ld.max_learning_rate(ld.LinearCNN((1, 4, 2), n_outputs=3), MOMENTS, W),
        r"moments has image_shape",
    ),
    "learning rate of other weights": (lambda: ld.max_learning_rate(CNN, MOMENTS, V), r"weights\[0\] has shape"),
    "at the future": (lambda: run().at(2.0), r"t is 2, expected a time up to 0.5"),
    "at the past": (lambda: run().at(-1.0), r"t is -1, expected a number >= 0"),
    "state out of range": (lambda: run().weights(2), r"index is 2, expected one of -2 .. 1"),
    "evaluate on images": (lambda: run().evaluate(DATA.images), r"moments is a ndarray"),
    "network shape": (lambda: ld.LinearCNN((2, 4), n_outputs=3), r"image_shape is \(2, 4\), expected \(C, H, W\)"),
    "network width": (lambda: ld.LinearFCN((1, 2, 4), widths=4, n_outputs=3), r"widths is 4, expected a tuple"),
    "labels and images": (lambda: ld.SecondMoments.from_data(DATA.images, [0, 1]), r"targets has 2 rows, expected \d+"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_call_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text) as caught:
        call()
    assert str(caught.value).count("\n") == 0  # one clear sentence
    assert "0x" not in str(caught.value)  # no addresses of objects


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (lambda: CNN.init_small(0.1), "rng"),
        (lambda: CNN.init_balanced(MOMENTS, 0.1), "rng"),
        (lambda: ld.LinearCNN((1, 2, 4)), "n_outputs"),
        (lambda: ld.LinearFCN((1, 2, 4), n_outputs=3), "widths"),
        (lambda: ld.gradient_descent(CNN, MOMENTS, W, n_steps=3), "learning_rate"),
    ],
)
def test_what_is_required_must_be_given(call, missing):
    with pytest.raises(TypeError, match=missing):
        call()
