"""``make demo``: make the screens, register their plates, materialise everything, say where it all is."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bioimage_assets.cli.output import EXPLAIN, FAILED, OK, USAGE, print_error, print_progress
from bioimage_assets.core.errors import MissingExtraError
from bioimage_assets.core.extras import require_extra
from bioimage_assets.demo.__main__ import ProgressBar
from bioimage_assets.demo.screens import build_screens
from bioimage_assets.demo.sizes import SIZES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the second run finds everything up to date and says so."""
    parser = argparse.ArgumentParser(prog="python -m bioimage_assets.demo.run", description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="demo")
    options = parser.parse_args(argv)
    try:
        require_extra("The demo", "demo")
    except MissingExtraError as error:
        print_error(error)
        return USAGE
    from bioimage_assets.cli.dagster_instance import open_instance
    from bioimage_assets.cli.run_report import print_run_report, summarize_run
    from bioimage_assets.cli.step_display import StepDisplay
    from bioimage_assets.headless import materialize_plates
    from bioimage_assets.resources.project import ProjectResource

    started = time.perf_counter()
    project = ProjectResource()
    root = Path(project.settings.incoming_uris[0])
    print_progress(f"1/3 Screens in {root}")
    build_screens(root, size=options.size, progress=ProgressBar())
    made_s = time.perf_counter() - started
    print_progress(f"    {made_s:.0f} s")
    print_progress("2/3 Plates through Dagster")
    display = StepDisplay(indent="    ")
    with open_instance() as instance:
        report = materialize_plates(
            instance, is_isolated=True, progress=display.say, on_step=display.show_step
        )
    print_progress("3/3 What is stored\n")
    summary = summarize_run(project, report)
    print_run_report(report, summary, project.settings.reports_dir)
    outcomes = report.plates + report.datasets
    built = [outcome for outcome in outcomes if outcome.status == "built"]
    print()
    if not built and report.is_ok:
        print("Nothing to do: every plate and dataset is up to date.")
    _print_places(project)
    if summary.findings or not report.is_ok:
        print(EXPLAIN)
    print(f"{time.perf_counter() - started:.0f} s in all.")
    return OK if report.is_ok else FAILED


def _print_places(project: object) -> None:
    settings = project.settings  # type: ignore[attr-defined]
    print(f"Warehouse  {settings.warehouse_uri}   (Parquet; open with pandas, DuckDB, pycytominer)")
    print(f"Catalog    {settings.catalog_dir}   (Apache Iceberg; open with PyIceberg)")
    print(f"Reports    {settings.reports_dir}")


if __name__ == "__main__":
    sys.exit(main())
