"""A source of measurements that cannot be read is named, with what was expected, what is there, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, image_rows, write_csv
from bioimage_assets_tests.core.measurements.conftest import Reader


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def utf_32(root: Path) -> Path:
    (root / "P1.csv").write_bytes("a,b\n1,2\n".encode("utf-32"))
    return root / "P1.csv"


def sqlite_of(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)
    return path


def image_table_alone(root: Path) -> Path:
    write_csv(root / "P1" / "Image.csv", *image_rows(PlateSpec()))
    return root / "P1"


def image_table_without_numbers(root: Path) -> Path:
    write_text(root / "P1" / "Image.csv", "Metadata_Well,FileName_DNA\nA01,a.tif\n")
    write_text(root / "P1" / "Cells.csv", "ImageNumber,ObjectNumber,AreaShape_Area\n1,1,5\n")
    return root / "P1"


def objects_without_numbers(root: Path) -> Path:
    write_text(root / "P1" / "Image.csv", "ImageNumber,Metadata_Well\n1,A01\n")
    write_text(root / "P1" / "Cells.csv", "ImageNumber,AreaShape_Area\n1,5\n")
    return root / "P1"


def warehouse_of_two(root: Path) -> Path:
    write_text(root / "P1" / "catalog.json", '{"tables": {"profiles.a": "", "profiles.b": ""}}')
    return root / "P1"


def warehouse_without_files(root: Path) -> Path:
    write_text(root / "P1" / "catalog.json", '{"tables": {"profiles.joined_profiles": ""}}')
    return root / "P1"


# How to write each broken source, and what its message names: the file, then what was found there.
BROKEN: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "an empty CSV": (lambda root: write_text(root / "P1.csv", ""), "P1.csv", "no header line"),
    "UTF-32": (utf_32, "P1.csv", "neither UTF-8 nor UTF-16"),
    "no SQLite": (lambda root: write_text(root / "P1.sqlite", "no database " * 99), "P1.sqlite", "not a database"),
    "a SQLite file of something else": (
        lambda root: sqlite_of(root / "P1.sqlite", "CREATE TABLE Wells (name)", "CREATE TABLE Dose (um)"),
        "P1.sqlite", "Dose, Wells",
    ),
    "a SQLite object table without numbers": (
        lambda root: sqlite_of(root / "P1.sqlite", "CREATE TABLE Cells (ImageNumber, Cells_Area)"), "P1.sqlite", "Cells",
    ),
    "an image table alone": (image_table_alone, "Image.csv", "image table"),
    "an image table without numbers": (image_table_without_numbers, "Image.csv", "Metadata_Well, FileName_DNA"),
    "objects without numbers": (objects_without_numbers, "Cells.csv", "ImageNumber, AreaShape_Area"),
    "a warehouse of two profile tables": (warehouse_of_two, "catalog.json", "profiles.a, profiles.b"),
    "a warehouse without its files": (warehouse_without_files, "catalog.json", "none"),
    "a broken catalog": (lambda root: write_text(root / "P1" / "catalog.json", "{").parent, "catalog.json", "JSONDecodeError"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_source_is_named_with_what_was_expected_and_found(
    tmp_path: Path, read_plate: Reader, kind: str
) -> None:
    build, file, found = BROKEN[kind]
    with pytest.raises(MeasurementError) as failure:
        read_plate(build(tmp_path))
    text = str(failure.value)
    assert file in text
    assert "xpected" in text
    assert found in text
    assert any(word in text for word in ("xport", "rite", "opy", "ave it", "eep one", "move it away"))
