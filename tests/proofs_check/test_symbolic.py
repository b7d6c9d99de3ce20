"""The exact forms: zero for the formula, not zero for every planted error that they see, and nothing hidden."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import sympy

from lineardyn.errors import ArgumentError
from proofs_check import Claim, Outcome, check_symbolic, claims, get
from proofs_check.symbolic import sees

EXACT = [claim for claim in claims() if claim.symbolic is not None]
IDS = [claim.id for claim in EXACT]
x, y = sympy.symbols("x y", real=True)
n = sympy.Symbol("n", integer=True, positive=True)


def toy(symbolic, **mutants) -> Claim:
    """A claim with this exact form and nothing else."""
    return replace(get("parseval"), id="toy", symbolic=symbolic, formula={}, mutants=mutants)


@pytest.mark.parametrize("claim", EXACT, ids=IDS)
def test_the_formula_is_exact_and_planted_errors_are_not(claim):
    assert check_symbolic(claim) is (claim.expected is not Outcome.REFUTED)
    seen = [mutant for mutant in claim.mutants if sees(claim, mutant)]
    assert seen
    assert [mutant for mutant in seen if check_symbolic(claim, mutant=mutant)] == []


def test_the_fourier_claims_have_exact_forms():
    names = {"convolution-theorem", "parseval", "circulant-diagonalisation", "real-spectrum", "balance-identity"}
    names |= {"effective-predictor", "coherent-spectrum", "diagonal-is-not-enough", "E1", "E2", "E11"}
    assert names <= set(IDS)


@pytest.mark.parametrize(
    ("expressions", "answer"),
    [
        ([sympy.Integer(0)], True),
        ([(x + y) ** 2 - x**2 - 2 * x * y - y**2], True),
        ([sympy.sin(x) ** 2 + sympy.cos(x) ** 2 - 1], True),
        ([sympy.sqrt(3) * sympy.sqrt(2) - sympy.sqrt(6), 0], True),
        ([(-1) ** (2 * n) - 1], True),
        ([x - x, x * y], False),
        ([sympy.Rational(1, 10**20) * x], False),  # small is not zero
        ([(-1) ** n - 1], False),
        ([sympy.sqrt(2) - sympy.Rational(141421356237, 10**11)], False),
    ],
)
def test_zero_is_zero_and_small_is_not(expressions, answer):
    assert check_symbolic(toy(lambda: expressions)) is answer


def test_what_is_neither_is_said():
    """1e-40 x is below 25 digits, where a number is not told from a zero that sympy does not find."""
    with pytest.raises(ArithmeticError, match="sympy does not reduce it to 0"):
        check_symbolic(toy(lambda: [x * sympy.Rational(1, 10**40)]))


def test_no_expression_proves_nothing():
    with pytest.raises(ArithmeticError, match="proves nothing"):
        check_symbolic(toy(list))


def test_keywords_that_a_form_does_not_take_are_not_seen():
    def form(*, factor: int = 1):
        return [x - factor * x]

    claim = toy(form, doubled={"factor": 2}, other={"speed": 2.0})
    assert (sees(claim, "doubled"), sees(claim, "other")) == (True, False)
    assert check_symbolic(claim)
    assert not check_symbolic(claim, mutant="doubled")
    with pytest.raises(ArgumentError, match="mutant is 'other', expected one that the symbolic form of claim toy sees"):
        check_symbolic(claim, mutant="other")


@pytest.mark.parametrize(
    ("claim", "mutant", "text"),
    [
        ("sigmiod", None, "did you mean 'sigmoid'"),
        ("self-conjugate-count", None, "claim is 'self-conjugate-count', expected a claim with a symbolic form"),
        ("parseval", "no such", "mutant is 'no such', expected one of claim parseval's planted errors"),
    ],
)
def test_bad_input_names_the_argument(claim, mutant, text):
    with pytest.raises(ArgumentError, match=text):
        check_symbolic(claim, mutant=mutant)


def test_a_missing_sympy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match="needs sympy, which is not installed: pip install"):
        check_symbolic("parseval")


def test_listing_the_claims_loads_no_computer_algebra():
    script = "import sys, proofs_check; proofs_check.claims(); print({'sympy', 'mpmath'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert shown.stdout.strip() == "set()"
