"""The tables of kept runs, kept sweeps and shipped models that benchmarks/page.py puts into pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.kept import Kept
from benchmarks.kept_sweep import KeptSweep
from benchmarks.machine import threads
from pixelcnn_lit.analysis.shipped import known, shipped
from pixelcnn_lit.errors import UserError

UNKNOWN = "not kept"
SCORE = "score"


@dataclass(frozen=True)
class Column:
    """A column of a table: a value of the metrics in a format; the score has its own.

    ``when`` it is shown: "always", if any run has it ("known"), or if the runs differ in it ("differs").
    """

    key: str
    heading: str
    form: str
    when: Literal["always", "known", "differs"]

    def of(self, run: Kept) -> Any:
        return run.metrics.get(run.score.test if self.key == SCORE else self.key)

    def written(self, run: Kept) -> str:
        return written(self.of(run), run.score.form if self.key == SCORE else self.form)

    def shown(self, runs: Sequence[Kept]) -> bool:
        values = {self.of(run) for run in runs}
        return {"always": True, "known": values != {None}, "differs": len(values - {None}) > 1}[self.when]


COLUMNS = (
    Column("model", "network", "s", "known"),
    Column("context", "given", "s", "differs"),
    Column("precision", "precision", "s", "differs"),
    Column("seed", "seed", "d", "differs"),
    Column("params", "parameters", ",d", "always"),
    Column("steps", "steps", ",d", "always"),
    Column("train_seconds", "seconds", ",.0f", "always"),
    Column("processor_seconds", "processor seconds", ",.0f", "always"),
    Column(SCORE, "", "", "always"),
    Column("test/nats_per_image", "nats/image", ",.2f", "known"),
    Column("test/psnr", "PSNR", ".2f", "known"),
)


def written(value: Any, form: str) -> str:
    """A value in a format; what is not known is "not kept". Raises UserError if the format is not of such a value."""
    if value is None:
        return UNKNOWN
    try:
        return format(value, form)
    except ValueError as error:
        raise UserError(f"{value!r} in the format {form}: {error}") from None


def images(of: Mapping[str, Any]) -> str:
    """The images that a score is a mean over."""
    binarised = ", binarised" if of.get("binarize") else ""
    given = ", given the class" if of.get("classes") else ""
    return (
        f"{of['test_images']:,} test images of {of['data']} ({of['source']}), {of['levels']} levels{binarised}{given}"
    )


def lines_of(heads: Sequence[str], rules: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown; a rule is ``---`` for texts and ``---:`` for numbers."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]


def table_of_shipped() -> str:
    """The models that come with the package, what they are of, and their test scores."""
    rows = []
    for name, path in shipped().items():
        own = known(path)
        config, figures = own["config"], own["shipped"]
        of = {**config["data"], "data": config["data"]["name"], "source": figures["source"]}
        of |= {"test_images": figures["images"], "classes": config["model"]["n_classes"]}
        scans = f", {config['model']['orders']} scans" if config["model"]["orders"] > 1 else ""
        bits, size = f"{figures['test/bits_per_dim']:.4f}", f"{path.stat().st_size / 1000:.0f}"
        rows.append([f"`pretrained:{name}`", config["model"]["name"] + scans, bits, images(of), size])
    heads = ["`ckpt=`", "network", "test bits/dim", "mean over", "kB"]
    return "\n".join(lines_of(heads, ["---", "---", "---:", "---", "---:"], rows)) + "\n"


def machine(of: Mapping[str, Any]) -> str:
    """The name of a machine, and how many threads were used there."""
    name = written(of.get("machine"), "s")
    return f"{name}, {threads(of['threads'])}" if of.get("threads") else name


def table_of_sweep(sweep: KeptSweep) -> str:
    """The command of a sweep, what its runs have in common, and a line for each."""
    of = sweep.facts
    told = [
        f"{len(sweep.runs)} runs",
        f"validation on {written(of.get('val_images'), ',d')} images of {of.get('data')}",
    ]
    told += [f"{key} {written(of.get(key), form)}" for key, form in (("seed", "d"), ("precision", "s"))]
    told += [
        f"machine {machine(of)}",
        f"date {written(of.get('date'), 's')[:10]}",
        f"code {written(of.get('git'), 's')}",
    ]
    heads = [*sweep.keys, f"validation {sweep.unit}", "steps", "processor seconds", "state"]
    rules = [*("---" for _ in sweep.keys), "---:", "---:", "---:", "---"]
    rows = [
        [
            *run["values"],
            written(run["validation"], ".4f"),
            written(run["steps"], ",d"),
            written(run["processor_seconds"], ",.0f"),
            f"{run['state']}: {run['reason']}" if run["reason"] else run["state"],
        ]
        for run in sweep.runs
    ]
    return "\n".join([f"`{sweep.command}`", "", *lines_of(heads, rules, rows), "", "; ".join(told) + "."]) + "\n"


def common(runs: Sequence[Kept]) -> str:
    """A line of what the runs of a table have in common."""
    binarised = next((run for run in runs if run.metrics.get("binarize")), runs[0])
    told = [images(binarised.metrics)]
    for key, name in (("seed", "seed "), ("precision", "")):
        values = {run.metrics.get(key) for run in runs}
        told += [f"{name}{value}" for value in values if len(values) == 1 and value is not None]
    text = f"Means over {'; '.join(told)}."
    # Runs of today validate at their last step.
    lacking = [f"{run.name} {steps:,}" for run in runs if (steps := run.metrics.get("steps_after_validation"))]
    return text + (f" Without the steps after the last validation: {', '.join(lacking)}." if lacking else "")
