"""Writes ``docs/finding-codes.md`` from the catalogue: ``python -m bioimage_assets.cli.findings_reference > docs/finding-codes.md``."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

from bioimage_assets.core.finding_codes.catalogue import ALL_FAMILIES, FAMILIES
from bioimage_assets.core.finding_codes.record import CodeFamily, FindingCode

DOCS = Path(__file__).parents[2] / "docs"
"""Pages whose headings name the links; they lie beside the package in a clone."""

INTRODUCTION = """# Finding codes

Made from the catalogue in `bioimage_assets/core/finding_codes/` by `python -m bioimage_assets.cli.findings_reference > docs/finding-codes.md`.

What is odd, missing or repaired in your data is a *finding*. It has a code, a level, a place and a sentence. Findings are printed by commands,
stand in the tables [`scan_findings`](tables.md#scan_findings) and `plate_findings`, on report pages, in `browse` and in Dagster. This page says of
each of the COUNT codes what it means, why it appears, and what to do. `bioimage-assets explain CODE` prints the same.

An *error* stops a command or a step. Its line ends with a code in brackets, such as `(corrupt-store)`; a failed plate has it beside
`step-failed`. The ERRORS codes of errors stand [at the end](#errors-what-stops-a-step-or-a-command), with the class that Python raises.

| level | meaning |
|---|---|
| `error` | data are missing or wrong |
| `warning` | look at it: a result may be other than you think |
| `info` | repaired or harmless |

A finding stops nothing by itself. With `--strict`, `BIOIMAGE_STRICT=on` or `[checks] strict = true` errors make commands end with
[exit code 1](command-line.md#exit-codes). Settings belong in the `dataset.toml` of the dataset ([all keys](dataset-toml.md)); the message of a finding
often holds the line for your data. After a change run `bioimage-assets materialize`: what the change concerns is built again.
"""


def build_codes_page() -> str:
    """The whole page: a list of all codes by family, then a section for each."""
    count = sum(len(family.codes) for family in FAMILIES)
    errors = len(ALL_FAMILIES[-1].codes)
    introduction = INTRODUCTION.replace("COUNT", str(count)).replace("ERRORS", str(errors))
    parts = [introduction, "## All codes\n"]
    parts += [_list_family(family) for family in ALL_FAMILIES]
    parts += [_describe_family(family) for family in ALL_FAMILIES]
    return "\n".join(parts)


def _list_family(family: CodeFamily) -> str:
    links = ", ".join(f"[`{code.code}`](#{code.code})" for code in family.codes)
    return f"**{family.title}**: {links}\n"


def _describe_family(family: CodeFamily) -> str:
    seen = ", ".join(f"`{name}`" for name in family.seen_in)
    return "\n".join(
        [f"## {family.title}\n", f"Seen in {seen}.\n", *(_describe(family, c) for c in family.codes)]
    )


def _describe(family: CodeFamily, code: FindingCode) -> str:
    page = family.page_of(code)
    lines = [
        f"### {code.code}\n",
        f"*{' or '.join(code.severities)}* · {_escape(code.means)}{_name_class(code)}\n",
        f"**Cause.** {_escape(code.cause)}\n",
        f"**What to do.** {_escape(code.remedy)}\n",
    ]
    if code.setting:
        lines.append(f"```toml\n{code.setting}\n```\n")
    return "\n".join([*lines, f"More: [{_name_page(page)}]({page})\n"])


def _name_page(page: str) -> str:
    """Title of a page, with the heading of the section that its anchor names."""
    name, _, anchor = page.partition("#")
    title, *sections = _read_headings(name)
    section = next((one for one in sections if _build_anchor(one) == anchor), "")
    return f"{title} › {section}" if section else title


@cache
def _read_headings(name: str) -> tuple[str, ...]:
    """Headings of a page below ``docs/`` in its order, the title first."""
    return tuple(re.findall(r"^#{1,6} (.+)$", (DOCS / name).read_text(), re.MULTILINE))


def _build_anchor(heading: str) -> str:
    """Anchor of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _name_class(code: FindingCode) -> str:
    return f" In Python: `{code.error_class}`." if code.error_class else ""


def _escape(text: str) -> str:
    """Outside of code, what a browser would take for a tag is text."""
    parts = text.split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


if __name__ == "__main__":
    sys.stdout.write(build_codes_page())
