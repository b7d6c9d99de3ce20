"""The report from beginning to end."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path

from proofs_check.claims import claims
from proofs_check.report import cosines, learning, learning_section, ledger, structure, sums
from proofs_check.report.datasets import Dataset, load_dataset
from proofs_check.report.options import ReportOptions
from proofs_check.report.output import ReportFolder
from proofs_check.report.progress import Steps
from proofs_check.report.rendering import Page, write
from proofs_check.report.section import Section
from proofs_check.report.summary import facts
from proofs_check.report.warmup import compile_kernels, n_parts

__all__ = ["make_report"]


def make_report(options: ReportOptions, steps: Steps) -> tuple[Path, list[ledger.Entry]]:
    """Write the report into ``options.out``, whole or not at all; return the path of index.html and the ledger.

    Raises
    ------
    ArgumentError
        An argument that cannot be used; found before the work starts.
    DataFileError
        Data files that are missing or broken.
    """
    with ReportFolder(options.out) as folder:
        with steps.step("data", len(options.data)) as advance:
            data = []
            for name in options.data:
                data.append(load_dataset(name, options))
                advance()
        with steps.step("compiling", n_parts()) as advance:
            compile_kernels(advance)
        with steps.step("cosines", 3) as advance:
            pure = []
            for size in dict.fromkeys((max(options.pixels, 8), 8)):
                pure.append(cosines.compute(size, rng=options.seed))
                advance()
            mixed = sums.compute(max(options.pixels, 12), rng=options.seed)
        structures, learned = [], []
        while data:  # taken off the list one by one, so that each data set's memory is free before the next is used
            dataset = data.pop(0)
            one, two = _learn(dataset, options, steps)
            structures.append(one)
            learned.append(two)
        with steps.step("claims", len(claims())) as advance:
            entries = ledger.compute(n=options.instances, seed=options.seed, advance=advance)
        sections: list[Section] = [
            *(structure.section(s) for s in structures),
            cosines.section(pure),
            sums.section(mixed),
            *(learning_section.section(r) for r in learned),
            ledger.section(entries),
        ]
        page = Page(
            title="How linear convolutional networks learn: " + " and ".join(r.dataset.title.lower() for r in learned),
            command=_command(options),
            date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            facts=facts(learned, pure[0], mixed, entries),
            sections=sections,
            entries=entries,
            arguments=options.to_dict(),
            seconds=steps.seconds,
        )
        with steps.step("figures", sum(len(s.pictures) for s in sections) + len(entries)) as advance:
            write(page, folder.path, advance)
        return folder.finish() / "index.html", entries


def _learn(dataset: Dataset, options: ReportOptions, steps: Steps) -> tuple[structure.Structure, learning.Learning]:
    title = dataset.title.lower()
    with steps.step(f"{title}: statistics", 2) as advance:
        moments = learning.moments_of(dataset)
        advance()
        found = structure.compute(dataset, moments.train)
    with steps.step(f"{title}: horizon"):
        setting = learning.plan(moments, rng=options.seed)
    with steps.step(f"{title}: runs", 4 * options.runs) as advance:
        learned = learning.compute(dataset, moments, setting, runs=options.runs, seed=options.seed, advance=advance)
    return found, learned


def _command(options: ReportOptions) -> str:
    words = ["python", "-m", "proofs_check", "report"]
    if len(options.data) == 1:
        words += ["--data", Path(options.data[0]).name]  # a path would tell the reader about your folders only
    if options.classes is not None:
        words += ["--classes", ",".join(map(str, options.classes))]
    if options.size is not None:
        words += ["--size", str(options.size)]
    words += ["--runs", str(options.runs), "--instances", str(options.instances), "--seed", str(options.seed)]
    return shlex.join(words)
