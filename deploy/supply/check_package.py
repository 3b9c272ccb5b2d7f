"""The tree in, a word on its packages out: wheel and source distribution agree, hold what they should, and work in an empty folder.

Run as ``make check-package``. Everything happens below a temporary folder with a home of its own; only building and installing
ask the registry that uv is configured for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[2]
# Of a clone, what a source distribution must hold; a folder stands for all that git knows below it.
PROMISED = (
    "bioimage_assets", "bioimage_assets_tests", "bench", "deploy", "docs", "examples", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
    "Makefile", "README.md", "constraints.txt", "dagster.yaml", "data/README.md", "mkdocs.yml", "pyproject.toml",
    "requirements.hashed.txt", "setup.py", "workspace.yaml",
)  # fmt: skip
WRITE_STORE = (
    "import zarr; zarr.save_array('tiny.zarr', __import__('numpy').zeros((8, 8), 'u1'), zarr_format=2)"
)
UI_LIMIT_S = 240.0


class PackageError(Exception):
    """Raise where the packages are not what they should be."""


def main() -> None:
    """Build, compare, install, try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv", help="what builds and installs")
    uv = parser.parse_args().uv
    if shutil.which(uv) is None:
        sys.exit(f"error: no uv at '{uv}'; python3 -m pip install uv, or --uv PATH")
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # an ignored one would be handed on to `dagster dev`
    began_s = time.perf_counter()
    with TemporaryDirectory(prefix="package-") as name:
        folder = Path(name)
        try:
            tree = copy_tree(folder / "tree")
            wheel, source = build(uv, tree, folder)
            say(f"{check_contents(tree, wheel, source)} files, the same in both wheels")
            python = install(uv, folder, wheel)
            check_commands(python, folder)
            say(check_ui(python, folder))
        except PackageError as error:
            sys.exit(f"error: {error}")
    say(f"the package is whole ({time.perf_counter() - began_s:.0f} s)")


def say(text: str) -> None:
    """One line of what was found."""
    print(f"check-package: {text}", flush=True)


def copy_tree(target: Path) -> Path:
    """What git knows, as it stands: leftovers of earlier builds would get into a wheel."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], REPOSITORY)
    for name in filter(None, listed.split("\0")):
        here = REPOSITORY / name
        if here.is_file() and not here.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(here.read_bytes())
    return target


def build(uv: str, tree: Path, folder: Path) -> tuple[Path, Path]:
    """The wheel of the tree and the source distribution; the wheel of the latter must equal the former."""
    run([uv, "build", "--quiet", "--sdist", "--out-dir", str(folder / "sdist"), str(tree)], folder)
    run([uv, "build", "--quiet", "--wheel", "--out-dir", str(folder / "wheel"), str(tree)], folder)
    source = next((folder / "sdist").glob("*.tar.gz"))
    run([uv, "build", "--quiet", "--wheel", "--out-dir", str(folder / "again"), str(source)], folder)
    wheel = next((folder / "wheel").glob("*.whl"))
    ours, again = read_wheel(wheel), read_wheel(next((folder / "again").glob("*.whl")))
    if ours != again:
        odd = sorted(name for name in ours.keys() | again.keys() if ours.get(name) != again.get(name))
        raise PackageError(f"the wheel of the source distribution differs: {', '.join(odd[:10])}")
    return wheel, source


def read_wheel(path: Path) -> dict[str, bytes]:
    """Contents by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check_contents(tree: Path, wheel: Path, source: Path) -> int:
    """The wheel has the package alone, the source distribution all of a clone; gives the number of files of the wheel."""
    contents = read_wheel(wheel)
    names = list(contents)
    page = next(text.decode() for name, text in contents.items() if name.endswith(".dist-info/METADATA"))
    if "](docs/" in page:
        raise PackageError(
            "the text of the package's page leads into the repository, and so nowhere: setup.py takes that out"
        )
    foreign = [n for n in names if not n.startswith(("bioimage_assets/", "bioimage_assets-"))]
    package = {
        str(path.relative_to(tree)) for path in (tree / "bioimage_assets").rglob("*") if path.is_file()
    }
    if foreign or package - set(names):
        raise PackageError(f"{wheel.name}: foreign {foreign[:5]}, lacking {sorted(package - set(names))[:5]}")
    with tarfile.open(source) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    wanted = {
        str(path.relative_to(tree))
        for promised in PROMISED
        for path in ([tree / promised] if (tree / promised).is_file() else (tree / promised).rglob("*"))
        if path.is_file()
    }
    if lacking := sorted({*wanted, *(p for p in PROMISED if not (tree / p).exists())} - held):
        raise PackageError(f"{source.name} lacks {', '.join(lacking[:10])}")
    return len(names)


