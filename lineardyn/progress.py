"""A progress bar for long work, loaded only when one is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(title: str, end: float, *, shown: bool) -> Iterator[Callable[[float], None] | None]:
    """Yield a function that takes how far the work has come (of ``end``), or None where no bar is asked for."""
    if not shown:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=100.0, desc=title, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}") as bar:
        yield lambda now: _move(bar, 100.0 * now / end if end else 100.0)


def _move(bar: object, percent: float) -> None:
    bar.n = min(percent, 100.0)  # type: ignore[attr-defined]
    bar.refresh()  # type: ignore[attr-defined]
