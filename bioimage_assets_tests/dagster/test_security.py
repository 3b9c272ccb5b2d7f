"""Promises of docs/security.md that belong to no other room."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

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
OWN_IO = {"IcebergIOManager", "ParquetWarehouseIOManager"}


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
            assert given in (None, dg.MaterializeResult), f"{asset.key} would be pickled"
        else:
            assert type(resources[key]).__name__ in OWN_IO, key


def test_archives_of_arrays_are_never_opened_with_pickles_allowed() -> None:
    opened = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for call in calls(path):
            name = ast.unparse(call.func)
            assert name not in (
                "pickle.load",
                "pickle.loads",
                "joblib.load",
                "pd.read_pickle",
                "torch.load",
            ), path
            if name == "np.load":
                allowed = {word.arg: word.value for word in call.keywords}.get("allow_pickle")
                assert isinstance(allowed, ast.Constant), path
                assert allowed.value is False, path
                opened += 1
    assert opened, "nothing opens arrays any more: drop this test and the sentence in docs/security.md"


def test_nothing_runs_text_as_code() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        for call in calls(path):
            name = ast.unparse(call.func)
            assert name not in ("eval", "exec", "os.system", "yaml.load", "subprocess.getoutput"), path
            shell = {word.arg: word.value for word in call.keywords}.get("shell")
            assert not (isinstance(shell, ast.Constant) and shell.value), path


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
    from bioimage_assets.core.scan import scan_image_assets

    uri = "https://reader:hunter2@127.0.0.1:1/plates/P1.zarr"
    for call in (scan_image_assets, discover_plates):
        with pytest.raises(UsageError) as refused:
            call(uri)
        assert "hunter2" not in str(refused.value)
        assert "127.0.0.1/plates/P1.zarr" in str(refused.value)


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()))
def test_any_text_is_one_identifier_and_one_literal(text: str) -> None:
    with duckdb.connect() as connection:
        query = f"SELECT {quote_literal(text)} AS {quote_identifier(text)}"
        cursor = connection.execute(query)
        assert [column[0] for column in cursor.description] == [text]
        assert cursor.fetchall() == [(text,)]
