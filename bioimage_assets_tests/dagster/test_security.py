"""Promises of docs/security.md that belong to no other room."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import get_origin

import dagster as dg
import duckdb
import pytest
from dagster_webserver.cli import dagster_webserver
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.sql import quote_identifier, quote_literal
from bioimage_assets.definitions import defs

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "bioimage_assets"
OWN_IO = {"IcebergIOManager", "ParquetWarehouseIOManager", "PageIOManager"}


@cache
def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_no_asset_is_stored_by_pickling() -> None:
    """An asset either returns nothing or names one of the project's own IO managers."""
    resources = defs.resources or {}
    for asset in defs.resolve_asset_graph().asset_nodes:
        if not asset.is_executable:
            continue
        key = asset.assets_def.get_io_manager_key_for_asset_key(asset.key)
        if key == "io_manager":  # Dagster's own, which pickles
            body = asset.assets_def.op.compute_fn.decorated_fn
            given = inspect.signature(body).return_annotation
            assert (get_origin(given) or given) in (None, dg.MaterializeResult), (
                f"{asset.key} would be pickled"
            )
        else:
            assert type(resources[key]).__name__ in OWN_IO, key


# What makes objects of bytes or text, whatever module it is called by; none of it may stand in the package.
UNSAFE_MODULES = frozenset(
    {
        "pickle",
        "_pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "jsonpickle",
        "joblib",
        "marshal",
        "shelve",
        "torch",
        "copyreg",
    }
)
UNSAFE_NAMES = frozenset(
    {"Unpickler", "find_class", "persistent_load", "read_pickle", "to_pickle", "set_loads"}
)
UNSAFE_CALLS = frozenset(
    {
        "eval",
        "exec",
        "compile",
        "os.system",
        "os.popen",
        "subprocess.getoutput",
        "subprocess.getstatusoutput",
        "__import__",
    }
)


