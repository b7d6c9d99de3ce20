"""Natural patches, grey levels, sizes, and a user's own npz file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.data import greyscale, load_npz, natural_patches, resize
from lineardyn.errors import ArgumentError, DataFileError

EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    image = pytest.importorskip("PIL.Image", reason="matplotlib reads its photograph with Pillow")
    from matplotlib import cbook

    with image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return np.asarray(picture, dtype=float) @ [0.299, 0.587, 0.114] / 255


def test_patches_are_turned_pieces_of_the_photograph(photograph: np.ndarray) -> None:
    size, block = 64, 4  # 512 // (2 · 64)
    images, targets = natural_patches(size, 12, rng=3)
    assert images.shape == (12, 1, size, size)
    np.testing.assert_array_equal(targets, np.eye(4)[np.arange(12) % 4])
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (block * size, block * size))
    for i, image in enumerate(images[:, 0]):
        upright = np.rot90(image, -(i % 4))
        corner = photograph[: 600 - 255, : 512 - 255]
        first = sum(photograph[a : a + len(corner), b : b + corner.shape[1]] for a in range(4) for b in range(4)) / 16
        places = np.argwhere(np.abs(first - upright[0, 0]) < 1e-9)  # sums of 3e5 numbers below 1: 3e5·eps = 7e-11
        means = [windows[a, b].reshape(size, block, size, block).mean(axis=(1, 3)) for a, b in places]
        assert min(np.abs(mean - upright).max() for mean in means) < 1e-9


def test_patches_are_balanced_in_range_and_follow_the_seed() -> None:
    images, targets = natural_patches(16, 400, rng=0)
    assert 0 <= images.min() < images.max() <= 1
    assert targets.sum(axis=0).tolist() == [100.0] * 4
    np.testing.assert_array_equal(images, natural_patches(16, 400, rng=np.random.default_rng(0))[0])
    assert np.abs(images - natural_patches(16, 400, rng=1)[0]).max() > 0.1


def test_patches_carry_their_rotation() -> None:
    # the photograph is lit from one side: turned back, the class means are more alike than as shown
    images, _ = natural_patches(16, 2000, rng=0)
    shown = np.stack([images[k::4, 0].mean(axis=0) for k in range(4)])
    upright = np.stack([np.rot90(mean, -k) for k, mean in enumerate(shown)])
    assert np.var(shown, axis=0).mean() > 10 * np.var(upright, axis=0).mean()


def test_largest_patch_is_as_wide_as_the_photograph() -> None:
    assert natural_patches(512, 4, rng=0)[0].shape == (4, 1, 512, 512)


def test_greyscale_weights_the_colours() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((5, 3, 4, 6))
    np.testing.assert_allclose(
        greyscale(images)[:, 0], np.tensordot([0.299, 0.587, 0.114], images, (0, 1)), rtol=8 * EPS
    )
    assert greyscale(np.ones((1, 3, 2, 2)))[0, 0, 0, 0] == pytest.approx(1, abs=4 * EPS)
    np.testing.assert_array_equal(greyscale(images[:, :1]), images[:, :1])


def test_resize_takes_block_means_where_the_size_divides() -> None:
    images = np.random.default_rng(0).random((3, 2, 12, 8))
    expected = images.reshape(3, 2, 6, 2, 2, 4).mean(axis=(3, 5))
    np.testing.assert_allclose(resize(images, (6, 2)), expected, rtol=0, atol=8 * EPS)


def test_resize_shares_pixels_elsewhere() -> None:
    # three pixels to two: (x0 + x1/2)/1.5, (x1/2 + x2)/1.5
    row = np.array([3.0, 6.0, 12.0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(resize(row, (1, 2)).ravel(), [4.0, 10.0], rtol=4 * EPS)


@given(old=st.integers(1, 12), new=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_resize_is_the_area_average(old: int, new: int, seed: int) -> None:
    old, new = max(old, new), min(old, new)
    images = np.random.default_rng(seed).random((2, 1, old, old))
    small = resize(images, new)
    # independent: repeat every pixel `new` times, then average blocks of `old` (both give old·new)
    fine = images.repeat(new, axis=2).repeat(new, axis=3)
    np.testing.assert_allclose(small, fine.reshape(2, 1, new, old, new, old).mean(axis=(3, 5)), rtol=0, atol=200 * EPS)
    np.testing.assert_allclose(small.mean(axis=(2, 3)), images.mean(axis=(2, 3)), rtol=0, atol=200 * EPS)


def test_resize_to_the_same_size_is_a_copy() -> None:
    images = np.ones((1, 1, 4, 4))
    same = resize(images, 4)
    same[:] = 0
    assert images.min() == 1


BAD_CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: natural_patches(1, 4, rng=0), "size is 1, expected an integer >= 2"),
    (lambda: natural_patches(513, 4, rng=0), "size is 513, expected at most 512: the photograph has (600, 512) pixels"),
    (
        lambda: natural_patches(16, 10, rng=0),
        "n is 10, expected a multiple of 4 (as many patches of each rotation): use 8",
    ),
    (lambda: natural_patches(16, 0, rng=0), "n is 0, expected an integer >= 4"),
    (lambda: natural_patches(16, 4, rng="a"), "rng is 'a', expected a seed"),  # type: ignore[arg-type]
    (lambda: greyscale(np.ones((1, 2, 4, 4))), "images has 2 channels, expected 3 (red, green, blue) or 1"),
    (lambda: greyscale(np.ones((2, 4, 4))), "images has shape (2, 4, 4), expected (N, C, H, W)"),
    (lambda: resize(np.ones((1, 1, 4, 4)), 5), "size is (5, 5), expected at most (4, 4), the size of the images"),
    (lambda: resize(np.ones((1, 1, 4, 4)), 0), "size[0] is 0, expected an integer >= 1"),
    (lambda: resize(np.ones((1, 1, 4, 4)), (2, 2, 2)), "size is (2, 2, 2), expected a side, or (H, W)"),
]


@pytest.mark.parametrize(("call", "text"), BAD_CALLS, ids=[text[:50] for _, text in BAD_CALLS])
def test_bad_call_is_told_apart(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert text in str(caught.value)


IMAGES = np.random.default_rng(0).random((6, 2, 5, 4))


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 2, 0, 1, 2], np.eye(3)[[0, 1, 2, 0, 1, 2]]),
        ([8, 3, 5, 8, 3, 5], np.eye(3)[[2, 0, 1, 2, 0, 1]]),
        ([-1, 1, 1, -1, 1, 1], np.eye(2)[[0, 1, 1, 0, 1, 1]]),
        ([True, False] * 3, np.eye(2)[[1, 0] * 3]),
        (["dog", "cat"] * 3, np.eye(2)[[1, 0] * 3]),
        (np.arange(12.0).reshape(6, 2), np.arange(12.0).reshape(6, 2)),
    ],
)
def test_npz_labels_become_columns_in_sorted_order(tmp_path: Path, labels: Any, expected: np.ndarray) -> None:
    images, targets = load_npz(npz(tmp_path, images=IMAGES, labels=labels, other=[1]))
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(targets, expected)
    assert targets.dtype == np.float64


def test_npz_bytes_become_float64_unscaled(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 1, 3, 3), dtype=np.uint8)
    images, _ = load_npz(str(npz(tmp_path, images=pixels, labels=[0, 1])))
    assert images.dtype == np.float64
    np.testing.assert_array_equal(images, pixels)


NAN = IMAGES.copy()
NAN[1, 0, 2, 3] = np.nan
LABELS = [0, 1] * 3
BAD_ARRAYS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"images": IMAGES, "label": LABELS}, DataFileError, "mine.npz holds images, label, expected images and labels"),
    ({"x": IMAGES}, DataFileError, "numpy.savez(path, images=..., labels=...)"),
    ({}, DataFileError, "holds nothing, expected images and labels"),
    (
        {"images": np.array([IMAGES, None], dtype=object), "labels": LABELS},
        DataFileError,
        "pickled objects are refused",
    ),
    ({"images": IMAGES[:, 0], "labels": LABELS}, ArgumentError, "add the channel axis with images[:, None]"),
    (
        {"images": IMAGES.transpose(0, 2, 3, 1)[..., :1].repeat(3, 3).repeat(2, 2), "labels": LABELS},
        ArgumentError,
        "channels-last",
    ),
    ({"images": IMAGES[:0], "labels": []}, ArgumentError, "expected at least one image"),
    ({"images": NAN, "labels": LABELS}, ArgumentError, "images in mine.npz holds nan at index (1, 0, 2, 3)"),
    ({"images": IMAGES, "labels": LABELS[:5]}, ArgumentError, "labels in mine.npz has 5 rows, expected 6"),
    ({"images": IMAGES, "labels": []}, ArgumentError, "labels in mine.npz has 0 rows, expected 6"),
    (
        {"images": IMAGES, "labels": [4] * 6},
        ArgumentError,
        "labels in mine.npz are all 4, expected at least two classes",
    ),
    ({"images": IMAGES, "labels": np.eye(2)[[1] * 6]}, ArgumentError, "are the same for every image"),
    (
        {"images": IMAGES, "labels": np.array(LABELS, float)},
        ArgumentError,
        "expected integer labels or an (N, K) array",
    ),
    ({"images": IMAGES, "labels": np.array(LABELS)[:, None]}, ArgumentError, "save labels[:, 0]"),
    ({"images": IMAGES, "labels": np.zeros((6, 2, 2))}, ArgumentError, "labels in mine.npz has shape (6, 2, 2)"),
    (
        {"images": IMAGES.astype(complex), "labels": LABELS},
        ArgumentError,
        "has dtype complex128, expected real numbers",
    ),
]


@pytest.mark.parametrize(("arrays", "error", "text"), BAD_ARRAYS, ids=[text[:40] for _, _, text in BAD_ARRAYS])
def test_npz_with_other_content_is_told_apart(
    tmp_path: Path, arrays: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        load_npz(npz(tmp_path, **arrays))
    assert text in str(caught.value)


def test_file_that_is_no_npz_is_told_apart(tmp_path: Path) -> None:
    whole = npz(tmp_path, images=IMAGES, labels=LABELS).read_bytes()
    broken = bytearray(whole)
    broken[200] ^= 0xFF  # a bit of the first array: the checksum fails
    np.save(tmp_path / "array.npy", IMAGES)
    contents = {
        "text.npz": b"hello",
        "empty.npz": b"",
        "short.npz": whole[: len(whole) // 2],
        "array.npz": (tmp_path / "array.npy").read_bytes(),
        "broken.npz": bytes(broken),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataFileError, match=name):
            load_npz(tmp_path / name)
    with pytest.raises(DataFileError, match=r"missing, expected an \.npz file"):
        load_npz(tmp_path / "nothing.npz")
    with pytest.raises(DataFileError, match=r"a folder, expected an \.npz file"):
        load_npz(tmp_path)
