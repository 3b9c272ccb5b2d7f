"""Links of pages to files outside docs/ (README, examples) become links to pages that hold these files.

The pages are Markdown that also reads well without a site: `../README.md` and `../examples/quickstart.py` are right there.
The site holds docs/ alone, so each such file is given a page `project/<its path>` when the site is built. MkDocs calls the
two functions `on_…` (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Pages of the site though no page links to them.
ALWAYS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=[)\s])")
_LANGUAGES = {
    ".py": "python",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".toml": "toml",
    ".sh": "sh",
    ".ipynb": "json",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside docs/ that a page, or such a file itself, links to."""
    waiting = [ROOT / name for name in ALWAYS]
    for file in files.documentation_pages():
        waiting += _linked_files(file.content_string, _source_of(file))
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or _is_in_docs(path):
            continue
        seen.add(path)
        files.append(File.generated(config, _page_of(path), content=_content(path)))
        if path.suffix == ".md":
            waiting += _linked_files(path.read_text("utf-8"), path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the pages of the files that they name; what names no file is left for MkDocs to refuse."""
    source = _source_of(page.file)

    def replace(link: re.Match[str]) -> str:
        path = _linked_path(link["path"], source)
        if path is None or (_is_in_docs(path) and _is_in_docs(source)):
            return link[0]
        target = path.relative_to(ROOT / "docs").as_posix() if _is_in_docs(path) else _page_of(path)
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri)) + (link["anchor"] or "")

    return _LINK.sub(replace, markdown)


def _source_of(file: File) -> Path:
    """The file of the repository that a page is made of."""
    if not file.src_uri.startswith("project/"):
        return ROOT / "docs" / file.src_uri
    inside = file.src_uri.removeprefix("project/")
    return ROOT / (inside if (ROOT / inside).is_file() else inside.removesuffix(".md"))


def _page_of(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    return f"project/{name}" if path.suffix == ".md" else f"project/{name}.md"


def _content(path: Path) -> str:
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    return f"# {path.relative_to(ROOT).as_posix()}\n\n````{_LANGUAGES.get(path.suffix, 'text')}\n{text}````\n"


def _linked_files(markdown: str, source: Path) -> list[Path]:
    found = (_linked_path(link["path"], source) for link in _LINK.finditer(markdown))
    return [path for path in found if path is not None]


def _linked_path(link: str, source: Path) -> Path | None:
    path = Path(posixpath.normpath((source.parent / link).as_posix()))
    return path if path.is_relative_to(ROOT) and path.is_file() else None


def _is_in_docs(path: Path) -> bool:
    return path.is_relative_to(ROOT / "docs")
