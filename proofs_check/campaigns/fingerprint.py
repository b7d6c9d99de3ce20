"""The version of a claim, as a number: another one where anything that decides its residuals has changed.

It covers the claim's fields, the version of the library, and the source, without comments and docstrings, of each
function and class of :mod:`proofs_check` that its functions reach by name, with the constants that they use. What a
function imports inside its body, and the library below, go by the library's version alone.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import textwrap
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from lineardyn import __version__
from proofs_check.claim import BATCH, Claim
from proofs_check.verdict import encode

__all__ = ["fingerprint"]


@functools.lru_cache(maxsize=512)
def fingerprint(claim: Claim) -> str:
    """16 hexadecimal digits.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from proofs_check import get
    >>> claim = get("parseval")
    >>> fingerprint(claim) == fingerprint(replace(claim, title="another title"))
    True
    >>> fingerprint(claim) == fingerprint(replace(claim, tolerance=1e-11))
    False
    """
    fields = {
        "version": __version__, "batch": BATCH if claim.batched else 1, "id": claim.id, "tolerance": claim.tolerance,
        "formula": claim.formula, "mutants": claim.mutants, "smallest": list(claim.smallest),
    }  # fmt: skip
    functions = [f for f in (claim.draw, claim.sides, claim.distance, claim.extended) if f is not None]
    walk = _Walk({"proofs_check"} | {f.__module__.split(".")[0] for f in functions if hasattr(f, "__module__")})
    parts = [_as_json(fields)]
    for function in functions:
        parts += walk.sources(function)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


class _Walk:
    """Over functions and classes of some packages and all that they name, each once."""

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages
        self.seen: dict[int, Any] = {}

    def sources(self, value: Any) -> Iterator[str]:
        """The source of a function or class and, depth first, of all that it names; constants as they are."""
        if isinstance(value, functools.partial):
            value = (value.func, *value.args, value.keywords)
        if isinstance(value, dict):
            yield _as_json(list(value))
            value = tuple(value.values())
        if isinstance(value, tuple | list):
            for item in value:
                yield from self.sources(item)
            return
        value = inspect.unwrap(getattr(value, "py_func", value)) if callable(value) else value
        if isinstance(value, type | types.FunctionType):
            yield from self._definition(value)
        elif isinstance(value, bool | int | float | complex | str | np.ndarray | np.generic):
            yield _as_json(value)

    def _definition(self, value: Any) -> Iterator[str]:
        if id(value) in self.seen or value.__module__.split(".")[0] not in self.packages:
            return
        self.seen[id(value)] = value
        yield _plain_source(value)
        for function in _functions(value):
            for named in _reached(function):
                yield from self.sources(named)


def _as_json(value: Any) -> str:
    return json.dumps(encode(value), sort_keys=True, default=lambda other: getattr(other, "__qualname__", str(other)))


def _functions(value: Any) -> list[types.FunctionType]:
    """A function itself, or the methods of a class."""
    if isinstance(value, types.FunctionType):
        return [value]
    members = (getattr(member, "__func__", getattr(member, "fget", member)) for member in vars(value).values())
    return [member for member in members if isinstance(member, types.FunctionType)]


def _reached(function: types.FunctionType) -> Iterator[Any]:
    """What a function names in its module or closes over, also in the functions inside it."""
    yield from (function.__defaults__ or ())
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        yield from (function.__globals__[name] for name in code.co_names if name in function.__globals__)


@functools.lru_cache(maxsize=4096)  # most functions serve several claims, and reading a source takes milliseconds
def _plain_source(value: Any) -> str:
    """Without comments, docstrings and layout; the byte code where there is no source (typed at a prompt)."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        return " ".join(f"{f.__code__.co_code.hex()} {f.__code__.co_names}" for f in _functions(value))
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda's lines need not be a statement
        return " ".join(source.split())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return ast.unparse(tree)
