"""Rows in a mapped file, and moments saved and loaded."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, gradient_descent, gradient_flow
from lineardyn.errors import ArgumentError, DataFileError
from tests.lineardyn.test_moments import same_moments
from tests.lineardyn.test_statistics_at_scale import (
    FORMS,
    LABELS,
    PIXELS,
    RNG,
    SHAPE,
    K,
    N,
    in_small_pieces,
    split,
    stored,
)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    in_small_pieces(monkeypatch)


# --- rows in a file ---------------------------------------------------------------------------------------------------


def test_stored_rows_are_the_rows(tmp_path):
    moments, whole = stored(tmp_path), SecondMoments.from_data(PIXELS, LABELS, form="samples")
    rows = moments.statistics.rows
    assert type(rows) is np.ndarray
    assert isinstance(rows.base, np.memmap)
    assert np.array_equal(rows, whole.statistics.rows)
    assert np.array_equal(np.load(tmp_path / "rows.npy"), whole.statistics.rows)
    assert [f.name for f in tmp_path.iterdir()] == ["rows.npy"]
    same_moments(
        SecondMoments.from_batches(iter(split(PIXELS, LABELS, 9)), form="samples", store=str(tmp_path / "b")), whole
    )
    same_moments(moments, whole)


def test_pickled_moments_name_the_file_of_their_rows(tmp_path):
    """As they go to another process; those in memory go whole."""
    one = stored(tmp_path)
    sent = pickle.dumps(one)
    assert len(sent) < one.statistics.rows.nbytes / 2
    two = pickle.loads(sent)
    identical(two, one)
    assert isinstance(two.statistics.rows.base, np.memmap)
    whole = SecondMoments.from_data(PIXELS, LABELS, form="samples")
    identical(pickle.loads(pickle.dumps(whole)), whole)


def network_and_weights() -> tuple:
    network = LinearCNN(SHAPE, widths=(2,), n_outputs=K)
    return network, network.init_small(1e-3, rng=0)


def test_kernels_run_on_stored_rows_as_on_rows_in_memory(tmp_path):
    """The same compiled code, bit for bit: flow, full batch, mini-batches, one sample."""
    one, two = stored(tmp_path), SecondMoments.from_data(PIXELS, LABELS, form="samples")
    network, weights = network_and_weights()
    runs = [
        lambda m: gradient_flow(network, m, weights, [0.0, 1e-5], method="tsit5"),
        lambda m: gradient_descent(network, m, weights, learning_rate=1e-7, n_steps=3),
        lambda m: gradient_descent(network, m, weights, learning_rate=1e-7, n_steps=9, batch_size=4, rng=1),
        lambda m: gradient_descent(network, m, weights, learning_rate=1e-7, n_steps=9, batch_size=1, rng=1),
    ]
    for run in runs:
        a, b = run(one), run(two)
        assert np.array_equal(a.states, b.states)
        assert np.array_equal(a.loss, b.loss)
    assert np.array_equal(np.load(tmp_path / "rows.npy"), two.statistics.rows)  # nothing wrote to the file


def test_kernels_do_not_copy_stored_rows(tmp_path):
    """Rows of 8 MB; a flow and both kinds of descent take less than a fifth of that."""
    n, shape = 1000, (1, 32, 32)
    images, labels = RNG.standard_normal((n, *shape)), np.arange(n) % K
    moments = SecondMoments.from_data(images, labels, form="samples", store=tmp_path / "rows.npy")
    size = moments.statistics.rows.nbytes
    network = LinearCNN(shape, n_outputs=K)
    weights = network.init_small(1e-3, rng=0)
    options = {"learning_rate": 1e-3, "n_steps": 2}
    for trace in (False, True):  # compiled before it is traced
        if trace:
            tracemalloc.start()
        gradient_flow(network, moments, weights, [1e-3], method="tsit5")
        gradient_descent(network, moments, weights, **options, batch_size=5, rng=0)
        gradient_descent(network, moments, weights, **options, batch_size=1, rng=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 5


def test_an_interrupted_pass_leaves_what_was_there(tmp_path):
    stored(tmp_path)
    before = (tmp_path / "rows.npy").read_bytes()

    def batches():
        yield PIXELS[:30], LABELS[:30]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SecondMoments.from_batches(batches(), form="samples", store=tmp_path / "rows.npy")
    late = np.where(np.arange(N)[:, None, None, None] == 50, np.nan, PIXELS)
    with pytest.raises(ArgumentError, match=r"images holds nan at index \(50, 0, 0, 0\)"):
        SecondMoments.from_data(late, LABELS, form="samples", store=tmp_path / "rows.npy")
    assert (tmp_path / "rows.npy").read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize("room", [0, 100, 5000, 20_000])
def test_a_disk_that_is_full_is_said_and_left_clean(room, tmp_path):
    """The rows take 24 kB; the system ends the file earlier, at the first write or when the last one is flushed."""
    resource = pytest.importorskip("resource", reason="there is no setrlimit on Windows")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(
            DataFileError, match=r"store .*rows\.npy' cannot be written .*File too large.*choose a folder"
        ):
            stored(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_renamed_is_not_left(tmp_path, monkeypatch):
    def refused(self, target):
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(DataFileError, match="in use"):
        stored(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- saved and loaded -------------------------------------------------------------------------------------------------


def identical(a: SecondMoments, b: SecondMoments) -> None:
    names = ("form", "image_shape", "n_samples", "target_power", "image_power")
    assert [getattr(a, n) for n in names] == [getattr(b, n) for n in names]
    assert np.array_equal(a.sigma_yx, b.sigma_yx)
    assert all(np.array_equal(x, y) for x, y in zip(a.statistics, b.statistics, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_saved_and_loaded_they_are_the_same_bit_for_bit(form, tmp_path):
    one = SecondMoments.from_data(PIXELS, LABELS, form=form)
    one.save(tmp_path / "moments.npz")
    identical(SecondMoments.load(tmp_path / "moments.npz"), one)


def test_stored_rows_are_mapped_again_and_move_with_the_moments(tmp_path):
    one = stored(tmp_path)
    one.save(tmp_path / "moments.npz")
    assert (tmp_path / "moments.npz").stat().st_size < one.statistics.rows.nbytes
    for _ in range(2):  # once as written, once with both files in another place
        two = SecondMoments.load(tmp_path / "moments.npz")
        identical(two, one)
        assert isinstance(two.statistics.rows.base, np.memmap)
        (tmp_path / "sub").mkdir()
        for name in ("moments.npz", "rows.npy"):
            (tmp_path / name).rename(tmp_path / "sub" / name)
        tmp_path = tmp_path / "sub"


@pytest.mark.parametrize("kind", ["missing", "other", "short", "text"])
def test_stored_rows_that_are_not_these_are_refused(kind, tmp_path):
    """Rows of other data in the place of the stored ones would be silent nonsense."""
    one = stored(tmp_path)
    one.save(tmp_path / "moments.npz")
    rows = tmp_path / "rows.npy"
    if kind == "missing":
        rows.unlink()
    elif kind == "other":
        SecondMoments.from_data(PIXELS + np.uint8(1), LABELS, form="samples", store=rows)
    elif kind == "short":
        rows.write_bytes(rows.read_bytes()[:-8])
    else:
        rows.write_text("no rows")
    with pytest.raises(DataFileError, match=r"refers to rows stored in .*rows\.npy.*missing or were written over"):
        SecondMoments.load(tmp_path / "moments.npz")


def test_rows_stored_where_nothing_may_be_written_can_be_read(tmp_path, monkeypatch):
    """As on a shared, read-only disk."""
    one = stored(tmp_path)
    one.save(tmp_path / "moments.npz")
    load = np.load

    def read_only(file, mmap_mode=None, **options):
        if mmap_mode == "r+":
            raise PermissionError
        return load(file, mmap_mode=mmap_mode, **options)

    monkeypatch.setattr(np, "load", read_only)
    two = SecondMoments.load(tmp_path / "moments.npz")
    identical(two, one)
    assert two.statistics.rows.flags.writeable  # else numba would compile every kernel again


BROKEN: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "text": lambda path: path.write_text("moments"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "foreign": lambda path: np.savez(path, a=np.ones(3)),
    "no target": lambda path: np.savez(path, **{**np.load(path), "target": np.empty((K, 0))}),
    "not finite": lambda path: np.savez(path, **{**np.load(path), "target": np.nan * np.load(path)["target"]}),
    "other images": lambda path: np.savez(path, **{**np.load(path), "sigma_yx": np.load(path)["sigma_yx"][..., :1]}),
    "other rows": lambda path: np.savez(path, **{**np.load(path), "rows": np.ones((3, 3)), "matrix": np.ones((3, 3))}),
    "other form": lambda path: np.savez(
        path, **{**np.load(path), "header": str(np.load(path)["header"]).replace('"form": "', '"form": "un')}
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_holds_no_moments_is_named(kind, form, tmp_path):
    path = tmp_path / "moments.npz"
    SecondMoments.from_data(PIXELS, LABELS, form=form).save(path)
    BROKEN[kind](path)
    with pytest.raises(DataFileError, match=r"moments\.npz"):
        SecondMoments.load(path)


def test_an_interrupted_save_leaves_what_was_there(tmp_path, monkeypatch):
    moments = SecondMoments.from_data(PIXELS, LABELS)
    moments.save(tmp_path / "moments.npz")
    before = (tmp_path / "moments.npz").read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        moments.save(tmp_path / "moments.npz")
    assert (tmp_path / "moments.npz").read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["moments.npz"]