def install(uv: str, folder: Path, wheel: Path) -> Path:
    """The wheel and what it needs, no extra, in an environment of its own; gives its Python."""
    run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], folder)
    python = folder / "venv" / "bin" / "python"
    pins = str(REPOSITORY / "constraints.txt")
    run([uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", pins, str(wheel)], folder)
    return python


def build_environment(folder: Path) -> dict[str, str]:
    """As a user has it who never ran Dagster: a home and a folder for scratch files, both empty."""
    for name in ("home", "scratch", "empty"):
        (folder / name).mkdir(exist_ok=True)
    private = ("BIOIMAGE_", "DAGSTER_", "PYTHON", "PYICEBERG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    return {**kept, "HOME": str(folder / "home"), "TMPDIR": str(folder / "scratch"), "NO_COLOR": "1"}


def check_commands(python: Path, folder: Path) -> None:
    """Help, version, a scan, a folder without plates, the definitions."""
    environment, empty, command = (
        build_environment(folder),
        folder / "empty",
        str(python.parent / "bioimage-assets"),
    )
    version = run([command, "--version"], empty, environment)
    for call in ([command, "--help"], [str(python), "-m", "bioimage_assets", "--help"]):
        usage = run(call, empty, environment)
        program = "python -m bioimage_assets" if "-m" in call else "bioimage-assets"
        if f"Usage: {program} " not in usage:
            raise PackageError(f"{' '.join(call)} does not say its name: {usage[:200]}")
    run([str(python), "-c", WRITE_STORE], empty, environment)
    scanned = json.loads(run([command, "scan", "tiny.zarr", "--json"], empty, environment))
    if "[\n" not in json.dumps(scanned, indent=1):
        raise PackageError(f"the scan of a store of one array found nothing: {scanned}")
    without = subprocess.run(
        [command, "materialize"], cwd=empty, env=environment, capture_output=True, text=True
    )
    if without.returncode != 1 or "data/incoming does not exist" not in without.stderr:
        raise PackageError(
            f"no word about the missing data folder: {without.returncode} {without.stderr[-500:]}"
        )
    validate = [
        str(python.parent / "dagster"),
        "definitions",
        "validate",
        "-m",
        "bioimage_assets.definitions",
    ]
    run(validate, empty, {**environment, "DAGSTER_DISABLE_TELEMETRY": "yes"})
    say(f"{version.strip()}: commands and definitions work without an extra")


def check_ui(python: Path, folder: Path) -> str:
    """`dagster dev` as docs/install.md has it: answers, says nothing home, keeps what it remembers in its folder."""
    place, environment = folder / "screens", build_environment(folder)
    place.mkdir()
    # DAGSTER_DISABLE_TELEMETRY=yes sends nothing, and leaves an id in ~/.dagster all the same.
    (place / "dagster.yaml").write_text("telemetry: { enabled: false }\n")
    environment |= {"DAGSTER_HOME": str(place)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    call = [
        str(python.parent / "dagster"),
        "dev",
        "-m",
        "bioimage_assets.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    log, began_s = folder / "dev.log", time.perf_counter()
    with log.open("w") as output:
        ui = subprocess.Popen(
            call, cwd=place, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            names = wait_for_assets(ui, f"http://127.0.0.1:{port}/graphql", log)
            answered_s = time.perf_counter() - began_s
        finally:
            stop(ui)
    left = [path.name for path in (folder / "home").rglob("*")] + [
        path.name for path in (folder / "scratch").glob(".tmp_dagster_home_*")
    ]
    if left:
        raise PackageError(f"dagster dev left outside its folder: {', '.join(left[:10])}")
    if "elemetry" in log.read_text():
        raise PackageError("dagster dev speaks of telemetry, which is off")
    if not any(place.rglob("*.db")):
        raise PackageError("dagster dev keeps nothing in DAGSTER_HOME")
    return (
        f"dagster dev answers after {answered_s:.0f} s with {names} assets, and keeps its state in its folder"
    )


def wait_for_assets(ui: subprocess.Popen[bytes], url: str, log: Path) -> int:
    """Ask until the code location is loaded; gives the number of its assets."""
    question = json.dumps({"query": "{ assetNodes { id } }"}).encode()
    until_s = time.perf_counter() + UI_LIMIT_S
    while time.perf_counter() < until_s and ui.poll() is None:
        try:
            request = urllib.request.Request(url, question, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                if nodes := json.load(answer)["data"]["assetNodes"]:
                    return len(nodes)
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.5)
    raise PackageError(f"dagster dev did not answer:\n{log.read_text()[-2000:]}")


def stop(ui: subprocess.Popen[bytes]) -> None:
    """As a Ctrl-C does; what is left after half a minute, or of a UI that ended by itself, is ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(ui.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        ui.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(ui.pid, signal.SIGKILL)
    ui.wait()


def run(call: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """What a command prints; PackageError with its last words where it fails."""
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise PackageError(
            f"{' '.join(call)} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}"
        )
    return done.stdout


if __name__ == "__main__":
    main()
