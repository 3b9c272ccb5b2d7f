"""Every command of README.md and of the tutorials runs as it stands, in their order; so does what other pages show."""

from __future__ import annotations

import shlex
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from bioimage_assets_tests.documents.blocks import ROOT, RUN, list_pages, read_blocks
from bioimage_assets_tests.documents.conftest import list_variables
from bioimage_assets_tests.documents.shell import Shell, split_servers

pytestmark = pytest.mark.slow


def is_run(page: str) -> bool:
    return any(block.language in RUN and not block.not_run for block in read_blocks(page))


# Pages that are read from above to below. README first: it shows the demo itself.
GUIDES = ["README.md", *filter(is_run, list_pages("docs/tutorials/*.md"))]
# Of the Python API page every line is compared with what it gives: test_python_api_page.py.
REFERENCE = [page for page in list_pages("docs/*.md") if page != "docs/python-api.md" and is_run(page)]


def run_page(page: str, shell: Shell) -> None:
    """Type the commands of a page in their order; its Python is one session, as a reader would keep it open."""
    blocks = [block for block in read_blocks(page) if block.language in RUN and not block.not_run]
    session = ""
    for block in blocks:
        if block.file:
            shell.type(f"cat > {shlex.quote(block.file)} <<'END'\n{block.text}END\n", block.where)
        elif block.language == "python":
            session += block.text
        if session and (block is blocks[-1] or block.language != "python"):
            shell.run_python(session, f"{page}, its Python up to line {block.line}")
            session = ""
        if block.language == "sql":
            shell.query(block.text, block.where)
        elif block.language == "sh":
            shell.type(block.text, block.where)


@pytest.mark.parametrize("page", GUIDES)
def test_a_page_that_is_followed_runs_from_its_first_command_to_its_last(page: str, shell: Shell) -> None:
    run_page(page, shell)


@pytest.mark.parametrize("page", REFERENCE)
def test_what_a_reference_page_shows_runs_on_the_demo(page: str, shell: Shell) -> None:
    run_page(page, shell)


@pytest.mark.parametrize("page", [*filter(is_run, list_pages("docs/how-to/*.md"))])
def test_what_a_how_to_page_shows_runs_on_the_demo(page: str, shell: Shell) -> None:
    run_page(page, shell)


def test_servers_are_told_from_commands_that_end() -> None:
    block = "make demo  # first\n.venv/bin/bioimage-assets browse   # look\nmake ui\nbioimage-assets status\n"
    assert list(split_servers(block)) == [
        ("make demo  # first", False),
        (".venv/bin/bioimage-assets browse   # look", True),
        ("make ui", True),
        ("bioimage-assets status", False),
    ]


def test_the_notebook_shows_cells_and_doses_in_a_fresh_kernel(shell: Shell, made_demo: Path) -> None:
    notebook = nbformat.read(ROOT / "examples" / "first_look.ipynb", as_version=4)
    assert [cell for cell in notebook.cells if cell.get("outputs")] == []  # kept without results
    with pytest.MonkeyPatch.context() as patch:
        for name, value in list_variables(made_demo).items():
            patch.setenv(name, value)
        patch.delenv("MPLBACKEND", raising=False)  # the kernel draws into the notebook
        NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(made_demo / "examples")}}
        ).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in data for data in shown) == 2
    tables = [data["text/plain"] for data in shown if "text/html" in data]
    assert "screen-a/SA-P1" in tables[0]
    assert "golgi_disruptor" in tables[1]


def test_the_steps_of_the_ci_workflow_build_what_changed_and_say_what_is_stored(shell: Shell) -> None:
    workflow = yaml.safe_load((ROOT / "examples" / "ci-workflow.yml").read_text())
    steps = workflow["jobs"]["tables"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert [command for command in commands if "pip install" in command] == commands[:1]
    for plates in ("", "screen-a/SA-P1 screen-b/SB-P2"):
        shell.type(f"export PLATES={shlex.quote(plates)}", "ci-workflow.yml")
        for command in commands[1:]:
            said = shell.type(command, "ci-workflow.yml")
    assert "screen-b/SB-P2" in said


@pytest.mark.parametrize(
    "line",
    [
        "python examples/quickstart.py data/incoming/screen-a/SA-P1.ome.zarr data/incoming/screen-a/measurements/SA-P1.parquet",
        "python examples/catalog_duckdb.py data/incoming/screen-a/measurements/SA-P1.parquet --profile-dataset-id screen-a",
        "python examples/synthetic_workflow.py",
    ],
)
def test_an_example_runs_on_the_demo(line: str, made_demo: Path, tmp_path: Path) -> None:
    example = line.split()[1]
    said = Shell(made_demo, list_variables(made_demo), tmp_path / "state.sh").type(line, example)
    assert "Traceback" not in said
    assert "image" in said
