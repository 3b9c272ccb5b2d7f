"""Turns the installed packages that ``requirements.hashed.txt`` names into an SBOM (CycloneDX 1.6) and a table of licences.

Run as ``make sbom``. Format: https://cyclonedx.org/docs/1.6/json/. Licences come from the packages' own metadata;
``licences.toml`` says what those leave open, and nothing else may be left open.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution, metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
HASHED = REPOSITORY / "requirements.hashed.txt"
STATED = Path(__file__).with_name("licences.toml")
# Builds the project's own wheel; an environment may hold another version of it.
_BUILD_TOOLS = {"setuptools"}
# Classifiers of PyPI that say one licence plainly; the others name a family ("BSD License").
_CLASSIFIERS = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "BSD License": "LicenseRef-BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LicenseRef-LGPL",
}
# What older packages write into the free field.
_WORDS = {
    "mit": "MIT", "mit license": "MIT", "apache-2.0": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause", "mpl-2.0 and mit": "MPL-2.0 AND MIT",
    "bsd": "LicenseRef-BSD", "bsd license": "LicenseRef-BSD",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Component:
    """One package as it is installed: licence as an SPDX expression, empty where nothing says it; SHA-256 of its files."""

    name: str
    version: str
    licence: str
    digests: tuple[str, ...]
    needs: tuple[str, ...]


def main() -> None:
    """Write ``sbom.cdx.json`` and ``licences.md``; fail where a licence is not known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build")
    folder = parser.parse_args().folder
    components, absent = read_components(HASHED.read_text(), read_stated())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(json.dumps(build_sbom(components), indent=1) + "\n")
    (folder / "licences.md").write_text(build_table(components))
    print(
        f"{folder}: {len(components)} packages; not installed on this system: {', '.join(absent) or 'none'}"
    )
    if unknown := [component.name for component in components if not component.licence]:
        sys.exit(f"no licence is stated by {', '.join(unknown)}: look it up and name it in {STATED.name}")


def read_stated() -> dict[str, str]:
    """Licences that somebody looked up, by package."""
    return tomllib.loads(STATED.read_text())["stated"]


def read_components(hashed: str, stated: Mapping[str, str]) -> tuple[list[Component], list[str]]:
    """The packages of the file that are meant for this system, and the names of those meant for others."""
    components, absent = [], []
    for name, version, condition, digests in parse_hashed(hashed):
        if condition and not Marker(condition).evaluate():
            absent.append(name)
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} {version} is not installed here: make setup")
        if found.version != version and name not in _BUILD_TOOLS:
            sys.exit(
                f"{name} is installed in version {found.version}, {HASHED.name} says {version}: make setup"
            )
        licence = stated.get(name) or read_licence(metadata(name))
        needs = tuple(sorted({canonicalize_name(Requirement(text).name) for text in found.requires or ()}))
        components.append(Component(name, version, licence, digests, needs))
    return components, absent


def parse_hashed(text: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Name, version, condition and digests of each requirement of a file that pip reads."""
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    found = [
        re.match(r"([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))?((?: --hash=sha256:[0-9a-f]{64})+)\s*$", line)
        for line in lines
    ]
    return [
        (canonicalize_name(match[1]), match[2], match[3] or "", tuple(re.findall("[0-9a-f]{64}", match[4])))
        for match in found
        if match
    ]


def read_licence(package: PackageMetadata) -> str:
    """SPDX expression of a package's own metadata; empty where they say none in words that are known."""
    if expression := package.get("License-Expression"):
        return expression
    word = _WORDS.get(" ".join((package.get("License") or "").split()).lower(), "")
    said = [
        text.rpartition(" :: ")[2]
        for text in package.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    known = sorted({_CLASSIFIERS[text] for text in said if text in _CLASSIFIERS})
    if word and (not known or known == ["LicenseRef-BSD"]):
        return word
    return " AND ".join(known)


def build_sbom(components: Sequence[Component]) -> dict[str, object]:
    """A CycloneDX document. Its serial number follows from its content, so the same packages give the same document."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = {component.name for component in components}
    content = hashlib.sha256(repr(components).encode()).digest()
    root = f"pkg:generic/{project['name']}@{project['version']}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=content[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [_describe(component) for component in components],
        "dependencies": [
            {"ref": root, "dependsOn": [_reference(component) for component in components]},
            *(
                {
                    "ref": _reference(one),
                    "dependsOn": [_reference(other) for other in components if other.name in one.needs],
                }
                for one in components
                if names & set(one.needs)
            ),
        ],
    }


def _reference(component: Component) -> str:
    return f"pkg:pypi/{component.name}@{component.version}"


def _describe(component: Component) -> dict[str, object]:
    described: dict[str, object] = {
        "type": "library",
        "bom-ref": _reference(component),
        "name": component.name,
        "version": component.version,
        "purl": _reference(component),
        # One per file that may be installed: wheels of all systems and the source.
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in component.digests],
    }
    if component.licence:
        described["licenses"] = [{"expression": component.licence}]
    return described


def build_table(components: Sequence[Component]) -> str:
    """A Markdown table, packages by name, with a count of each licence above it."""
    counts: dict[str, int] = {}
    for component in components:
        counts[component.licence or "unknown"] = counts.get(component.licence or "unknown", 0) + 1
    sums = "".join(
        f"| {name} | {count} |\n"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    rows = "".join(f"| {one.name} | {one.version} | {one.licence or 'unknown'} |\n" for one in components)
    return (
        f"| licence | packages |\n|---|---|\n{sums}\n| package | version | licence |\n|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    main()
