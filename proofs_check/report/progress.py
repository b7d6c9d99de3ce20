"""Named steps with a bar each, in the terminal; plain lines where the output is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Steps"]

Advance = Callable[[], None]


class Steps:
    """``with steps.step("compiling", 4) as advance: advance()`` shows one named bar; ``seconds`` keeps the times."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = Console(quiet=quiet) if console is None else console
        self.seconds: dict[str, float] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]" if self.console.encoding.lower().startswith("utf") else "*"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )

    def __enter__(self) -> Steps:
        if self.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, name: str, total: int = 1) -> Iterator[Advance]:
        """One step of ``total`` parts; what is left of the bar is filled when it ends without an error."""
        task = self._progress.add_task(name, total=total)
        started = perf_counter()
        yield lambda: self._progress.advance(task)
        self._progress.update(task, completed=total)
        self.seconds[name] = perf_counter() - started
        if not self.console.is_terminal:
            self.console.print(f"{name}: {self.seconds[name]:.1f} s", highlight=False)
