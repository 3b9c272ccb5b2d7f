"""README.md in, the text of the package's page out: without pictures and links into the repository, which lead nowhere from there.

Everything else stands in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import setup

_ADDRESS = re.compile(r"[a-z]+:|#")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)[^)]*\)")
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)[^)]*\)")


def build_page(readme: str) -> str:
    """The same text; a picture of the repository is left out, a link into it is its words. Code blocks stay as they are."""
    parts = re.split(r"(^```.*?^```$)", readme, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _unlink(part) for part in parts)


def _unlink(text: str) -> str:
    shown = _PICTURE.sub(lambda found: found[0] if _ADDRESS.match(found[1]) else "", text)
    linked = _LINK.sub(lambda found: found[0] if _ADDRESS.match(found[2]) else found[1], shown)
    return re.sub(r"\n{3,}", "\n\n", linked)


setup(
    long_description=build_page(Path(__file__).with_name("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
