"""Data larger than memory: however images are kept and cut, their moments are those of the whole, to round-off.

Files of images stand for any that memory does not hold: what is read at a time is bounded, and counted.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import SecondMoments, accumulation, packed_rows, sources
from lineardyn.errors import ArgumentError, DataFileError
from tests import oracles
from tests import strategies as own
from tests.lineardyn.test_moments import close, same_moments

FORMS = ["modes", "dense", "samples"]
N, SHAPE, K = 61, (2, 5, 4), 3
RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (N, *SHAPE), dtype=np.uint8)
LABELS = np.arange(N) % K


class Counted:
    """An iterable of batches that counts how often it is opened."""

    def __init__(self, batches: list) -> None:
        self.batches, self.opened = batches, 0

    def __iter__(self) -> Iterator:
        self.opened += 1
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def split(images, targets, *cuts: int) -> list:
    parts = np.split(np.arange(len(images)), cuts)
    return [(images[p[0] : p[-1] + 1], targets[p[0] : p[-1] + 1]) for p in parts if len(p)]


def in_small_pieces(monkeypatch):
    """Pieces of 4 images and blocks of 11, so that these few are read as many."""
    monkeypatch.setattr(sources, "PIECE_BYTES", 8 * 40 * 4)
    monkeypatch.setattr(accumulation, "PIECE_BYTES", 8 * 40 * 4)
    monkeypatch.setattr(accumulation, "GRAM_BLOCK_BYTES", 8 * 40 * 4)
    monkeypatch.setattr(accumulation, "FEWEST_IMAGES", 11)
    monkeypatch.setattr(packed_rows, "SLAB_BYTES", 8 * 48 * 15)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    in_small_pieces(monkeypatch)


def mapped(folder: Path, images: np.ndarray) -> np.memmap:
    file = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=images.dtype, shape=images.shape)
    file[:] = images
    file.flush()
    return np.load(folder / "images.npy", mmap_mode="r")


def stored(folder: Path, name: str = "rows.npy", **options) -> SecondMoments:
    return SecondMoments.from_data(PIXELS, LABELS, form="samples", store=folder / name, **options)


def from_dask(images: np.ndarray, chunks: tuple) -> object:
    da = pytest.importorskip("dask.array", reason="dask is not installed (extra 'test')")
    return da.from_array(images, chunks=chunks)


UNEVEN = ((1, 30, 2, 28), (1, 1), (3, 2), (4,))
SOURCES: dict[str, Callable] = {
    "memmap uint8": lambda folder, form: SecondMoments.from_data(mapped(folder, PIXELS), LABELS, form=form),
    "memmap float32": lambda folder, form: SecondMoments.from_data(
        mapped(folder, PIXELS.astype(np.float32)), LABELS, form=form
    ),
    "memmap targets": lambda folder, form: SecondMoments.from_data(
        PIXELS, mapped(folder, np.eye(K, dtype=np.float32)[LABELS]), form=form
    ),
    "dask": lambda folder, form: SecondMoments.from_data(from_dask(PIXELS, UNEVEN), LABELS, form=form),
    "dask targets": lambda folder, form: SecondMoments.from_data(
        from_dask(PIXELS, (7, 2, 5, 4)), from_dask(LABELS, (9,)), form=form
    ),
    "list": lambda folder, form: SecondMoments.from_batches(split(PIXELS, LABELS, 3, 20, 21), form=form),
    "function": lambda folder, form: SecondMoments.from_batches(lambda: iter(split(PIXELS, LABELS, 30)), form=form),
    "loader": lambda folder, form: SecondMoments.from_batches(Counted(split(PIXELS, LABELS, 16, 32, 48)), form=form),
    "batches of dask": lambda folder, form: SecondMoments.from_batches(
        split(from_dask(PIXELS, UNEVEN), LABELS, 13), form=form
    ),
    "transposed": lambda folder, form: SecondMoments.from_data(
        np.ascontiguousarray(PIXELS.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), LABELS, form=form
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SOURCES)
def test_any_source_has_the_moments_of_the_sums(name, form, tmp_path):
    """Against sums over the samples for what is exact, and the in-memory result for the modes, bit for bit."""
    moments = SOURCES[name](tmp_path, form)
    yx, xx, power = oracles.second_moments(PIXELS.astype(float), np.eye(K)[LABELS])
    assert moments.n_samples == N
    close(moments.sigma_yx.reshape(yx.shape), yx, np.sqrt(power * np.trace(xx)))
    close(moments.target_power, power)
    if form != "modes":
        close(moments.gram(), xx)
    modes, (_, s, v) = moments.modes(), np.linalg.svd(yx, full_matrices=False)
    close(modes.s, s)
    close(modes.d, np.einsum("rd,de,re->r", v, xx, v), np.trace(xx))
    whole = SecondMoments.from_data(PIXELS.astype(float), np.eye(K)[LABELS], form=form)
    assert all(np.array_equal(a, b) for a, b in zip(moments.statistics[1:], whole.statistics[1:], strict=True))


@given(data=own.data_sets(), cuts=st.lists(st.integers(0, 12), max_size=4), form=st.sampled_from([*FORMS, "auto"]))
def test_the_split_into_batches_does_not_change_a_bit(data, cuts, form):
    """Images are gathered into blocks of one size before anything is summed."""
    whole = SecondMoments.from_data(data.images, data.targets, form=form)
    batches = split(data.images, data.targets, *sorted(c for c in cuts if c < len(data.images)))
    parts = SecondMoments.from_batches(batches, form=form)
    same_moments(parts, whole)
    assert np.array_equal(parts.sigma_yx, whole.sigma_yx)
    assert all(np.array_equal(a, b) for a, b in zip(parts.statistics[1:], whole.statistics[1:], strict=True))


@pytest.mark.parametrize(("form", "passes"), [("dense", 1), ("samples", 1), ("modes", 2), ("auto", 3)])
def test_number_of_passes(form, passes, tmp_path):
    batches = Counted(split(PIXELS, LABELS, 20))
    SecondMoments.from_batches(batches, form=form)
    assert batches.opened == passes


@pytest.mark.parametrize(("form", "passes"), [("dense", 1), ("samples", 1), ("modes", 2)])
@pytest.mark.parametrize("center", [False, True])
def test_each_chunk_is_computed_once_a_pass(form, passes, center, monkeypatch):
    """Chunks smaller and larger than a piece, the small ones loaded together; one pass more for the mean."""
    at_once: list[int] = []
    original = sources._load
    monkeypatch.setattr(sources, "_load", lambda array: at_once.append(len(array)) or original(array))
    da = pytest.importorskip("dask.array", reason="dask is not installed (extra 'test')")
    computed: list[int] = []

    def load(block: np.ndarray) -> np.ndarray:
        computed.append(len(block))
        return block

    chunks = (1, 2, 40, 3, 15)
    array = da.from_array(PIXELS, chunks=(chunks, 2, 5, 4)).map_blocks(load, dtype=np.uint8, meta=np.empty(0, np.uint8))
    SecondMoments.from_data(array, LABELS, form=form, center=center)
    assert sorted(computed) == sorted(chunks * (passes + center))
    assert at_once == [N, *[43, 18] * (passes + center)]  # the labels; 1 + 2 + 40 images, 3 + 15


class Archive:
    """An array as h5py and zarr have it: chunks of one length, read by slices, never whole."""

    def __init__(self, array: np.ndarray, length: int) -> None:
        self.array, self.chunks = array, (length, *array.shape[1:])
        self.shape, self.dtype = array.shape, array.dtype
        self.read: list[int] = []

    def __getitem__(self, part: slice) -> np.ndarray:
        self.read += range(part.start // self.chunks[0], -(-part.stop // self.chunks[0]))
        return self.array[part]


@pytest.mark.parametrize("length", [1, 3, 7, 40, 100])
def test_each_chunk_of_an_archive_is_read_once(length):
    archive = Archive(PIXELS, length)
    moments = SecondMoments.from_data(archive, LABELS, form="dense")
    assert np.array_equal(moments.gram(), SecondMoments.from_data(PIXELS, LABELS, form="dense").gram())
    assert archive.read == list(range(-(-N // length)))


def test_a_large_file_is_not_loaded(tmp_path, monkeypatch):
    """4 MB of bytes, 32 MB in float64, in blocks of 1 MB; the modes add a few images, the stored rows a few blocks."""
    monkeypatch.setattr(accumulation, "FEWEST_IMAGES", 8)
    images = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(256, 1, 128, 128))
    images[:] = RNG.integers(0, 256, (1, 1, 128, 128)) // np.arange(1, 257)[:, None, None, None]
    labels = np.arange(256) % K
    tracemalloc.start()
    SecondMoments.from_data(images, labels, form="modes")
    SecondMoments.from_data(images, labels, form="samples", store=tmp_path / "rows.npy", center=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23  # a quarter


def test_the_dense_matrix_is_held_twice_at_most():
    """While one side of it is packed; besides, a few rows. Three would be 3."""
    images, labels = RNG.standard_normal((30, 1, 32, 32)), np.arange(30) % K
    SecondMoments.from_data(images, labels, form="dense")
    tracemalloc.start()
    moments = SecondMoments.from_data(images, labels, form="dense")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.7 * moments.statistics.matrix.nbytes


# --- the mean taken off -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["memory", "memmap", "dask"])
def test_centring_streams(form, source, tmp_path):
    images = {
        "memory": lambda: PIXELS,
        "memmap": lambda: mapped(tmp_path, PIXELS),
        "dask": lambda: from_dask(PIXELS, UNEVEN),
    }[source]()
    centred = PIXELS - PIXELS.astype(float).mean(axis=0)
    moments = SecondMoments.from_data(images, LABELS, form=form, center=True)
    same_moments(moments, SecondMoments.from_data(centred, LABELS, form=form))


def test_centring_does_not_cancel():
    """Deviations of 1 on a mean of 1e8: ``Σ^xx - ⟨x⟩⟨x⟩ᵀ`` would keep none of their digits (1e16·eps = 2)."""
    deviations = RNG.standard_normal((40, 1, 3, 4))
    images = 1e8 + deviations
    exact = images - 1e8  # the deviations that the numbers hold
    exact -= exact.mean(axis=0)
    moments = SecondMoments.from_data(images, RNG.standard_normal((40, 2)), form="dense", center=True)
    gram = np.einsum("ni,nj->ij", exact.reshape(40, -1), exact.reshape(40, -1)) / 40
    # the mean has one rounding of 1e8·eps = 1e-8, which enters to first order only where deviations do not cancel
    assert oracles.error(moments.gram(), gram) <= 1e-12


# --- what is refused --------------------------------------------------------------------------------------------------


class Shuffled:
    """Random augmentation: other images each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __iter__(self) -> Iterator:
        yield self.rng.standard_normal((N, *SHAPE)), LABELS