def list_unsafe(source: str) -> list[str]:
    """What of a module could build objects from data or run text, by the syntax tree."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.partition(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").partition(".")[0] in UNSAFE_MODULES else []
            found += [each.name for each in node.names if each.name in UNSAFE_NAMES]
            found += [each.name for each in node.names if node.module == "yaml" and "oad" in each.name]
        elif isinstance(node, ast.Attribute | ast.Name | ast.FunctionDef | ast.ClassDef):
            name = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "name", "")
            found += [name] if name in UNSAFE_NAMES else []
        if isinstance(node, ast.Call):
            found += _list_unsafe_call(node)
    return found


def _list_unsafe_call(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    first, _, last = name.rpartition(".")
    words = {word.arg: word.value for word in call.keywords}
    found = [name] if name in UNSAFE_CALLS else []
    found += [name] if first.partition(".")[0] in UNSAFE_MODULES else []
    if first in ("np", "numpy") and last in ("load", "fromregex", "memmap"):
        found.append(name)
    if first == "yaml" and last != "safe_load":
        found.append(name)
    for word in ("allow_pickle", "shell"):
        value = words.get(word)
        if word in words and not (isinstance(value, ast.Constant) and not value.value):
            found.append(f"{word} in {name}")
    if None in words and last == "load":
        found.append(f"options of {name} that are not seen here")
    return found


@pytest.mark.slow
def test_archives_of_arrays_are_never_opened_with_pickles_allowed() -> None:
    """Nor is anything else unpickled, by a class or function of any of these modules, restricted or not."""
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 300
    assert {str(path): found for path in modules if (found := list_unsafe(path.read_text()))} == {}


@pytest.mark.slow
def test_nothing_runs_text_as_code() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        unsafe = {name for call in calls(path) for name in _list_unsafe_call(call)}
        assert not unsafe, path


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import Unpickler",
        "from pickle import loads as read",
        "import pickle as p\np.loads(raw)",
        "class Plain(base.Unpickler): ...",
        "class Plain:\n    def find_class(self, module, name): ...",
        "pickle.loads(raw)",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "numpy.load(path, allow_pickle=True)",
        "np.lib.format.read_array(handle, allow_pickle=True)",
        "read_array(handle, allow_pickle=wanted)",
        "reader.load(path, **options)",
        "joblib.load(path)",
        "from joblib import load",
        "torch.load(path)",
        "import torch.serialization",
        "dill.loads(raw)",
        "marshal.loads(raw)",
        "shelve.open(path)",
        "pd.read_pickle(path)",
        "from pandas import read_pickle",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "from yaml import load",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_search_sees_every_way_to_build_objects_from_data(source: str) -> None:
    assert list_unsafe(source)


def test_the_search_lets_pass_what_builds_nothing() -> None:
    harmless = "import pickletools, json, yaml\nyaml.safe_load(text)\njson.loads(text)\nsubprocess.run([a], shell=False)\n"
    assert list_unsafe(harmless + "np.frombuffer(raw, dtype)\nre.compile(text)\n") == []


def test_no_resource_or_asset_takes_a_secret_as_configuration() -> None:
    secret = re.compile(r"password|secret|token|credential|access_key", re.IGNORECASE)
    for name, resource in (defs.resources or {}).items():
        fields = getattr(type(resource), "model_fields", {})
        assert not [field for field in fields if secret.search(field)], name
    for asset in defs.resolve_asset_graph().asset_nodes:
        if asset.is_executable:
            schema = asset.assets_def.op.config_schema
            assert not secret.search(str(getattr(schema.config_type, "fields", ""))), asset.key


def test_the_webserver_listens_on_loopback_unless_told_otherwise() -> None:
    options = {option.name: option.default for option in dagster_webserver.params}
    assert options["host"] == "127.0.0.1"
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "--host 127.0.0.1" in makefile
    assert "0.0.0.0" not in makefile


def test_secrets_of_the_environment_are_in_no_message_of_a_failed_catalog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bioimage_assets.core.catalog.session import open_catalog
    from bioimage_assets.core.errors import BioimageError

    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__TYPE", "sql")
    monkeypatch.setenv(
        "PYICEBERG_CATALOG__LAB__URI",
        "postgresql+psycopg2://reader:hunter2@127.0.0.1:1/none?connect_timeout=1",
    )
    monkeypatch.setattr(
        "bioimage_assets.core.catalog.session.call_with_retry", lambda call, deadline_s: call()
    )
    with pytest.raises(BioimageError) as failed:
        open_catalog("lab")
    assert "hunter2" not in str(failed.value)


def test_every_test_that_the_page_cites_exists() -> None:
    cited = re.findall(
        r"`(test_\w+\.py|…)(?:::(test_\w+))?`", (REPOSITORY / "docs" / "security.md").read_text()
    )
    assert len(cited) > 20
    path = REPOSITORY
    for name, test in cited:
        if name != "…":
            (path,) = (REPOSITORY / "bioimage_assets_tests").rglob(name)
        assert not test or f"def {test}(" in path.read_text(), f"{name}::{test}"


def test_an_address_with_a_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    from bioimage_assets.core.discovery.listing import discover_plates
    from bioimage_assets.core.errors import UsageError
    from bioimage_assets.core.scan.scanner import scan_image_assets

    uri = "https://reader:hunter2@127.0.0.1:1/plates/P1.zarr"
    for call in (scan_image_assets, discover_plates):
        with pytest.raises(UsageError) as refused:
            call(uri)
        assert "hunter2" not in str(refused.value)
        assert "127.0.0.1/plates/P1.zarr" in str(refused.value)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()))
def test_any_text_is_one_identifier_and_one_literal(text: str) -> None:
    with duckdb.connect() as connection:
        query = f"SELECT {quote_literal(text)} AS {quote_identifier(text)}"
        cursor = connection.execute(query)
        assert [column[0] for column in cursor.description] == [text]
        assert cursor.fetchall() == [(text,)]
