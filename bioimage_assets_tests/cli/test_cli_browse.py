"""`browse` says where it listens, moves on from a port in use, ends with Ctrl-C, and says what to type where there is nothing to see."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets_tests.builders.processes import end_process, find_free_port
from bioimage_assets_tests.builders.stored_project import settings_of, store_cells, store_images
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.cli.conftest import Run

PLATE = "screen/P1"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """A data folder with one plate, and its cells."""
    folder = tmp_path_factory.mktemp("browse-cli")
    settings = settings_of(folder / "data")
    images = store_images(settings, PLATE, write_pixel_plate(folder / "P1.zarr"))
    return folder / "data", store_cells(settings, PLATE, images)


@contextmanager
def run_command(data_dir: Path, *words: str, opens: bool = False) -> Iterator[subprocess.Popen[str]]:
    """The command as a user types it, in a process of its own."""
    command = [sys.executable, "-m", "bioimage_assets.cli.main", "browse", *words]
    command += [] if opens else ["--no-open"]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    }
    environment = kept | {
        "BIOIMAGE_DATA_DIR": str(data_dir),
        "BIOIMAGE_CATALOG": "none",
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data_dir.parent,
    ) as process:
        try:
            yield process
        finally:
            end_process(process, signal.SIGINT)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (process.wait(30), process.stderr and process.stderr.read())
    return line.strip()


@pytest.mark.slow
def test_it_prints_its_address_answers_there_and_ends_with_ctrl_c(stored: tuple[Path, pa.Table]) -> None:
    with run_command(stored[0], "--port", str(find_free_port())) as process:
        url = read_line(process)
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{url}api/plates") as answer:
            assert PLATE in answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in err
        assert url not in err


@pytest.mark.slow
def test_a_port_in_use_is_passed_over_and_said(stored: tuple[Path, pa.Table]) -> None:
    port = find_free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        run_command(stored[0], "--port", str(port), "--json") as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        found = json.loads("".join(lines))
        assert port < found["port"] <= port + 20
        assert str(found["port"]) in found["url"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert f"Port {port} is in use" in err


@pytest.mark.slow
def test_a_cell_is_opened_on_its_image(stored: tuple[Path, pa.Table]) -> None:
    cell = stored[1].to_pylist()[3]
    with run_command(
        stored[0], "--port", str(find_free_port()), "--cell", cell["Metadata_ObjectID"]
    ) as process:
        url = read_line(process)
        assert url.endswith("#/plate/screen%2FP1/image/P1%3AA01%3A0?cell=screen%2FP1%2F1%2F4")


def test_a_project_without_plates_says_what_to_type(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path / "data"))
    outcome = run("browse", "--no-open")
    assert outcome.code == 2
    assert "bioimage-assets materialize" in outcome.err
    assert str(tmp_path / "data") in outcome.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plate", "screen/P2"), "screen/P2"),
        (("--plate", "../../etc"), "no key"),
        (("--cell", "screen/P1/99/1"), "screen/P1/99/1"),
        (("--well", "A01"), "--plate"),
        (("--port", "99999"), "99999"),
        (("--host", "192.0.2.7"), "192.0.2.7"),
    ],
)
def test_what_is_not_there_is_a_sentence(
    run: Run,
    stored: tuple[Path, pa.Table],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(stored[0]))
    monkeypatch.setenv("BIOIMAGE_CATALOG", "none")
    outcome = run("browse", "--no-open", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.slow
def test_another_host_is_listened_on_when_asked_for_and_what_it_means_is_said(
    stored: tuple[Path, pa.Table],
) -> None:
    with run_command(stored[0], "--host", "0.0.0.0", "--port", str(find_free_port())) as process:
        read_line(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert "without encryption" in err


@pytest.mark.slow
def test_without_a_screen_no_browser_takes_the_terminal(stored: tuple[Path, pa.Table]) -> None:
    with run_command(stored[0], "--port", str(find_free_port()), opens=True) as process:
        read_line(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert "ssh -L" in err


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8765",
        "ftp://127.0.0.1",
        "http://127.0.0.1:port",
        "http://",
        "http://a/?q=1",
        "http://u:p@a",
    ],
)
def test_an_address_of_the_settings_that_is_none_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("BIOIMAGE_BROWSE_URL", url)
    outcome = run("browse", "--no-open")
    assert outcome.code == 2
    assert "BIOIMAGE_BROWSE_URL" in outcome.err
