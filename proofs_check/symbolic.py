"""The exact form of a claim: expressions that computer algebra finds to be zero, or not."""

from __future__ import annotations

import inspect
from typing import Any

from lineardyn.errors import ArgumentError
from proofs_check.claim import Claim

__all__ = ["check_symbolic", "sees"]

DIGITS = 50


def check_symbolic(claim: Claim | str, *, mutant: str | None = None) -> bool:
    r"""Whether every expression of ``claim.symbolic`` is zero, exactly and for all values of its symbols.

    True proves the cases that the symbolic form covers (small shapes, any entries), as far as sympy is right; it is no
    sample. False comes with a proof as well: at some rational point an expression is not zero in 50 digits.

    Parameters
    ----------
    claim
        A :class:`Claim` with a symbolic form, or the id of a registered one.
    mutant
        The name of a planted error, to be tried in place of the claim's own formula.

    Raises
    ------
    ArgumentError
        The claim has no symbolic form, or the mutant is unknown, or the form does not depend on what the mutant changes
        (see :func:`sees`).
    ArithmeticError
        An expression vanishes to 50 digits but sympy does not reduce it to zero: neither answer is proved.
    ImportError
        sympy is not installed.

    Examples
    --------
    >>> check_symbolic("parseval"), check_symbolic("parseval", mutant="conjugate dropped")
    (True, False)
    """
    from proofs_check.claims import get

    target = get(claim)
    if target.symbolic is None:
        raise ArgumentError(
            f"claim is {target.id!r}, expected a claim with a symbolic form: this one is checked on instances alone, "
            f"by proofs_check.check"
        )
    if mutant is not None and not sees(target, mutant):
        raise ArgumentError(
            f"mutant is {mutant!r}, expected one that the symbolic form of claim {target.id} sees: "
            f"{', '.join(repr(name) for name in target.mutants if sees(target, name)) or 'there is none'}"
        )
    _sympy()
    accepted = _accepted(target)
    arguments = target.arguments(mutant)
    if accepted is not None:
        arguments = {name: value for name, value in arguments.items() if name in accepted}
    expressions = target.symbolic(**arguments)
    if len(expressions) == 0:
        raise ArithmeticError(f"the symbolic form of claim {target.id} has no expression: it proves nothing")
    return all(_is_zero(expression, target.id) for expression in expressions)


def sees(claim: Claim, mutant: str) -> bool:
    """Whether the symbolic form depends on what this planted error changes.

    It does where it takes any keyword (``**formula``), or one of those that the mutant changes, by name.

    >>> from proofs_check.claims import get
    >>> sees(get("parseval"), "factor √P")
    True
    """
    claim.arguments(mutant)  # an unknown one is said
    if claim.symbolic is None:
        return False
    accepted = _accepted(claim)
    return accepted is None or not accepted.isdisjoint(claim.mutants[mutant])


def _accepted(claim: Claim) -> set[str] | None:
    """The keywords of the symbolic form; None if it takes any."""
    assert claim.symbolic is not None
    parameters = inspect.signature(claim.symbolic).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters}


def _sympy() -> Any:
    try:
        import sympy
    except ImportError as error:
        raise ImportError(
            "the symbolic form of a claim needs sympy, which is not installed: pip install 'sympy>=1.12'"
        ) from error
    return sympy


def _is_zero(expression: Any, claim_id: str) -> bool:
    """Zero by algebra, or not zero by a number; what is neither is said."""
    sympy = _sympy()
    reduced = sympy.expand(sympy.sympify(expression))
    if reduced == 0:
        return True
    if _differs_somewhere(reduced):
        return False
    if sympy.simplify(reduced) == 0:
        return True
    raise ArithmeticError(
        f"claim {claim_id}: {reduced} vanishes to {DIGITS} digits, but sympy does not reduce it to 0; "
        f"write the expression in a simpler form"
    )


def _differs_somewhere(expression: Any) -> bool:
    """Whether the expression is not zero at one of three rational points, in 50 digits and beyond any round-off."""
    sympy = _sympy()
    symbols = sorted(expression.free_symbols, key=str)
    for point in range(3):
        values = {
            symbol: sympy.Integer(2 + i + point) if symbol.is_integer else sympy.Rational(7 + 3 * i + point, 11 + 2 * i)
            for i, symbol in enumerate(symbols)
        }
        # a number that cancels entirely keeps few digits: then evalf returns one near 0, of low precision
        number = sympy.N(expression.subs(values), DIGITS, maxn=10 * DIGITS)
        if not number.is_number:
            raise ArithmeticError(f"{expression} has no value at {values}: give its symbols as free symbols")
        if abs(number) > sympy.Float(10) ** (-DIGITS // 2):
            return True
    return False
