"""What the solvers give back: one solution, or one for each λ of a path."""

from __future__ import annotations

import json
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import DataFileError, Status
from lineardyn.validation import check_array, check_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Certificate", "PathResult", "Solution"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
FILE_FORMAT = "lineardyn solutions 1"
PLAIN = ("objective", "penalty", "message", "depth", "lam", "rank", "stats")
"""Attributes of a solution that JSON can hold."""
# what numpy and zipfile raise where a byte is wrong; RuntimeError: it reads as encrypted, or as another compression
_BYTES = (EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
DAMAGED = (*_BYTES, KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Certificate:
    """What independent code says of a predictor.

    Attributes
    ----------
    kind : "global", "local" or "none"
        Proven within ``gap`` of the global minimum, and that is close; a local minimum that no single frequency can
        improve on; neither.
    gap : float or None
        Objective minus a proven lower bound, absolute; None where no lower bound is known.
    residual : float
        How far the prox map moves the predictor, in the metric of each block and relative to √⟨‖y‖²⟩: 0 wherever no
        single frequency can improve on it.
    status : str
        The same in plain words.
    """

    kind: str
    gap: float | None
    residual: float
    status: str


@dataclass(frozen=True, eq=False)
class Solution:
    """A regularised minimiser: what :func:`solvers.solve` returns. Two are equal only if they are the same object.

    Attributes
    ----------
    predictor : (H, W, K, C)
        v̂ with ``f(x) = Σ v̂[u, v, :, c] x̂[c, u, v]``, conjugate symmetric.
    objective : float
        ``(1/N) Σ‖y - f(x)‖² + penalty``.
    penalty : float
        ``μ Σ_f ‖v̂_f‖_p^p = λ min Σ_l ‖w_l‖²``, λ included.
    prove : callable
        Makes :attr:`certificate`.
    status, message : Status, str
        How the computation ended, and in words: the method, why it was chosen, and what it took.
    depth, lam, rank : int, float, int or None
        Of the problem.
    stats : dict
        Counts and seconds.
    """

    predictor: Complexes
    objective: float
    penalty: float
    prove: Callable[[], Certificate] = field(repr=False)
    status: Status
    message: str
    depth: int
    lam: float
    rank: int | None
    stats: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def certificate(self) -> Certificate:
        """How far this is proven to be the minimum; of a path's solutions it is found out when first asked for."""
        found = self.prove()
        object.__setattr__(self, "prove", partial(Certificate, **asdict(found)))  # the statistics may be forgotten
        return found

    def __getstate__(self) -> dict[str, Any]:
        """With the certificate instead of the statistics that it is made of."""
        _ = self.certificate
        return self.__dict__

    @property
    def loss(self) -> float:
        """``(1/N) Σ‖y - f(x)‖²``."""
        return self.objective - self.penalty

    @property
    def active(self) -> NDArray[np.bool_]:
        """``(H, W)``: the frequencies that the predictor keeps."""
        return np.asarray(np.any(self.predictor != 0, axis=(2, 3)))

    @property
    def image(self) -> Floats:
        """The predictor in pixels ``(K, C, H, W)``: ``f(x)_k = Σ image[k] · x``."""
        spectra = self.predictor.transpose(2, 3, 0, 1).conj()
        return np.ascontiguousarray(np.fft.ifft2(spectra, norm="ortho").real)

    def predict(self, images: ArrayLike) -> Floats:
        """``f(x)`` ``(N, K)`` of images ``(N, C, H, W)``.

        Raises
        ------
        ArgumentError
            Images of another shape than the predictor's, or not finite.
        """
        weights = self.image
        values = check_array("images", images, shape=(None, *weights.shape[1:]), why="(N, C, H, W) of the predictor")
        return values.reshape(len(values), -1) @ weights.reshape(len(weights), -1).T

    def plot(self) -> Figure:
        """The predictor's spectrum and its images."""
        from solvers.plots import plot_solution

        return plot_solution(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz``, whole or not at all."""
        _save([self], path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Solution:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataFileError
            If the file is missing or holds no solution, or several (then :meth:`PathResult.load`).
        """
        solutions = _load(path)
        if len(solutions) != 1:
            raise DataFileError(f"path {str(path)!r} holds {len(solutions)} solutions, expected one: PathResult.load")
        return solutions[0]


@dataclass(frozen=True, eq=False)
class PathResult(Sequence[Solution]):
    """One :class:`Solution` for each λ, or each depth, in the order asked for.

    What :func:`solvers.path` and :func:`solvers.depth_path` return.
    """

    solutions: tuple[Solution, ...]

    @overload
    def __getitem__(self, index: int) -> Solution: ...

    @overload
    def __getitem__(self, index: slice) -> PathResult: ...

    def __getitem__(self, index: int | slice) -> Solution | PathResult:
        chosen = self.solutions[index]
        return PathResult(chosen) if isinstance(chosen, tuple) else chosen

    def __len__(self) -> int:
        return len(self.solutions)

    def __iter__(self) -> Iterator[Solution]:
        return iter(self.solutions)

    @property
    def lams(self) -> Floats:
        """``(n,)``."""
        return np.array([s.lam for s in self.solutions])

    @property
    def objectives(self) -> Floats:
        """``(n,)``."""
        return np.array([s.objective for s in self.solutions])

    @property
    def predictors(self) -> Complexes:
        """``(n, H, W, K, C)``."""
        return np.array([s.predictor for s in self.solutions])

    def plot(self) -> Figure:
        """Coefficients over λ, or over the depth where that changes."""
        from solvers.plots import plot_depths, plot_path

        return plot_path(self) if len({s.depth for s in self.solutions}) <= 1 else plot_depths(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz``, whole or not at all."""
        _save(self.solutions, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> PathResult:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataFileError
            If the file is missing or holds no solutions.
        """
        return PathResult(tuple(_load(path)))


def _save(solutions: Sequence[Solution], path: str | os.PathLike[str]) -> None:
    target = check_path(path)
    about = [
        {name: getattr(s, name) for name in PLAIN} | {"status": s.status.name, "certificate": asdict(s.certificate)}
        for s in solutions
    ]
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as file:
            header = json.dumps({"format": FILE_FORMAT, "solutions": about})
            np.savez(file, header=header, predictors=np.array([s.predictor for s in solutions]))
        partial.replace(target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataFileError(f"path {str(target)!r} cannot be written ({error}): choose a folder that can") from None
        raise


def _load(path: str | os.PathLike[str]) -> list[Solution]:
    source = check_path(path)
    try:
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["format"] != FILE_FORMAT:
                raise KeyError(FILE_FORMAT)
            return [
                Solution(
                    **{name: about[name] for name in PLAIN},
                    predictor=predictor,
                    status=Status[about["status"]],
                    prove=partial(Certificate, **about["certificate"]),
                )
                for about, predictor in zip(header["solutions"], file["predictors"], strict=True)
            ]
    except OSError as error:
        raise DataFileError(f"path {str(source)!r} cannot be read ({error})") from None
    except DAMAGED as error:
        raise DataFileError(
            f"path {str(source)!r} holds no solutions ({error}), expected a file of Solution.save or PathResult.save"
        ) from None
