"""A page as a reader's browser sees it, by the parser of the standard library: links, pictures, notices and findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bioimage_assets.core.settings.project import DEFAULT_BROWSE_URL

_ALONE = frozenset({"meta", "img", "br", "link"})


@dataclass
class ReadFinding:
    """One entry of the box of findings."""

    severity: str
    code: str = ""
    text: str = ""
    places: str = ""
    head: str = ""
    explained: str = ""


@dataclass
class ReadPage(HTMLParser):
    """What was found on a page; tags that are not closed in their order are an error."""

    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)
    findings: list[ReadFinding] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    folded: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    metas: list[dict[str, str | None]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, str]] = []
        self._fact = self._summary = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember where the text that follows belongs."""
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if given.get("id") else []
        self.links += [given["href"]] if tag == "a" and given.get("href") else []
        self.sources += [given["src"]] if given.get("src") else []
        kind = given.get("class") or ""
        if tag == "meta":
            self.metas.append(given)
        elif tag == "p" and kind.startswith("notice "):
            self.notices.append((kind.split()[1], ""))
        elif tag == "div" and kind.startswith("finding "):
            self.findings.append(ReadFinding(kind.split()[1]))
        elif tag == "summary":
            self._summary = ""
        if tag not in _ALONE:
            self._open.append((tag, kind))

    def handle_endtag(self, tag: str) -> None:
        """Tags close in the order in which they were opened."""
        assert self._open, f"</{tag}> closes nothing"
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        """Give the text to what it belongs to."""
        around = [kind for _, kind in self._open]
        tag, kind = self._open[-1] if self._open else ("", "")
        if tag == "style":
            return
        self.text += data
        if kind.startswith("notice "):
            tone, text = self.notices.pop()
            self.notices.append((tone, text + data))
        elif any(part.startswith("finding ") for part in around):
            self._add_to_finding(tag, kind, data)
        elif tag == "h2":
            self.headings.append(data)
        elif tag == "summary":
            self._summary += data
            self.folded[self._summary] = ""
        elif "details" in [name for name, _ in self._open]:
            self.folded[self._summary] += f"{data}\n"
        elif "fact" in around:
            if tag == "b":
                self._fact = data
            else:
                self.facts[data] = self._fact

    def _add_to_finding(self, tag: str, kind: str, data: str) -> None:
        finding = self.findings[-1]
        if "details" in [name for name, _ in self._open]:
            finding.explained += data
        elif tag == "code":
            finding.code += data
        elif kind == "places":
            finding.places += data
        elif finding.code and not data.startswith(" ·"):
            finding.text += data
        else:
            finding.head += data

    def broken_links(self, page: Path) -> list[str]:
        """Links of a page that lead nowhere: to no file, or to no place of the page itself. Those to pixels are no files."""
        broken = []
        for link in self.links:
            if link.split("?")[0] == f"{DEFAULT_BROWSE_URL}/go":  # of `browse` on this machine
                continue
            parts = urlsplit(link)
            if link.startswith(f"{DEFAULT_BROWSE_URL}/go?"):
                continue
            assert (parts.scheme, parts.netloc) == ("", ""), f"{link} leaves the folder of pages"
            if not parts.path:
                broken += [] if parts.fragment in self.ids else [link]
            elif not (page.parent / unquote(parts.path)).is_file():
                broken.append(link)
        return broken


def read_page(html: str) -> ReadPage:
    """Read a page whole."""
    page = ReadPage()
    page.feed(html)
    page.close()
    assert not page._open, f"not closed: {page._open}"
    return page
