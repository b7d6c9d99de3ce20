"""lineardyn.validation: what passes, and the text of what does not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lineardyn import errors
from lineardyn import validation as v
from lineardyn.errors import ArgumentError

IMAGES = np.arange(24.0).reshape(2, 1, 3, 4)

BAD = [
    (lambda: v.check_array("a", [[1.0], [1.0, 2.0]]), r"a is no array"),
    (lambda: v.check_array("a", ["x"]), r"a has dtype <U1, expected real numbers"),
    (lambda: v.check_array("a", np.array([1j])), r"a has dtype complex128, expected real numbers"),
    (lambda: v.check_array("a", np.zeros(3), shape=(4,)), r"a has shape \(3,\), expected \(4,\)"),
    (lambda: v.check_array("a", np.zeros(3), shape=(None, 2), why="(N, 2)"), r"expected \(any, 2\): \(N, 2\)"),
    (lambda: v.check_array("a", [0.0, np.nan]), r"a holds nan at index \(1,\), expected finite numbers"),
    (lambda: v.check_array("a", [[0.0, -np.inf]]), r"a holds -inf at index \(0, 1\)"),
    (lambda: v.check_images(IMAGES[:, 0]), r"shape \(2, 3, 4\), expected \(N, C, H, W\); .*images\[:, None\]"),
    (lambda: v.check_images(np.zeros((2, 8, 9, 3))), r"channels-last.*transpose\(0, 3, 1, 2\)"),
    (lambda: v.check_images(IMAGES[:0]), r"at least one image"),
    (lambda: v.check_targets(np.eye(3), 2), r"targets has 3 rows, expected 2.*must match"),
    (lambda: v.check_targets(np.zeros((2, 2, 2)), 2), r"expected \(2, K\), or integer labels \(2,\)"),
    (lambda: v.check_targets(np.zeros((2, 0)), 2), r"at least one column"),
    (lambda: v.check_targets(np.zeros((2, 3)), 2, n_outputs=4), r"targets has 3 columns, expected 4"),
    (lambda: v.check_targets([0.5, 1.5], 2), r"dtype float64, expected integer labels.*targets\[:, None\]"),
    (lambda: v.check_targets([0, -1], 2), r"label -1, expected labels 0, 1"),
    (lambda: v.check_targets([0, 2], 2), r"no image of class 1.*renumber"),
    (lambda: v.check_targets([0, 0], 2), r"one class only"),
    (lambda: v.check_targets([0, 5], 2, n_outputs=3), r"label 5, expected labels below 3"),
    (lambda: v.check_number("rtol", "small"), r"rtol is 'small', expected a number"),
    (lambda: v.check_number("rtol", np.nan), r"rtol is nan, expected a finite number"),
    (lambda: v.check_number("rtol", -1.0, minimum=0.0), r"rtol is -1, expected a number >= 0"),
    (lambda: v.check_number("rtol", 0.0, minimum=0.0, strict=True), r"rtol is 0, expected a number > 0"),
    (lambda: v.check_number("rtol", 2.0, maximum=1.0), r"rtol is 2, expected a number <= 1"),
    (lambda: v.check_count("n_steps", 2.0), r"n_steps is 2.0, expected an integer"),
    (lambda: v.check_count("n_steps", True), r"n_steps is True, expected an integer"),
    (lambda: v.check_count("n_steps", 0), r"n_steps is 0, expected an integer >= 1"),
    (lambda: v.check_choice("method", "dopp853", ["bs32", "dop853"]), r"'dopp853'.*did you mean 'dop853'\?"),
    (lambda: v.check_choice("method", 3, ["bs32"]), r"method is 3, expected one of 'bs32'"),
    (lambda: v.check_shape("shape", 3, 2, "(H, W)"), r"shape is 3, expected \(H, W\)"),
    (lambda: v.check_image_shape((3, 4)), r"image_shape is \(3, 4\), expected \(C, H, W\): 3 integers"),
    (lambda: v.check_image_shape((1, 0, 4)), r"image_shape\[1\] is 0, expected an integer >= 1"),
    (lambda: v.check_times("t_eval", []), r"t_eval is empty"),
    (lambda: v.check_times("t_eval", [-1.0, 1.0]), r"t_eval\[0\] is -1, expected times >= 0"),
    (lambda: v.check_times("t_eval", [0.0, 2.0, 1.0]), r"t_eval\[2\] = 1 comes after t_eval\[1\] = 2.*sort them"),
    (lambda: v.check_times("t_eval", [0.0, 1.0, 1.0]), r"expected increasing times"),
    (lambda: v.check_times("t_eval", [0.0, np.inf]), r"t_eval holds inf"),
    (lambda: v.check_times("t_eval", 1.0), r"t_eval has shape \(\), expected \(any,\): a list of times"),
    (lambda: v.as_generator(-1), r"rng is -1, expected a seed"),
    (lambda: v.as_generator(None), r"rng is None, expected a seed"),
    (lambda: v.as_generator(True), r"rng is True, expected a seed"),
]


@pytest.mark.parametrize(("call", "text"), BAD, ids=range(len(BAD)))
def test_bad_value_is_named(call, text):
    with pytest.raises(ArgumentError, match=text) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, errors.LineardynError)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.bool_, np.float32])
def test_narrow_types_become_float64(dtype):
    array = v.check_array("a", np.array([0, 1, 1], dtype=dtype))
    assert array.dtype == np.float64
    assert array.tolist() == [0.0, 1.0, 1.0]


def test_uint8_squares_do_not_overflow():
    images = v.check_images(np.full((1, 1, 2, 2), 255, dtype=np.uint8))
    assert (images**2).sum() == 4 * 255**2


def test_arrays_come_back_contiguous():
    array = v.check_array("a", np.arange(6.0).reshape(2, 3).T)
    assert array.flags.c_contiguous


def test_labels_become_one_hot_rows_in_the_order_of_the_labels():
    assert v.check_targets(np.array([2, 0, 1]), 3).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert v.check_targets([1], 1, n_outputs=3).tolist() == [[0, 1, 0]]


def test_small_images_are_not_taken_for_channels_last():
    assert v.check_images(np.zeros((2, 3, 4, 4))).shape == (2, 3, 4, 4)


def test_a_seed_and_its_generator_draw_the_same():
    a, b = v.as_generator(7), v.as_generator(np.int64(7))
    assert a.integers(1000) == b.integers(1000)
    assert v.as_generator(a) is a


def test_choices_are_read_in_any_case():
    assert v.check_choice("method", "DOP853", ["dop853"]) == "dop853"


@pytest.mark.torch
def test_a_torch_tensor_with_a_graph_is_read():
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3, requires_grad=True) * 2
    assert v.check_array("a", tensor).tolist() == [[2.0] * 3] * 2


def test_every_status_says_what_to_do():
    for status in errors.Status:
        assert status.value.endswith(".")
        if status not in (errors.Status.SUCCESS, errors.Status.EVENT):  # both are what was asked for
            assert re.search(r"raise|lower|rescale|give", status.value), status
