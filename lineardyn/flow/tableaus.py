r"""Embedded explicit Runge-Kutta pairs, as data that checks itself.

Each is ``y1 = y + h Σ_j b_j k_j`` with a last stage ``k_n = f(y1)`` reused by the next step, an error estimate
``h Σ_j e_j k_j``, and an interpolant ``y(t + θh) = y + h Σ_j p_j(θ) k_j`` with polynomials p_j.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

__all__ = ["TABLEAUS", "Tableau"]

Floats = NDArray[np.float64]
Sparse = Mapping[int, float]


@dataclass(frozen=True, eq=False)
class Tableau:
    """Coefficients of one pair.

    Attributes
    ----------
    order, error_order, interpolant_order : orders of the solution, the error estimate, and the dense output
    n_main : number of stages before f(y1)
    stability : largest ``-hλ`` at which neither the solution nor the interpolant amplifies ``dy/dt = λ y``
    table : ``(n_main + 1, n_main + 1)``; row j gives stage j, the last row the solution
    errors : ``(1 or 2, n_main + 1)``; two rows are combined as in DOP853
    interpolant : ``(n_main + 1, degree)`` coefficients of θ, θ², .. in each p_j
    """

    name: str
    order: int
    error_order: int
    interpolant_order: int
    n_main: int
    stability: float
    table: Floats
    errors: Floats
    interpolant: Floats

    def __post_init__(self) -> None:
        """Consistency to round-off: Σb = 1, Σe = 0, the interpolant ends at y1 and starts with slope k_0."""
        total = self.table[self.n_main].sum()
        ends = self.interpolant.sum(axis=1)
        start = np.eye(len(ends))[0]
        defects = {
            "solution weights sum to 1": total - 1.0,
            "error weights sum to 0": np.abs(self.errors.sum(axis=1)).max(),
            "interpolant ends at the solution": np.abs(ends - self.table[self.n_main]).max(),
            "interpolant starts along k_0": np.abs(self.interpolant[:, 0] - start).max(),
        }
        for condition, defect in defects.items():
            if abs(defect) > 1e-12:
                raise ValueError(f"the tableau {self.name} violates '{condition}' by {defect:g}")

    @cached_property
    def measured(self) -> NDArray[np.int64]:
        """Ten stages with which a step is judged; those that do not count are repeated."""
        stages = np.zeros(10, dtype=np.int64)
        used = np.flatnonzero(np.abs(self._all_measures).sum(axis=0))
        stages[: len(used)] = used
        return stages

    @cached_property
    def measures(self) -> Floats:
        """``(3, 10)``: weights of those stages in both errors, and in the new point less the stage before it."""
        weights = self._all_measures[:, self.measured]
        weights[:, np.count_nonzero(np.abs(self._all_measures).sum(axis=0)) :] = 0.0
        return weights

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Row of the stages' room in which each is kept: that of one which no later stage or use needs, or a new one.

        The first stage keeps row 0 to itself: a rejected step starts from it again. A row is free one stage later than
        its last reader, as sums are made of two stages at a time.
        """
        last = np.array([self._last_use(j) for j in range(self.n_main + 1)])
        places, holds = np.zeros(self.n_main + 1, dtype=np.int64), [0]
        for stage in range(1, self.n_main + 1):
            row = next((r for r, old in enumerate(holds) if last[old] < stage - 1), len(holds))
            holds[row : row + 1] = [stage]
            places[stage] = row
        return places

    @cached_property
    def n_rows(self) -> int:
        """How many rows that takes."""
        return int(self.places.max()) + 1

    def _last_use(self, stage: int) -> int:
        """The last stage made of this one, itself if there is none; beyond all where it is needed after the step."""
        ends = np.concatenate([self._all_measures, self.interpolant.T])
        if ends[:, stage].any() or stage in (0, self.n_main - 1, self.n_main):
            return self.n_main + 1
        return max([stage, *(int(row) for row in np.flatnonzero(self.table[:, stage]))])

    @cached_property
    def growth_errors(self) -> tuple[Floats, Floats]:
        """Sizes z of a step of ``dy/dt = y``, and at most what error estimate, relative to y1, one so large has."""
        strides = np.geomspace(1e-6, 8.0, 256)
        k = np.zeros((self.n_main + 1, len(strides)))
        for j in range(self.n_main + 1):
            k[j] = 1.0 + strides * (self.table[j, :j] @ k[:j])
        both = np.zeros((2, len(strides)))
        both[: len(self.errors)] = strides * (self.errors @ k)
        errors = both[0] ** 2 / np.maximum(np.hypot(both[0], 0.1 * both[1]), 1e-300) / np.abs(k[-1])
        return strides, np.maximum.accumulate(errors)

    @property
    def _all_measures(self) -> Floats:
        weights = np.zeros((3, self.n_main + 1))
        weights[: len(self.errors)] = self.errors
        weights[2] = (self.table[self.n_main] - self.table[self.n_main - 1])[: self.n_main + 1]
        return weights


