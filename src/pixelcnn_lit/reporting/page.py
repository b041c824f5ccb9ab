"""The page of a report: one file, which needs no other one and no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from pixelcnn_lit.config.parts import imported
from pixelcnn_lit.reporting import plots
from pixelcnn_lit.reporting.collect import Run, swept_keys
from pixelcnn_lit.reporting.compare import SEED, Group, Setting, by, natural, number_in
from pixelcnn_lit.reporting.tables import means, results
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.storage.files import shown
from pixelcnn_lit.sweeps.jobs import short

PICTURES = {
    "Samples": "samples.png",
    "Completions": "completions.png",
    "Reconstructions": "reconstructions.png",
}
MOST_PICTURES = 24
"""So many runs, the best of each group first, are shown with pictures: a page has to stay light enough to open."""
ORIGIN = ("machine", "version", "git", "torch", "precision")
"""What the page says of how its figures were made, by their keys in the metrics."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, and the number by which it is sorted, if it is one."""

    text: str
    value: float | None = None
    best: bool = False


def page(folder: Path, found: Sequence[Run], compared: Sequence[Group]) -> str:
    """The page as HTML, of all runs and of their groups that compare."""
    keys = swept_keys(found)
    environment = Environment(loader=PackageLoader("pixelcnn_lit.reporting", "."), autoescape=True, trim_blocks=True)
    environment.filters["breakable"] = lambda key: Markup(".<wbr>").join(key.split("."))
    environment.filters["form"] = lambda form, number: format(number, form)
    return environment.get_template("page.html.jinja").render(
        title=shown(folder.absolute()),
        written=datetime.now().strftime("%Y-%m-%d %H:%M"),
        counts=_counts(found),
        swept=[(key, _values(run.value(key) for run in found)) for key in keys],
        shared=_shared(found),
        sections=[_section(group) for group in compared],
        labels={run.number: run.label(keys) for run in found},
        pictures=list(_pictures(compared)),
        crowded=sum(map(_has_pictures, found)) > MOST_PICTURES,
        n_pictured=MOST_PICTURES,
        runs=found,
        told=[_told(run, keys) for run in found],
        made=[
            (key, _values(part.get(key) for run in found for part in run_folder.parts(run.metrics))) for key in ORIGIN
        ],
    )


def _section(group: Group) -> dict[str, Any]:
    """What the page shows of a group."""
    # Imported here: Optuna takes long to import, and only a search needs it.
    shares, scales = (
        imported(f"pixelcnn_lit.reporting.importance:{name}")(group) if group.is_search else {}
        for name in ("importance", "scales")
    )
    drawn = {key: svg for key in group.keys if (svg := plots.over_key(key, group, scales))}
    many = len(by(group.scored, lambda run: run.label(group.besides(SEED)))) > plots.MOST
    return {
        "group": group,
        "columns": list(_columns(group)),
        "rows": [(run, _row(run, group)) for run in group.runs],
        "settings": _settings(group),
        "plots": [(key, Markup(svg)) for key, svg in drawn.items()],  # safe: matplotlib's, which escapes texts
        "unfinished": any(run.curve and not run.metrics for run in group.runs),
        "curves": Markup(plots.curves(group) or ""),
        "parallel": Markup((plots.parallel(group, scales) if group.is_search or many else None) or ""),
        "importance": Markup(plots.importance(shares, group) if shares else ""),
    }


def _columns(group: Group) -> Iterator[tuple[str, bool]]:
    """The columns of a group's table, and whether they hold numbers."""
    for key in group.keys or ("run",):
        yield key, False
    unit = group.score.unit
    for name in results(group.runs[0]):
        yield f"{name} {unit}" if name in ("test", "val") else name, name != "state"


def _row(run: Run, group: Group) -> list[Cell]:
    names = [Cell(short(run.value(key)), number_in(run.value(key))) for key in group.keys] or [Cell(run.folder.name)]
    measured = {
        "test": run.test,
        "val": run.val,
        "parameters": run.metrics.get("params"),
        "epochs": run.epochs,
        "images/s": run.metrics.get("images_per_second"),
    }
    best = run is group.best
    told = [Cell(text, measured.get(name), best and name == "test") for name, text in results(run).items()]
    return [*names, *told]


def _settings(group: Group) -> dict[str, Any] | None:
    """The table of means over seeds; None for a group without two runs that differ in their seed alone."""
    settings = group.settings()
    if not settings:
        return None
    best = settings[0] if len(settings) > 1 and settings[1].test else None
    unit = group.score.unit
    numbers = ["seeds", f"test {unit}", f"val {unit}"]
    return {
        "columns": [*((key, False) for key in group.besides(SEED)), *((name, True) for name in numbers)],
        "rows": [(None, _setting(setting, group, setting is best)) for setting in settings],
        "starred": best is not None,
    }


def _setting(setting: Setting, group: Group, best: bool) -> list[Cell]:
    names = [Cell(short(value), number_in(value)) for value in setting.values]
    test, val = (None if found is None else found.mean for found in (setting.test, setting.val))
    numbers = {"seeds": setting.n_tested, "test": test, "val": val}
    told = means(setting, group.score).items()
    return [*names, *(Cell(text, numbers[name], best and name == "test") for name, text in told)]


def _told(run: Run, keys: Sequence[str]) -> list[str]:
    """What the page says of a run that is pointed at: its name, then its scores or state."""
    unit, form = run.score.unit, run.score.form
    scores = [f"{name} {score:{form}}" for name, score in (("test", run.test), ("val", run.val)) if score is not None]
    return [run.label(keys), *scores, *([unit] if scores else []), *([] if run.metrics else [run.status.state])]


def _pictures(compared: Sequence[Group]) -> Iterator[tuple[str, list[tuple[str, list[tuple[Run, str]]]]]]:
    """The pictures of each kind by the seed of their noise, those of runs that compare beside each other."""
    drawing = [run for group in compared for run in group.runs if _has_pictures(run)]
    places = {run.number: place for group in compared for place, run in enumerate(group.runs)}
    chosen = [run.number for run in sorted(drawing, key=lambda run: places[run.number])][:MOST_PICTURES]
    in_order = [run for group in compared for run in sorted(group.runs, key=_by_folder) if run.number in chosen]
    for kind, name in PICTURES.items():
        drawn = [run for run in in_order if (run.folder / name).is_file()]
        seeds = by(drawn, lambda run: run.value(SEED))
        if seeds:
            rows = sorted(seeds.items(), key=lambda row: natural(row[0]))
            yield kind, [(seed, [(run, _embedded(run.folder / name)) for run in runs]) for seed, runs in rows]


def _has_pictures(run: Run) -> bool:
    return any((run.folder / name).is_file() for name in PICTURES.values())


def _by_folder(run: Run) -> Any:
    return natural(run.folder.name)


def _counts(found: Sequence[Run]) -> str:
    states = [run.status.state for run in found]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _values(values: Any) -> str:
    """Different values in their natural order, the first and the last of many."""
    told = sorted({str(value) for value in values if value is not None}, key=natural)
    numbers = [number for number in map(number_in, told) if number is not None]
    if len(told) <= plots.FEW:
        return ", ".join(short(value) for value in told)
    if len(numbers) == len(told):
        return f"{min(numbers):.3g} to {max(numbers):.3g}"
    return ", ".join([*map(short, told[: plots.FEW]), "…"])


def _shared(found: Sequence[Run]) -> list[str]:
    """The overrides of all runs, without their name."""
    first, *others = (run.overrides for run in found)
    return [word for word in first if not word.startswith("name=") and all(word in words for words in others)]


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
