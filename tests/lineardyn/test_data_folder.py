"""Pictures in folders: what is read, in which order and scale, and which file an error names."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lineardyn import load_folder
from lineardyn.errors import ArgumentError, DataFileError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)


def save(root, name, pixels, **options):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)
    return path


@pytest.fixture
def root(tmp_path):
    """Two classes, named against the order in which they are written."""
    save(tmp_path, "b/2.png", GREY)
    save(tmp_path, "b/1.png", 255 - GREY)
    save(tmp_path, "a/9.png", GREY // 2)
    return tmp_path


def test_classes_and_files_are_sorted_by_name(root):
    (root / ".hidden").mkdir()
    (root / "notes.txt").write_text("not a class")
    (root / "a" / "Thumbs.db").write_bytes(b"not a picture")
    images, targets = load_folder(root)
    assert images.shape == (3, 1, 4, 6)
    assert images.dtype == np.float64
    assert images.flags.c_contiguous
    assert np.array_equal(images[:, 0], np.stack([GREY // 2, 255 - GREY, GREY]) / 255.0)
    assert targets.tolist() == [[1, 0], [0, 1], [0, 1]]


def test_one_picture_in_colour_makes_all_of_them_three_channels(root):
    save(root, "c/1.png", COLOUR)
    images, targets = load_folder(str(root))
    assert images.shape == (4, 3, 4, 6)
    assert np.array_equal(images[3], COLOUR.transpose(2, 0, 1) / 255.0)
    assert np.array_equal(images[2], np.stack([GREY / 255.0] * 3))
    assert targets.shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("rgba.png", Image.fromarray(np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]))),  # as matplotlib writes them
        ("palette.png", Image.fromarray(GREY).convert("P")),
        ("deep.png", Image.fromarray(GREY.astype(np.uint16) * 257)),
        ("plain.BMP", Image.fromarray(GREY)),
        ("plain.pgm", Image.fromarray(GREY)),
        ("plain.tiff", Image.fromarray(GREY)),
    ],
)
def test_every_kind_of_grey_file_has_the_same_levels(root, name, picture):
    save(root, f"c/{name}", picture)
    images, _ = load_folder(root)
    assert images.shape[1] == 1
    assert np.abs(images[3, 0] - GREY / 255.0).max() <= 1e-15


def test_photographs_are_turned_as_their_camera_says(root):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    save(root, "c/1.png", np.ascontiguousarray(np.rot90(GREY)), exif=exif)
    assert np.array_equal(load_folder(root)[0][3, 0], GREY / 255.0)


def test_size_averages_the_centred_part(root):
    save(root, "c/1.png", np.tile(GREY, (2, 3)))
    images, _ = load_folder(root, size=2)
    assert images.shape == (4, 1, 2, 2)
    wanted = GREY[:, 1:5].reshape(2, 2, 2, 2).mean(axis=(1, 3)) / 255.0  # 4×6 pixels: the middle 4×4 in blocks of 2×2
    assert np.abs(images[2, 0] - wanted).max() <= 1e-15
    assert load_folder(root, size=(2, 3))[0].shape == (4, 1, 2, 3)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_pictures_of_different_sizes_are_named(root):
    save(root, "c/1.png", GREY[:3])
    with pytest.raises(DataFileError, match=r"c.1.png has 3×6 pixels, expected 4×6, those of .*a.9.png: pass size="):
        load_folder(root)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_broken_file_is_named(root, content):
    whole = (root / "a/9.png").read_bytes()
    (root / "a/9.png").write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataFileError, match=r"9.png cannot be read .*expected a picture"):
        load_folder(root)


def test_transparent_pixels_and_unbounded_levels_are_named(root):
    path = save(root, "c/1.png", np.dstack([GREY] * 4))
    with pytest.raises(DataFileError, match=r"1.png has transparent pixels"):
        load_folder(root)
    path.unlink()
    save(root, "c/1.tiff", GREY.astype(np.float32))
    with pytest.raises(DataFileError, match=r"1.tiff has pixels of mode F, expected 8 or 16 bits"):
        load_folder(root)


def test_folders_that_are_no_classes_are_named(tmp_path, root):
    with pytest.raises(DataFileError, match=r"nowhere, which does not exist, expected a folder"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(DataFileError, match=r"9.png, which is a file"):
        load_folder(root / "a" / "9.png")
    with pytest.raises(DataFileError, match=r"holds 0 subfolders, expected at least two"):
        load_folder(root / "a")
    (root / "empty").mkdir()
    with pytest.raises(DataFileError, match=r"empty holds no picture"):
        load_folder(root)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (5, r"size is \(5, 5\), expected at most \(4, 6\), the size of .*9.png"),
        ((2, 2, 2), r"size is \(2, 2, 2\), expected \(H, W\): 2 integers"),
        (0, r"size\[0\] is 0, expected an integer >= 1"),
        ("big", r"size is \('b', 'i', 'g'\)"),
    ],
)
def test_bad_sizes_are_named(root, size, text):
    with pytest.raises(ArgumentError, match=text):
        load_folder(root, size=size)


def test_root_must_be_a_path():
    with pytest.raises(ArgumentError, match=r"root is 3, expected the path"):
        load_folder(3)
