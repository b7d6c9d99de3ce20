r"""The solvers behind scikit-learn's interface: ``fit``, ``predict``, ``score`` (extra ``sklearn``)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data
except ImportError as error:
    raise ImportError(
        f"solvers.FrequencyRegressor needs scikit-learn 1.6 or newer ({error}): python -m pip install "
        f"'lineardyn[sklearn]'; solvers.solve does the same on second moments without it"
    ) from error

from lineardyn.errors import ArgumentError, Status
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_array, check_image_shape, check_number
from solvers.path import path
from solvers.problem import RegularizedProblem
from solvers.result import PathResult
from solvers.solve import solve

__all__ = ["FrequencyRegressor"]

Floats = NDArray[np.float64]


class FrequencyRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Linear regression on images with the penalty that weight decay on a deep linear CNN amounts to.

    .. math:: \min_{\hat v} \; \frac1N \sum \|y - \sum_f \hat v_f \hat x_f\|^2
              + α L P^{-(L-1)/L} \sum_f \|\hat v_f\|_{S_{2/L}}^{2/L}

    the predictor of L convolutional layers at the minimum of ``(1/N) Σ‖y - f(x)‖² + α Σ_l ‖w_l‖²``: ridge at depth 1,
    few frequencies kept from depth 2 on. No intercept, as the network has no biases: centre the data if they need one.

    Parameters
    ----------
    depth : int
        L ≥ 1, the number of layers.
    alpha : float
        λ > 0, the weight decay. ``sklearn.linear_model.Ridge`` adds up the squared errors where this takes their mean:
        depth 1 is ``Ridge(alpha=N * alpha, fit_intercept=False)``.
    rank : int, optional
        The narrowest hidden layer: every v̂_f has at most this rank. None: no constraint.
    image_shape : (C, H, W), optional
        What a row of a two-dimensional X is, in C order. None: a signal, ``(1, 1, n_features)``. With
        ``(n_features, 1, 1)`` there is one frequency, and all features are its channels.

    Attributes
    ----------
    coef_ : (n_features,), or (K, n_features) where y is two-dimensional
        The predictor in pixels: ``f(x) = coef_ @ x.ravel()``.
    intercept_ : float
        0.
    n_features_in_ : int
        C·H·W.
    image_shape_ : (C, H, W)
    solution_ : Solution
        With the predictor in frequencies, the objective and the certificate.
    n_iter_ : int
        What one is, ``solution_.message`` says.

    Warns
    -----
    ConvergenceWarning
        The solver stopped before its tolerance; ``solution_.status`` says what to do.

    Raises
    ------
    ArgumentError
        A parameter out of range, an X that is not made of images of this shape; scikit-learn's own errors for NaN,
        other numbers of features and the like. Both are ``ValueError``.

    Notes
    -----
    Godfrey et al. theorem 4.9, corrected in theory section 3. With one frequency and one output (image_shape
    ``(n, 1, 1)``) the penalty is ``α L ‖w‖^{2/L}`` of all coefficients together: ridge again, with
    ``Ridge(alpha=N * alpha * ‖w‖^{2/L - 2})`` at the minimum w. The solver is deterministic.

    Examples
    --------
    >>> from lineardyn import natural_patches
    >>> from solvers import FrequencyRegressor
    >>> images, targets = natural_patches(8, 400, rng=0)
    >>> images, targets = images - images.mean(axis=0), targets - targets.mean(axis=0)
    >>> model = FrequencyRegressor(depth=2, alpha=0.1).fit(images, targets)
    >>> model.coef_.shape, int(model.solution_.active.sum())  # frequencies kept, of 64
    ((4, 64), 19)
    >>> round(model.score(images, targets), 2)
    0.28
    """

    def __init__(
        self,
        depth: int = 2,
        alpha: float = 1e-2,
        rank: int | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.depth = depth
        self.alpha = alpha
        self.rank = rank
        self.image_shape = image_shape

    def fit(self, X: ArrayLike, y: ArrayLike) -> FrequencyRegressor:
        """Find the predictor.

        Parameters
        ----------
        X : (N, C, H, W), or (N, n_features)
        y : (N,) or (N, K)
            Real numbers; one-hot rows for classes.

        Returns
        -------
        FrequencyRegressor
            Itself.
        """
        alpha = check_number("alpha", self.alpha, minimum=0.0, strict=True)
        rows, shape = self._rows(X)
        rows, y = validate_data(self, rows, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.image_shape_ = self._shape_of(rows, shape)
        self.solution_ = solve(self._problem(rows, np.asarray(y), self.image_shape_, alpha), throw=False)
        if self.solution_.status is not Status.SUCCESS:
            warnings.warn(self.solution_.status.value, ConvergenceWarning, stacklevel=2)
        coefficients = self.solution_.image.reshape(-1, rows.shape[1])
        self.coef_ = coefficients if np.ndim(y) == 2 else coefficients[0]
        self.intercept_ = 0.0
        self.n_iter_ = int(self.solution_.stats["n_iterations"])
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """``f(x)`` of images ``(N, C, H, W)`` or rows ``(N, n_features)``: of the shape that y had."""
        check_is_fitted(self)
        rows, shape = self._rows(X)
        if shape is not None and shape != self.image_shape_:
            raise ArgumentError(f"X holds images of shape {shape}, expected {self.image_shape_}, as in fit")
        rows = validate_data(self, rows, dtype=np.float64, reset=False)
        return np.asarray(rows @ self.coef_.T)

    def path(self, X: ArrayLike, y: ArrayLike, alphas: ArrayLike) -> PathResult:
        """Solve at every α of ``alphas``, in any order, each from its neighbour.

        Nothing is fitted, and the estimator's own ``alpha`` is not used.

        Parameters
        ----------
        X, y
            As for :meth:`fit`.
        alphas : (n,)

        Returns
        -------
        PathResult
            One solution for each α, see :func:`solvers.path`.
        """
        values = check_array("alphas", alphas, shape=(None,), why="a list of α")
        for i, alpha in enumerate(values):
            check_number(f"alphas[{i}]", alpha, minimum=0.0, strict=True)
        rows, shape = self._rows(X)
        rows, y = check_X_y(rows, y, dtype=np.float64, multi_output=True, y_numeric=True, estimator=self)
        return path(self._problem(rows, np.asarray(y), self._shape_of(rows, shape), 1.0), values)

    def _rows(self, X: Any) -> tuple[Any, tuple[int, ...] | None]:
        """Images as rows, with their shape; what is not four-dimensional is left to scikit-learn's checks."""
        if isinstance(X, Sequence):
            X = np.asarray(X)
        n_dimensions = getattr(X, "ndim", 2)  # tables and sparse matrices stay what they are
        if n_dimensions == 3:
            raise ArgumentError(
                f"X has shape {tuple(X.shape)}, expected (N, n_features) or (N, C, H, W): add the channel axis with "
                f"X[:, None]"
            )
        if n_dimensions != 4:
            return X, None
        images = np.asarray(X)
        return images.reshape(len(images), -1), images.shape[1:]

    def _shape_of(self, rows: Floats, shape: tuple[int, ...] | None) -> tuple[int, int, int]:
        """``(C, H, W)`` of the images that ``rows`` are; ``shape`` is what X itself said of it."""
        if self.image_shape is None:
            return check_image_shape((1, 1, rows.shape[1]) if shape is None else shape)
        given = check_image_shape(self.image_shape)
        if shape is not None and shape != given:
            raise ArgumentError(
                f"image_shape is {given}, expected {shape}, that of the images in X: leave it out, X says it"
            )
        if np.prod(given) != rows.shape[1]:
            raise ArgumentError(
                f"image_shape is {given}, expected C·H·W = {rows.shape[1]}: the number of features of X"
            )
        return given

    def _problem(self, rows: Floats, y: Floats, shape: tuple[int, int, int], alpha: float) -> RegularizedProblem:
        # a stream is read once, as dense or samples: the modes form would refuse targets that are all zero
        moments = SecondMoments.from_batches(iter([(rows.reshape(-1, *shape), y.reshape(len(y), -1))]))
        return RegularizedProblem(moments, depth=self.depth, lam=alpha, rank=self.rank)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