class Shrinking(Counted):
    def __iter__(self) -> Iterator:
        self.opened += 1
        return iter(self.batches[self.opened - 1 :])


def chunked(images, **options):
    return from_dask(images, (7, 2, 5, 4))


NAN = PIXELS.astype(float)
NAN[57, 1, 2, 3] = np.nan
INFINITE = np.eye(K)[LABELS]
INFINITE[40, 1] = np.inf
BAD: dict[str, tuple[Callable, str]] = {
    "nan late in an array": (
        lambda folder: SecondMoments.from_data(mapped(folder, NAN), LABELS),
        r"^images holds nan at index \(57, 1, 2, 3\), expected finite",
    ),
    "nan late in dask": (
        lambda folder: SecondMoments.from_data(chunked(NAN), LABELS, form="dense"),
        r"^images holds nan at index \(57, 1, 2, 3\), expected finite",
    ),
    "nan under the mean": (
        lambda folder: SecondMoments.from_data(chunked(NAN), LABELS, center=True),
        r"^images holds nan at index \(57, 1, 2, 3\), expected finite",
    ),
    "nan late in a batch": (
        lambda folder: SecondMoments.from_batches(split(NAN, LABELS, 20), form="samples"),
        r"^batches\[1\] images holds nan at index \(37, 1, 2, 3\)",
    ),
    "infinite target": (
        lambda folder: SecondMoments.from_data(mapped(folder, PIXELS), INFINITE),
        r"^targets holds inf at index \(40, 1\)",
    ),
    "infinite target of a batch": (
        lambda folder: SecondMoments.from_batches(split(PIXELS, INFINITE, 20)),
        r"^batches\[1\] targets holds inf at index \(20, 1\)",
    ),
    "shape of a late batch": (
        lambda folder: SecondMoments.from_batches([(PIXELS, LABELS), (PIXELS[..., :3], LABELS)], form="dense"),
        r"^batches\[1\] has images of shape \(2, 5, 3\), expected \(2, 5, 4\) as before",
    ),
    "labels of dask": (
        lambda folder: SecondMoments.from_data(chunked(PIXELS), LABELS[:-1]),
        r"^targets has 60 rows, expected 61",
    ),
    "columns of a late batch": (
        lambda folder: SecondMoments.from_batches([(PIXELS, np.eye(3)[LABELS]), (PIXELS, np.eye(2)[LABELS % 2])]),
        r"^batches\[1\] targets has 2 columns, expected 3",
    ),
    "dask of three axes": (
        lambda folder: SecondMoments.from_data(chunked(PIXELS)[:, 0], LABELS),
        r"^images has shape \(61, 5, 4\), expected \(N, C, H, W\); add the channel axis",
    ),
    "dask of channels last": (
        lambda folder: SecondMoments.from_data(from_dask(PIXELS.transpose(0, 2, 3, 1).repeat(2, 2), 7), LABELS),
        r"channels-last",
    ),
    "dask of complex": (
        lambda folder: SecondMoments.from_data(chunked(PIXELS) * 1j, LABELS),
        r"^images has dtype complex128, expected real numbers",
    ),
    "dask of unknown length": (
        lambda folder: SecondMoments.from_data(chunked(PIXELS)[chunked(PIXELS)[:, 0, 0, 0] > 9], LABELS),
        r"^images has shape \(nan, 2, 5, 4\), expected a known number of images: call its compute_chunk_sizes\(\)",
    ),
    "dask that lies about its shape": (
        lambda folder: SecondMoments.from_data(
            chunked(PIXELS).map_blocks(lambda b: b[:, :, :3], dtype=np.uint8, meta=np.empty(0, np.uint8)), LABELS
        ),
        r"^images gave a chunk of shape \(7, 2, 3, 4\) at 0, expected \(7, 2, 5, 4\)",
    ),
    "constant images": (
        lambda folder: SecondMoments.from_data(mapped(folder, np.full((N, *SHAPE), 0.1)), LABELS, center=True),
        r"^images are all equal",
    ),
    "augmented": (
        lambda folder: SecondMoments.from_batches(Shuffled(), form="modes"),
        r"^batches gave other images on the second pass.*random augmentations",
    ),
    "fewer at the second pass": (
        lambda folder: SecondMoments.from_batches(Shrinking(split(PIXELS, LABELS, 20)), form="modes"),
        r"^batches gave 61 images on the first pass and 41 on the second",
    ),
    "store of another form": (
        lambda folder: SecondMoments.from_data(PIXELS, LABELS, store=folder / "rows.npy"),
        r"^store comes with form='auto', expected form='samples'",
    ),
    "store is a folder": (
        lambda folder: SecondMoments.from_data(PIXELS, LABELS, form="samples", store=folder),
        r"^store is the folder .*, expected the path of a file",
    ),
    "store is empty": (
        lambda folder: SecondMoments.from_data(PIXELS, LABELS, form="samples", store=""),
        r"^store is '', expected the path of a file",
    ),
    "added to stored rows": (
        lambda folder: stored(folder) + stored(folder, "b.npy"),
        r"^other cannot be added: rows are stored in .*from_batches",
    ),
}


@pytest.mark.filterwarnings("ignore::dask.array.PerformanceWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_named(name, tmp_path):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataFileError, match=r"store .*nowhere.* cannot be written"):
        stored(tmp_path / "nowhere")
    with pytest.raises(DataFileError, match=r"path .*nowhere.* cannot be written"):
        SecondMoments.from_data(PIXELS, LABELS).save(tmp_path / "nowhere" / "moments.npz")


def test_rows_beyond_memory_are_told_where_to_go(monkeypatch):
    def no_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr(packed_rows.np, "empty", no_memory)
    with pytest.raises(ArgumentError, match=r"GiB as rows of form='samples'.*store='rows.npy'"):
        packed_rows._reserve(10**6, 10**6)
