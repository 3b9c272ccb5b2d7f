"""The engine of the settings, or a sentence that says why it cannot be had."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException

from bioimage_assets.core.engines.consensus import combine_replicates
from bioimage_assets.core.engines.open_engine import open_engine
from bioimage_assets.core.engines.open_source import arrow_source
from bioimage_assets.core.engines.spark_connect import connect_spark
from bioimage_assets.core.engines.spark_engine import SparkEngine
from bioimage_assets.core.errors import MissingExtraError, SettingsError
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets_tests.core.engines.conftest import serve_sail


def test_polars_is_the_engine_where_nothing_is_said() -> None:
    settings = read_project_settings({})
    engine = open_engine(settings.engine, settings.spark_remote, settings.engine_memory_gb)
    assert (engine.name, engine.memory_bytes) == ("polars", 1 << 30)
    assert engine.version.startswith("polars ")


def test_spark_is_opened_at_the_address_of_the_settings(sail: SparkEngine) -> None:
    environ = {
        "BIOIMAGE_ENGINE": "spark",
        "BIOIMAGE_SPARK_REMOTE": sail.remote,
        "BIOIMAGE_ENGINE_MEMORY_GB": "0.5",
    }
    settings = read_project_settings(environ)
    engine = open_engine(settings.engine, settings.spark_remote, settings.engine_memory_gb)
    assert isinstance(engine, SparkEngine)
    assert (engine.name, engine.memory_bytes) == ("spark", 1 << 29)
    assert engine.version.startswith("pyspark-client ")


def test_an_engine_that_rested_longer_than_its_server_allows_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long step between two reductions: Sail ends a session after five minutes without a call, here after one second."""
    monkeypatch.setenv("SAIL_SPARK__SESSION_TIMEOUT_SECS", "1")
    wells = arrow_source("wells", [pa.table({"plate_key": ["a", "a", "b"], "Cells_F0": [1.0, 3.0, 5.0]})])
    expected = [{"plate_key": "a", "Cells_F0": 2.0}, {"plate_key": "b", "Cells_F0": 5.0}]
    with serve_sail() as remote:
        engine = connect_spark(remote)
        assert combine_replicates(engine, wells, ["plate_key"], ["Cells_F0"]).to_pylist() == expected
        rested = engine.open_session()
        assert rested.range(2).count() == 2
        time.sleep(3)
        with pytest.raises(PySparkException, match="is not running"):
            rested.range(2).count()
        rested.client.close()
        assert combine_replicates(engine, wells, ["plate_key"], ["Cells_F0"]).to_pylist() == expected


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"BIOIMAGE_ENGINE": "dask"}, "BIOIMAGE_ENGINE is 'dask'; expected polars or spark"),
        ({"BIOIMAGE_ENGINE_MEMORY_GB": "much"}, "BIOIMAGE_ENGINE_MEMORY_GB is 'much'; expected a number"),
        ({"BIOIMAGE_ENGINE_MEMORY_GB": "0"}, "expected a number of gigabytes above 0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_project_settings(environ)


def test_an_engine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match="'dask'; expected polars or spark"):
        open_engine("dask")


@pytest.mark.timeout(90)  # the client alone would try for minutes
def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        remote = f"sc://127.0.0.1:{free.getsockname()[1]};token=secret"
    with pytest.raises(
        SettingsError, match=r"No Spark Connect server answers at 'sc://127.0.0.1:\d+'"
    ) as caught:
        open_engine("spark", remote)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("remote", ["http://127.0.0.1:1", "sc://", "sc://127.0.0.1:port", "local[2]"])
def test_an_address_that_is_none_is_named(remote: str) -> None:
    with pytest.raises(SettingsError, match="No Spark Connect server answers at"):
        open_engine("spark", remote)


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [("spark", "pyspark", "spark"), ("polars", "polars", "cytomining")]
)
def test_an_engine_that_is_not_installed_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, engine: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    for module in (f"{engine}_engine", f"{engine}_connect"):
        monkeypatch.delitem(sys.modules, f"bioimage_assets.core.engines.{module}", raising=False)
    with pytest.raises(
        MissingExtraError, match=rf"BIOIMAGE_ENGINE={engine} needs .*bioimage_assets\[{extra}\]"
    ):
        open_engine(engine)


@pytest.mark.slow
def test_spark_is_opened_by_a_process_without_a_program_file(sail: SparkEngine) -> None:
    code = (
        "import sys; from bioimage_assets.core.engines.open_engine import open_engine; "
        "engine = open_engine('spark', sys.argv[1]); print(engine.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sail.remote], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["spark"]


def test_what_looks_for_an_engine_loads_none() -> None:
    code = (
        "import sys; import bioimage_assets.core.engines.open_engine; "
        "print({'polars', 'pyspark', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["set()"]
