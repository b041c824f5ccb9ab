"""What the site adds to MkDocs: pages stand where they stand in the repository, so that a link means the same in both.

* README, CONTRIBUTING and others from outside docs/ are pages too, and docs/ is a folder of the site.
* A link to a folder or to a file of code leads to a page that shows it; that page is made here.
* The reference has a page a public package, a section a name of its ``__all__``. A name without a docstring is a
  warning, which ``mkdocs build --strict`` counts.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe
import jupytext
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "src/pixelcnn_lit/nn/README.md"),
    "website/site.css",
)
"""What the site has from outside docs/."""
PUBLIC = ("pixelcnn_lit", "pixelcnn_lit.nn", "pixelcnn_lit.models")
"""The packages whose names the reference has."""
NOTEBOOKS = ROOT / "examples" / "notebooks"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):<code>~?([\w.]+)</code>")
FROM_TORCH = {"forward", "extra_repr", "full_state_update", "higher_is_better"}
"""What nn.Module and torchmetrics.Metric describe."""
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".toml": "toml"}

log = logging.getLogger("mkdocs.hooks.site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All files of the site, at their places in the repository; and the pages that are made here."""
    docs = Path(config.docs_dir)
    own = [file for file in files if file.src_dir == config.docs_dir]
    site = Files([file for file in files if file not in own])
    for uri in (*OUTSIDE, *(f"{docs.name}/{file.src_uri}" for file in own)):
        site.append(File(uri, str(ROOT), config.site_dir, config.use_directory_urls))
    wanted = {
        target for page in list(site.documentation_pages()) for target in linked(page.src_uri, page.content_string)
    }
    for target in sorted(with_folders_inside(wanted)):
        made = File.generated(
            config, page_of(target), content=shown(ROOT / target), inclusion=InclusionLevel.NOT_IN_NAV
        )
        site.append(made)
    described: set[str] = set()
    for package in PUBLIC:
        text = reference(package, described)
        site.append(File.generated(config, f"reference/{package}.md", content=text))
    return site


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link to a folder or to code, as one to its page."""

    def to_page(match: re.Match[str]) -> str:
        target = resolved(page.file.src_uri, match[1])
        if target is None or not is_shown(target):
            return match[0]
        there = posixpath.relpath(page_of(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"]({there}{match[2] or ''})"

    return LINK.sub(to_page, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A role of a docstring, such as :class:`~a.b.C`, as a link where the reference has it."""

    def to_reference(match: re.Match[str]) -> str:
        name = match[1].rpartition(".")[2]
        return f'<autoref identifier="{match[1]}" optional><code>{name}</code></autoref>'

    return ROLE.sub(to_reference, html)


def resolved(uri: str, link: str) -> str | None:
    """What a link on a page means, as a path in the repository; None for one that leads out of it."""
    if ":" in link or link.startswith("/"):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(uri), link))


def is_shown(target: str) -> bool:
    """Whether a path is a folder or a file of code, which a site has no page of by itself."""
    path = ROOT / target
    return path.is_dir() or (path.is_file() and path.suffix in LANGUAGES)


def page_of(target: str) -> str:
    """The page that shows a folder or a file of code."""
    path = ROOT / target
    if not path.is_dir():
        return f"{target}.md"
    return f"{target}/{'README' if (path / 'README.md').exists() else 'index'}.md"


def linked(uri: str, text: str) -> Iterator[str]:
    """The folders and files of code that a page links to, for which there is no page."""
    for match in LINK.finditer(text):
        target = resolved(uri, match[1])
        if target is not None and is_shown(target) and not page_of(target).endswith("README.md"):
            yield target


def with_folders_inside(targets: set[str]) -> set[str]:
    """Folders with all those below them."""
    inside = {path for target in targets for path in (ROOT / target).rglob("*") if path.is_dir()}
    return targets | {path.relative_to(ROOT).as_posix() for path in inside if path.name != "__pycache__"}


def shown(path: Path) -> str:
    """The page of a folder, or of a file of code."""
    title = f"# {path.relative_to(ROOT).as_posix()}\n\n"
    if path.is_file() and path.parent == NOTEBOOKS:
        return notebook(path)
    if path.is_file():
        return title + code(path)
    inside = sorted(inner for inner in path.iterdir() if inner.name != "__pycache__")
    folders = "".join(f"- [{inner.name}]({inner.name}/index.md)\n" for inner in inside if inner.is_dir())
    files = [f"## {inner.name}\n\n{code(inner)}" for inner in inside if inner.suffix in {*LANGUAGES, ".csv"}]
    return title + "\n".join([folders, *files])


def notebook(path: Path) -> str:
    """A notebook as a page: its texts, and its code in blocks."""
    cells = jupytext.read(path, fmt="py:percent").cells
    return "\n\n".join(
        cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in cells
    )


def code(path: Path) -> str:
    """A file as a block of code."""
    return f"````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text()}\n````\n"


def reference(package: str, described: set[str]) -> str:
    """The page of a package: its docstring, and each public name that none of ``described`` is; it adds them there."""
    inside = package.partition(".")[2]
    module = loaded()[inside] if inside else loaded()
    elsewhere, sections = [], []
    for name in (str(export).strip("'") for export in module.exports or () if str(export).strip("'") != "__version__"):
        target = module[name].final_target if module[name].is_alias else module[name]
        for path in undocumented(target):
            log.warning("reference: the public name %s has no docstring", path)
        if target.path in described:
            elsewhere.append(f"[`{name}`][{target.path}]")
        else:
            sections.append(f"::: {target.path}\n")
        described.add(target.path)
    text = [f"# {package}", module.docstring.value if module.docstring else ""]
    text += [f"Also here: {', '.join(elsewhere)}."] if elsewhere else []
    return "\n\n".join([*text, *sections])


@cache
def loaded() -> griffe.Module:
    """The package, read and not imported."""
    found = griffe.load("pixelcnn_lit", search_paths=[ROOT / "src"], resolve_aliases=True)
    assert isinstance(found, griffe.Module)
    return found


def undocumented(target: griffe.Object) -> Iterator[str]:
    """The name itself, and its public methods, where no docstring says what they are; an override has its base's."""
    if not target.has_docstring:
        yield target.path
    if not isinstance(target, griffe.Class):
        return
    inherited = {name for base in target.mro() for name in base.members} | FROM_TORCH
    for name, member in target.members.items():
        described = name.startswith("_") or name in inherited
        asked = member.is_function or "property" in member.labels or "class-attribute" in member.labels
        if asked and not described and not member.has_docstring:
            yield member.path
