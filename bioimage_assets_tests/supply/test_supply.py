"""What an installation consists of: pinned by digest, within the constraints, complete, and of known licences."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
HASHED = (REPOSITORY / "requirements.hashed.txt").read_text()


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "deploy" / "supply" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    return load_script("write_sbom")


def constraints() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def test_versions_are_those_of_the_constraints_and_every_line_has_its_digests(sbom):
    pinned, lines = constraints(), sbom.parse_hashed(HASHED)
    assert len(lines) == len(re.findall(r"^\S+==", HASHED, re.MULTILINE)) > 150
    for name, version, condition, digests in lines:
        if name not in pinned:
            assert "sys_platform == 'darwin'" in condition, f"{name} is not in constraints.txt"
        else:
            assert pinned[name] == version, name
        assert digests, name


def test_the_file_names_no_place_to_install_from():
    text = re.sub(r"^#.*", "", HASHED, flags=re.MULTILINE)
    assert not re.search(r"://|^\s*-(?!-hash=sha256:)|\.(org|com|io|net)\b", text, re.MULTILINE)


@pytest.mark.slow
def test_everything_that_an_installation_needs_is_in_the_file(sbom):
    """Followed through the metadata of what is installed here, which the constraints pin to the same versions."""
    script = load_script("write_hashes")
    names = {
        name
        for name, _, condition, _ in sbom.parse_hashed(HASHED)
        if not condition or Marker(condition).evaluate()
    }
    wanted = [
        Requirement(text)
        for text in re.findall(
            r"^  [\"'](.+)[\"'],$", script.build_project().partition("[tool")[0], re.MULTILINE
        )
    ]
    assert {"dagster", "cosmicqc", "dagster-postgres", "s3fs", "setuptools"} <= {one.name for one in wanted}
    seen: set[tuple[str, str]] = set()
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        assert name in names, f"{one} is needed and not in the file: make hashes"
        for extra in ("", *sorted(one.extras)):
            if (name, extra) in seen or name == "setuptools":
                continue
            seen.add((name, extra))
            needed = map(Requirement, distribution(name).requires or ())
            wanted += [
                need for need in needed if need.marker is None or need.marker.evaluate({"extra": extra})
            ]
    assert {name for name, _ in seen} | {"setuptools"} == names, "the file holds what nobody needs"


def test_a_place_or_a_missing_digest_stops_the_writer():
    script = load_script("write_hashes")
    script.check_text(HASHED)
    for bad in (
        "--index-url https://registry.example/simple\n",
        "a @ https://files.example/a.whl\n",
        "a==1 \\\n    --find-links x\n",
        "a==1\n",
    ):
        with pytest.raises(SystemExit):
            script.check_text(HASHED + bad)


@pytest.mark.slow
def test_pip_refuses_a_file_whose_digest_is_another(tmp_path):
    """The same wheel is taken with its own digest; pip needs no server for that."""
    import hashlib
    import zipfile

    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        archive.writestr(
            "tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny-1.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    codes = []
    for given in (digest, digest[::-1]):
        (tmp_path / "wanted.txt").write_text(f"tiny==1 \\\n    --hash=sha256:{given}\n")
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-index",
            "--find-links",
            tmp_path,
            "--no-deps",
            "--require-hashes",
        ]
        done = subprocess.run(
            [*command, "--target", tmp_path / "to", "-r", tmp_path / "wanted.txt"],
            capture_output=True,
            text=True,
            check=False,
        )
        codes.append(done.returncode)
    assert codes[0] == 0
    assert codes[1] != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_no_package_is_of_unknown_licence_and_the_list_of_those_looked_up_is_short(sbom):
    stated = sbom.read_stated()
    components, _ = sbom.read_components(HASHED, stated)
    assert [one.name for one in components if not one.licence] == []
    unsaid = {one.name for one in components if not sbom.read_licence(sbom.metadata(one.name))}
    assert unsaid <= set(stated), "a package says nothing: look it up"
    assert set(stated) <= {one.name for one in components}, "names a package that is not installed"
    assert len(stated) <= 8
    strict = [one.name for one in components if re.search(r"(?<!L)GPL|AGPL|SSPL|BUSL", one.licence)]
    assert strict == [], "a licence that would bind this project"


def test_the_sbom_names_every_package_with_its_digests_and_is_the_same_each_time(sbom):
    components, _ = sbom.read_components(HASHED, sbom.read_stated())
    document = sbom.build_sbom(components)
    assert json.dumps(document) == json.dumps(sbom.build_sbom(components))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    listed = {entry["purl"]: entry for entry in document["components"]}
    assert len(listed) == len(components)
    for one in components:
        entry = listed[f"pkg:pypi/{one.name}@{one.version}"]
        assert {item["content"] for item in entry["hashes"]} == set(one.digests)
        assert re.fullmatch(r"[\w.+() -]+", entry["licenses"][0]["expression"])
    references = set(listed) | {document["metadata"]["component"]["bom-ref"]}
    for edge in document["dependencies"]:
        assert edge["ref"] in references
        assert set(edge["dependsOn"]) <= references


def test_the_sbom_is_valid_by_the_schema_of_cyclonedx(sbom):
    validation = pytest.importorskip(
        "cyclonedx.validation.json", reason="no cyclonedx-python-lib[json-validation]"
    )
    from cyclonedx.schema import SchemaVersion

    components, _ = sbom.read_components(HASHED, sbom.read_stated())
    text = json.dumps(sbom.build_sbom(components))
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