def _matrix(rows: Sequence[Sparse], width: int) -> Floats:
    matrix = np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        for j, value in row.items():
            matrix[i, j] = value
    return matrix


def _polynomials(factors: Sequence[Polynomial], degree: int) -> Floats:
    """Coefficients of θ, .., θ^degree; the constant terms vanish."""
    rows = np.zeros((len(factors), degree))
    for i, p in enumerate(factors):
        rows[i, : len(p.coef) - 1] = p.coef[1:]
    return rows


def _hermite(table: Floats, n_main: int) -> Floats:
    """Cubic Hermite interpolation: slopes k_0 and k_{n_main}, end Σ b_j k_j."""
    rows = np.zeros((len(table), 3))
    b = table[n_main]
    rows[:, 1], rows[:, 2] = 3 * b, -2 * b
    rows[0] += (1.0, -2.0, 1.0)
    rows[n_main] += (0.0, -1.0, 1.0)
    return rows


def _bs32() -> Tableau:
    """Bogacki and Shampine 1989."""
    table = np.array([[0, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 3 / 4, 0, 0], [2 / 9, 1 / 3, 4 / 9, 0]])
    errors = np.array([[5 / 72, -1 / 12, -1 / 9, 1 / 8]])
    return Tableau("bs32", 3, 2, 3, 3, 2.4, table, errors, _hermite(table, 3))


def _tsit5() -> Tableau:
    """Tsitouras 2011, with his interpolant of order 4."""
    x = Polynomial([0.0, 1.0])
    square = x**2
    p = [
        -1.0530884977290216 * x * (x - 1.3299890189751412) * (square - 1.4364028541716351 * x + 0.7139816917074209),
        0.1017 * square * (square - 2.1966568338249754 * x + 1.2949852507374631),
        2.490627285651252793 * square * (square - 2.38535645472061657 * x + 1.57803468208092486),
        -16.54810288924490272 * (x - 1.21712927295533244) * (x - 0.61620406037800089) * square,
        47.37952196281928122 * (x - 1.203071208372362603) * (x - 0.658047292653547382) * square,
        -34.87065786149660974 * (x - 1.2) * (x - 0.666666666666666667) * square,
        2.5 * (x - 1.0) * (x - 0.6) * square,
    ]
    table, errors = _matrix(_TSIT5_TABLE, 7), _matrix(_TSIT5_ERRORS, 7)
    return Tableau("tsit5", 5, 4, 4, 6, 3.4, table, errors, _polynomials(p, 4))


def _dop853() -> Tableau:
    """Dormand and Prince 8(5,3) of Hairer, Nørsett and Wanner, with an interpolant of order 6 of our own.

    Theirs, of order 7, takes three more stages and multiplies fast directions: by 10 at ``hλ = -6``, where the pair
    itself still damps them. Ours is Hermite's cubic plus ``θ²(1-θ)² h Σ_j (a_j + b_j θ + c_j θ²) k_j``, takes no stage
    more, damps wherever the pair does, and is the more exact of the two on ``dy/dt = λy`` for hλ from -6 to 3. Its
    coefficients solve the order conditions of all trees up to order 6 and, in the sense of least squares, of order 7.
    """
    table, errors, inner = _matrix(_DOP853_TABLE, 13), _matrix(_DOP853_ERRORS, 13), _matrix(_DOP853_DENSE, 13)
    rows = np.zeros((13, 6))
    rows[:, :3] = _hermite(table, 12)
    for power, weights in enumerate(inner):
        rows[:, 1 + power : 4 + power] += np.outer(weights, (1.0, -2.0, 1.0))  # θ²(1-θ)² θ^power
    return Tableau("dop853", 8, 7, 6, 12, 6.0, table, errors, rows)


