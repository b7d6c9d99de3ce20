"""CIFAR-10, MNIST and the digits: small files written here, broken ones, and the real ones where they are."""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineardyn.data import load_cifar10, load_digits, load_mnist
from lineardyn.errors import ArgumentError, DataFileError

LOADERS = {"cifar10": load_cifar10, "mnist": load_mnist}
SHAPES = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28)}
FOLDERS = {"cifar10": Path("cifar10", "cifar-10-batches-py"), "mnist": Path("MNIST", "raw")}


def small_set(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two images of each of the ten classes, shuffled."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (20, *shape), dtype=np.uint8), rng.permutation(np.arange(20) % 10)


def write_cifar10(folder: Path, protocol: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Write six batches; return the training images and labels."""
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    parts = [small_set((3, 32, 32), seed) for seed in range(6)]
    for name, (data, labels) in zip(names, parts, strict=True):
        batch = {b"data": data.reshape(20, -1), b"labels": labels.tolist(), b"batch_label": name.encode()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    return np.concatenate([p[0] for p in parts[:5]]), np.concatenate([p[1] for p in parts[:5]])


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, zipped: bool = True) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir(parents=True)
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    for seed, name in enumerate(["train", "t10k"]):
        images, labels = small_set((28, 28), seed)
        (folder / f"{name}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
        (folder / f"{name}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
    images, labels = small_set((28, 28), 0)
    return images[:, None], labels


WRITERS = {"cifar10": write_cifar10, "mnist": write_mnist}


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_columns_follow_the_classes_and_images_the_files(tmp_path: Path, name: str) -> None:
    pixels, labels = WRITERS[name](tmp_path / "files")
    classes = [7, 2, 3]
    images, targets = LOADERS[name](tmp_path / "files", classes=classes)
    chosen = np.isin(labels, classes)
    np.testing.assert_array_equal(images, pixels[chosen] / 255.0)
    np.testing.assert_array_equal(targets, labels[chosen][:, None] == classes)
    assert images.dtype == targets.dtype == np.float64
    assert images.flags.c_contiguous
    images, targets = LOADERS[name](tmp_path / "files", split="TEST")
    assert images.shape == (20, *SHAPES[name])
    np.testing.assert_array_equal(targets.sum(axis=0), np.full(10, 2.0))


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_root_is_the_folder_or_one_of_its_two_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / FOLDERS[name]
    WRITERS[name](folder)
    (tmp_path / "other").mkdir()
    expected = LOADERS[name](folder)[0]
    for root in (folder.parent, tmp_path, str(tmp_path)):
        np.testing.assert_array_equal(LOADERS[name](root)[0], expected)
    monkeypatch.setenv("LINEARDYN_DATA", str(tmp_path))
    np.testing.assert_array_equal(LOADERS[name]()[0], expected)
    monkeypatch.setenv("LINEARDYN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataFileError, match=r"LINEARDYN_DATA is .*nowhere, which does not exist"):
        LOADERS[name]()
    monkeypatch.delenv("LINEARDYN_DATA")
    with pytest.raises(DataFileError, match="LINEARDYN_DATA is not set"):
        LOADERS[name]()


def test_namesakes_of_mnist_are_not_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(DataFileError, match="MNIST is not in"):
        load_mnist(tmp_path)
    write_mnist(tmp_path / "MNIST" / "raw")
    assert load_mnist(tmp_path)[0].shape == (20, 1, 28, 28)
    write_mnist(tmp_path / "copy" / "raw")
    with pytest.raises(DataFileError, match=r"in 2 folders below .*copy.*name one of them as root"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("protocol", range(6))
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    pixels, _ = write_cifar10(tmp_path / "files", protocol)
    np.testing.assert_array_equal(load_cifar10(tmp_path)[0], pixels / 255.0)


def test_idx_is_read_zipped_or_not_whatever_its_name(tmp_path: Path) -> None:
    pixels, _ = write_mnist(tmp_path / "plain", zipped=False)
    np.testing.assert_array_equal(load_mnist(tmp_path / "plain")[0], pixels / 255.0)
    path = tmp_path / "plain" / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes()))  # zipped inside, without the ending
    np.testing.assert_array_equal(load_mnist(tmp_path / "plain")[0], pixels / 255.0)


class Trap:
    """What a harmful pickle does when it is loaded by pickle.load."""

    def __init__(self, call: Any, *args: Any) -> None:
        self.parts = call, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.parts


def structured() -> np.ndarray:
    return np.zeros(3, dtype=[("a", "u1"), ("b", "f8")])


FORBIDDEN: list[tuple[Any, str]] = [
    (Trap(print, "harm"), "names (__builtin__|builtins).print, expected numpy arrays and bytes and nothing else"),
    ({b"data": Trap(sys.setrecursionlimit, 1)}, "names sys.setrecursionlimit"),
    (np.float64(1.0), "names numpy.(core|_core).multiarray.scalar"),
    (np.array([{}, None], dtype=object), "an array of dtype 'O8', not of plain numbers"),
    (structured(), "an array of dtype 'V9', not of plain numbers"),
    (np.array(["text"]), "an array of dtype 'U4'"),
]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(("content", "text"), FORBIDDEN, ids=[text[:40] for _, text in FORBIDDEN])
def test_pickle_of_anything_else_is_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, text: str, protocol: int
) -> None:
    limit = sys.getrecursionlimit()
    write_cifar10(tmp_path / "files")
    (tmp_path / "files" / "test_batch").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(DataFileError, match=f"test_batch.*{text}"):
        load_cifar10(tmp_path, split="test")
    assert capsys.readouterr().out == ""
    assert sys.getrecursionlimit() == limit


def handmade(*opcodes: bytes) -> bytes:
    return b"\x80\x02" + b"".join(opcodes) + b"."


HANDMADE = {
    # a codec other than the one bytes need
    "codec": handmade(b"c_codecs\nencode\n", pickle.dumps(("x", "rot13"), 2)[2:-1], b"R"),
    # a state for a function, which could set its attributes
    "state": handmade(b"c_codecs\nencode\n", pickle.dumps((None, {"__defaults__": (1,)}), 2)[2:-1], b"b"),
    # a dtype that claims fields, over bytes that would become pointers
    "fields": handmade(
        b"cnumpy\ndtype\n", pickle.dumps(("u1", 0, 1), 2)[2:-1], b"R",
        pickle.dumps((3, "|", None, ("a",), {"a": 0}, 8, 1, 0), 2)[2:-1], b"b",
    ),
    # an array whose state never comes
    "stateless": handmade(b"cnumpy.core.multiarray\n_reconstruct\n", b")R"),
    # a list that contains itself
    "cycle": handmade(b"]q\x00h\x00a"),
    "attribute": handmade(b"cnumpy\ndtype.__init__.__globals__\n"),
}  # fmt: skip


REASONS = {
    "codec": "the codec 'rot13'",
    "state": "a state for a function",
    "fields": "a structured array",
    "stateless": "no pickle of arrays",
    "cycle": "recursion",
    "attribute": "names numpy.dtype.__init__.__globals__",
}


@pytest.mark.parametrize("name", HANDMADE)
def test_handmade_pickle_ends_in_one_clear_error(tmp_path: Path, name: str) -> None:
    write_cifar10(tmp_path / "files")
    (tmp_path / "files" / "test_batch").write_bytes(HANDMADE[name])
    with pytest.raises(DataFileError, match=f"test_batch.*{REASONS[name]}"):
        load_cifar10(tmp_path, split="test")
    assert load_cifar10(tmp_path)[0].shape == (100, 3, 32, 32)  # and leaves nothing behind


def batch(**changes: Any) -> bytes:
    data, labels = small_set((3072,), 0)
    content = {b"data": data, b"labels": labels.tolist()}
    content.update({key.encode(): value for key, value in changes.items()})
    return pickle.dumps(content, 2)


BAD_BATCHES: list[tuple[bytes, str]] = [
    (b"", "is truncated or no pickle"),
    (batch()[:5000], "is truncated or no pickle"),
    (b"not a pickle", "is truncated or no pickle"),
    (pickle.dumps([1, 2], 2), "holds no 'data' and 'labels'"),
    (pickle.dumps({b"data": 1}, 2), "holds no 'data' and 'labels'"),
    (batch(data=np.zeros((20, 784), np.uint8)), r"data of shape \(20, 784\) and dtype uint8, expected \(N, 3072\)"),
    (batch(data=np.zeros((20, 3072))), "dtype float64, expected"),
    (batch(labels=[1, 2]), "holds 2 labels for 20 images"),
    (batch(labels=[b"cat"] * 20), "expected one integer for each"),
    (batch(labels=[11] * 20), "holds the labels 11 to 11, expected 0 to 9"),
    (batch(labels=[1] * 20), "hold no image of class 0"),
]


@pytest.mark.parametrize(("content", "text"), BAD_BATCHES)
def test_bad_batch_is_told_apart(tmp_path: Path, content: bytes, text: str) -> None:
    write_cifar10(tmp_path / "files")
    (tmp_path / "files" / "test_batch").write_bytes(content)
    with pytest.raises(DataFileError, match=text) as caught:
        load_cifar10(tmp_path, split="test")
    assert str(tmp_path / "files") in str(caught.value)


IMAGES, LABELS = (idx(part) for part in small_set((28, 28), 0))
BAD_IDX: list[tuple[str, bytes, str]] = [
    ("images-idx3", IMAGES[:-1], "holds 15695 bytes, expected 15696 .* it is truncated"),
    ("images-idx3", IMAGES + b"x", "it is too long"),
    ("images-idx3", IMAGES[:9], "ends after 9 bytes, within its header"),
    ("images-idx3", b"", "ends after 0 bytes, within its header"),
    ("images-idx3", LABELS, "begins with the magic number 0x00000801, expected 0x00000803"),
    ("images-idx3", b"<html>moved</html>", "magic number 0x3c68746d, expected"),
    ("images-idx3", gzip.compress(IMAGES)[:-100], "is a truncated or broken gzip file"),
    ("images-idx3", gzip.compress(IMAGES)[:50] + b"?" * 99, "is a truncated or broken gzip file"),
    ("labels-idx1", idx(np.zeros(3, np.uint8)), "20 images and .* 3 labels"),
    ("labels-idx1", idx(np.full(20, 10)), "holds the labels 10 to 10, expected 0 to 9"),
    ("labels-idx1", idx(np.full(20, 3)), "hold no image of class 0"),
]


@pytest.mark.parametrize(("part", "content", "text"), BAD_IDX)
def test_bad_idx_is_told_apart(tmp_path: Path, part: str, content: bytes, text: str) -> None:
    write_mnist(tmp_path / "files", zipped=False)
    (tmp_path / "files" / f"train-{part}-ubyte").write_bytes(content)
    with pytest.raises(DataFileError, match=text):
        load_mnist(tmp_path)


@pytest.mark.parametrize(("name", "missing"), [("cifar10", "data_batch_3"), ("mnist", "train-labels-idx1-ubyte")])
def test_missing_file_is_named(tmp_path: Path, name: str, missing: str) -> None:
    WRITERS[name](tmp_path / "files")
    for path in (tmp_path / "files").glob(f"{missing}*"):
        path.unlink()
    with pytest.raises(DataFileError, match=f"{missing} is missing, though other .* files are in that folder"):
        LOADERS[name](tmp_path)
    with pytest.raises(DataFileError, match=r"is not in .*: looked for .*LINEARDYN_DATA.* one of its two parents"):
        LOADERS[name](_empty(tmp_path))
    with pytest.raises(DataFileError, match="which is a file, expected the folder"):
        LOADERS[name](next((tmp_path / "files").iterdir()))


def _empty(folder: Path) -> Path:
    path = folder / "empty"
    path.mkdir()
    return path


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"classes": (0, 10)}, "classes holds 10, expected integers from 0 to 9"),
    ({"classes": (-1, 1)}, "classes holds -1, expected integers from 0 to 9"),
    ({"classes": (3, 3)}, "classes holds 3 twice"),
    ({"classes": (3,)}, "classes is [3], expected at least two classes"),
    ({"classes": ()}, "classes is [], expected at least two classes"),
    ({"classes": (0, 1.5)}, "classes holds 1.5, expected integers"),
    ({"classes": (True, 2)}, "classes holds True, expected integers"),
    ({"classes": 3}, "classes is 3, expected a list of integers"),
    ({"classes": "0,1"}, "classes is '0,1', expected a list of integers"),
    ({"split": "tests"}, "split is 'tests', expected one of 'train', 'test': did you mean 'test'?"),
]


BAD_LOADS = [
    (loader, arguments, text)
    for loader in (load_cifar10, load_mnist, load_digits)
    for arguments, text in BAD_ARGUMENTS
    if loader is not load_digits or "split" not in arguments  # the digits have one part only
]


@pytest.mark.parametrize(("loader", "arguments", "text"), BAD_LOADS)
def test_bad_argument_is_told_apart(loader: Any, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        loader(**arguments)
    assert text in str(caught.value)


def test_numpy_integers_are_classes(tmp_path: Path) -> None:
    write_mnist(tmp_path / "files")
    assert load_mnist(tmp_path, classes=np.array([4, 1]))[1].shape == (4, 2)


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    digits = datasets.load_digits()
    images, targets = load_digits()
    np.testing.assert_array_equal(images[:, 0], digits.images / 16)
    np.testing.assert_array_equal(targets.argmax(axis=1), digits.target)
    images, targets = load_digits(classes=(8, 3))
    assert images.shape == (174 + 183, 1, 8, 8)
    assert targets.sum(axis=0).tolist() == [174.0, 183.0]
    assert images.max() == 1.0


def test_digits_without_scikit_learn_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataFileError, match=r"pip install 'lineardyn\[sklearn\]'"):
        load_digits()


@pytest.mark.data("cifar10")
def test_real_cifar10_has_the_published_means() -> None:
    # all ten classes, two at a time to stay light; 5000 images each
    total, squares = np.zeros(3), np.zeros(3)
    for k in range(0, 10, 2):
        images, targets = load_cifar10(classes=(k + 1, k))
        assert images.shape == (10000, 3, 32, 32)
        assert targets.sum(axis=0).tolist() == [5000.0, 5000.0]
        total += images.mean(axis=(0, 2, 3)) / 5
        squares += np.einsum("nchw,nchw->c", images, images) / (5 * 10000 * 1024)
    # published to four digits
    np.testing.assert_allclose(total, [0.4914, 0.4822, 0.4465], rtol=0, atol=5e-5)
    np.testing.assert_allclose(np.sqrt(squares - total**2), [0.2470, 0.2435, 0.2616], rtol=0, atol=5e-5)


@pytest.mark.data("cifar10")
def test_real_cifar10_test_images_begin_with_a_cat_and_two_ships() -> None:
    images, targets = load_cifar10(classes=(3, 8), split="test")
    assert images.shape == (2000, 3, 32, 32)
    assert targets[:3].tolist() == [[1, 0], [0, 1], [0, 1]]  # labels 3, 8, 8 in the file
    assert images.min() == 0
    assert images.max() == 1


@pytest.mark.data("mnist")
def test_real_mnist_has_the_published_mean() -> None:
    images, targets = load_mnist()
    assert images.shape == (60000, 1, 28, 28)
    assert images.mean() == pytest.approx(0.1307, abs=5e-5)
    assert images.std() == pytest.approx(0.3081, abs=5e-5)
    assert targets.sum(axis=0).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    images, targets = load_mnist(classes=(7, 2), split="test")
    assert images.shape == (1028 + 1032, 1, 28, 28)
    assert targets[:2].tolist() == [[1, 0], [0, 1]]  # the test set begins 7, 2
