"""Writers that tests start as processes of their own, to be killed or to compete.

Run as ``python -m bioimage_assets_tests.core.warehouse.writer_process <job> <root> <arguments>``.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.core.warehouse.tables import cells, generation

PLATES = ("screen/BR1", "screen/BR2", "screen/BR3")


def write_generations(root: str, start: str) -> None:
    """Change a root in every way there is, forever; every table holds whole generations only."""
    warehouse = open_warehouse(root)
    number = int(start)
    print("ready", flush=True)
    while True:
        number += 1
        for plate in PLATES:
            warehouse.replace_partitions("replaced", generation(plate, number), [plate], role="profiles")
        both = pa.concat_tables([generation(plate, number) for plate in PLATES])
        warehouse.replace_partitions("together", both, list(PLATES), role="profiles")
        warehouse.overwrite("whole", generation(PLATES[number % 3], number, 40 + number % 7), role="profiles")
        warehouse.append("appended", generation(PLATES[number % 3], number), role="profiles")
        grown = {f"new_{number // 5}": pa.array([number] * 50)}
        wider = generation(PLATES[0], number)
        for name, column in grown.items():
            wider = wider.append_column(name, column)
        warehouse.append("grown", wider, role="profiles")
        if number % 4 == 0:
            warehouse.remove_partitions("replaced", [PLATES[1]])
            maintain_warehouse(root)


def write_tables(root: str, worker: str, tables: str) -> None:
    """Write so many tables of one worker."""
    warehouse = open_warehouse(root)
    for number in range(int(tables)):
        plate = f"screen/BR{number}"
        warehouse.replace_partitions(f"table_{worker}_{number}", cells(plate, 5), [plate], role="reports")


def write_one_plate(root: str, worker: str, enough: str) -> None:
    """Replace one plate of a shared table, with a column of the worker's own in the end.

    Ten times, and on until there is a file ``enough``: a reader that is slow has something to see.
    """
    warehouse = open_warehouse(root)
    plate = f"screen/BR{worker}"
    for number in count():
        if number >= 10 and Path(enough).exists():
            break
        warehouse.replace_partitions("shared", generation(plate, number % 10), [plate], role="profiles")
    last = generation(plate, 10).append_column(f"of_{worker}", pa.array([1.0] * 50))
    warehouse.replace_partitions("shared", last, [plate], role="profiles")


def append_parts(root: str, worker: str) -> None:
    """Append ten times the same rows."""
    warehouse = open_warehouse(root)
    for _ in range(10):
        warehouse.append("appended", cells(f"screen/BR{int(worker) % 2}", 4), role="profiles")


def overwrite_often(root: str, times: str, enough: str) -> None:
    """Overwrite a table of two to four plates so many times, and on until there is a file ``enough``."""
    warehouse = open_warehouse(root)
    for number in count():
        if number >= int(times) and Path(enough).exists():
            break
        parts = [generation(f"screen/BR{i}", number) for i in range(2 + number % 3)]
        warehouse.overwrite("whole", pa.concat_tables(parts), role="profiles")


JOBS = {
    job.__name__: job
    for job in (write_generations, write_tables, write_one_plate, append_parts, overwrite_often)
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