# row: {column: coefficient}, zeros left out
_DOP853_TABLE: tuple[Sparse, ...] = (
    {},
    {0: 0.05260015195876773},
    {0: 0.0197250569845379, 1: 0.0591751709536137},
    {0: 0.02958758547680685, 2: 0.08876275643042054},
    {0: 0.2413651341592667, 2: -0.8845494793282861, 3: 0.924834003261792},
    {0: 0.037037037037037035, 3: 0.17082860872947386, 4: 0.12546768756682242},
    {0: 0.037109375, 3: 0.17025221101954405, 4: 0.06021653898045596, 5: -0.017578125},
    {
        0: 0.03709200011850479,
        3: 0.17038392571223998,
        4: 0.10726203044637328,
        5: -0.015319437748624402,
        6: 0.008273789163814023,
    },
    {
        0: 0.6241109587160757,
        3: -3.3608926294469414,
        4: -0.868219346841726,
        5: 27.59209969944671,
        6: 20.154067550477894,
        7: -43.48988418106996,
    },
    {
        0: 0.47766253643826434,
        3: -2.4881146199716677,
        4: -0.590290826836843,
        5: 21.230051448181193,
        6: 15.279233632882423,
        7: -33.28821096898486,
        8: -0.020331201708508627,
    },
    {
        0: -0.9371424300859873,
        3: 5.186372428844064,
        4: 1.0914373489967295,
        5: -8.149787010746927,
        6: -18.52006565999696,
        7: 22.739487099350505,
        8: 2.4936055526796523,
        9: -3.0467644718982196,
    },
    {
        0: 2.273310147516538,
        3: -10.53449546673725,
        4: -2.0008720582248625,
        5: -17.9589318631188,
        6: 27.94888452941996,
        7: -2.8589982771350235,
        8: -8.87285693353063,
        9: 12.360567175794303,
        10: 0.6433927460157636,
    },
    {
        0: 0.054293734116568765,
        5: 4.450312892752409,
        6: 1.8915178993145003,
        7: -5.801203960010585,
        8: 0.3111643669578199,
        9: -0.1521609496625161,
        10: 0.20136540080403034,
        11: 0.04471061572777259,
    },
)
_DOP853_ERRORS = (
    {
        0: 0.01312004499419488,
        5: -1.2251564463762044,
        6: -0.4957589496572502,
        7: 1.6643771824549864,
        8: -0.35032884874997366,
        9: 0.3341791187130175,
        10: 0.08192320648511571,
        11: -0.022355307863886294,
    },
    {
        0: -0.18980075407240762,
        5: 4.450312892752409,
        6: 1.8915178993145003,
        7: -5.801203960010585,
        8: -0.4226823213237919,
        9: -0.1521609496625161,
        10: 0.20136540080403034,
        11: 0.02265179219836082,
    },
)
_DOP853_DENSE = (
    {
        0: -3.971436899806944,
        5: -22.454532219123763,
        6: 34.32723262431363,
        7: -15.11456691061628,
        8: -25.303438036238948,
        9: 30.91747348911967,
        10: 0.8148358934398454,
        11: 1.1177653990600576,
        12: -0.33333334014727956,
    },
    {
        0: 7.705902367884983,
        5: 74.2198417740783,
        6: -105.14056786302297,
        7: 56.16291808306664,
        8: 98.47401243583401,
        9: -127.1620692620982,
        10: -4.81053378284055,
        11: -3.338392636155449,
        12: 3.888888883253207,
    },
    {
        0: -5.159112724047224,
        5: -61.860350032040095,
        6: 86.20509637513055,
        7: -51.13642512493117,
        8: -97.99260624140277,
        9: 128.88140479123464,
        10: -1.6318190697716737,
        11: -0.4172990482199044,
        12: 3.1111110740476438,
    },
)
_TSIT5_TABLE: tuple[Sparse, ...] = (
    {},
    {0: 0.161},
    {0: -0.008480655492356989, 1: 0.335480655492357},
    {0: 2.8971530571054935, 1: -6.359448489975075, 2: 4.3622954328695815},
    {0: 5.325864828439257, 1: -11.748883564062828, 2: 7.4955393428898365, 3: -0.09249506636175525},
    {0: 5.86145544294642, 1: -12.92096931784711, 2: 8.159367898576159, 3: -0.071584973281401, 4: -0.028269050394068383},
    {
        0: 0.09646076681806523,
        1: 0.01,
        2: 0.4798896504144996,
        3: 1.379008574103742,
        4: -3.290069515436081,
        5: 2.324710524099774,
    },
)
_TSIT5_ERRORS = (
    {
        0: 0.0017800110522257773,
        1: 0.0008164344596567463,
        2: -0.007880878010261994,
        3: 0.1447110071732629,
        4: -0.5823571654525552,
        5: 0.45808210592918686,
        6: -0.015151515151515152,
    },
)

TABLEAUS = {tableau.name: tableau for tableau in (_bs32(), _tsit5(), _dop853())}
