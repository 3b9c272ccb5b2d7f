"""plate_completeness: what is declared, stored and measured, compared well by well, with a verdict and reasons."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.completeness import PlateCompleteness, build_plate_completeness
from bioimage_assets.core.tables.completeness_counts import (
    CELL_SUMMARY,
    CHUNK_SUMMARY,
    count_linked,
    summarize_cells,
    summarize_chunks,
    summarize_image_table,
)
from bioimage_assets.core.tables.completeness_reasons import MAX_NAMES, list_names
from bioimage_assets.core.tables.schemas import CHUNK_INDEX, IMAGE_ASSETS, PLATE_COMPLETENESS
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_cellprofiler_folder

WELLS = ("A01", "A02")
SITES = ("0", "1")


def image(well: str | None, site: str | None, **values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "plate_key": "s/P1", "dataset_id": "s", "plate_id": "P1", "well_id": well, "site_id": site,
        "image_id": f"P1:{well}:{site}", "image_kind": "image", "format_family": "zarr", "storage_variant": "zarr-v2",
        "uri": "/P1.zarr", "axes": "cyx", "shape": [5, 100, 100], "dtype": "uint16", "level_count": 3,
        "fingerprint": "f", "scan_status": "ok",
    }  # fmt: skip
    return {**row, **values}


def images(*rows: dict[str, object]) -> pa.Table:
    listed = list(rows) or [image(well, site) for well in WELLS for site in SITES]
    return pa.Table.from_pylist(listed, schema=IMAGE_ASSETS)


DECLARED = DeclaredPlate(
    "P1", tuple(DeclaredWell(well, f"{well[0]}/{int(well[1:])}", SITES) for well in WELLS)
)


def cells(counts: dict[tuple[str | None, str | None], int]) -> pa.Table:
    rows = [{"well_id": well, "site_id": site, "cell_count": n} for (well, site), n in counts.items()]
    return pa.Table.from_pylist(rows, schema=CELL_SUMMARY)


ALL_CELLS = cells({(well, site): 10 for well in WELLS for site in SITES})


def build(
    table: pa.Table, declared: tuple[DeclaredPlate, ...] = (DECLARED,), **options: object
) -> PlateCompleteness:
    return build_plate_completeness(table, declared, plate_key="s/P1", dataset_id="s", **options)


def well_row(result: PlateCompleteness, well: str) -> dict[str, object]:
    return next(row for row in result.table.to_pylist() if row["well_id"] == well)


def test_a_whole_plate_is_complete_with_all_numbers() -> None:
    result = build(images(), cells=ALL_CELLS, promised=ALL_CELLS)
    assert result.table.schema.equals(PLATE_COMPLETENESS)
    assert (result.verdict, result.reasons, result.counts) == ("complete", (), {"complete": 2})
    row = well_row(result, "A02")
    names = (
        "fields_declared",
        "fields_found",
        "channels_found",
        "levels_found",
        "sites_measured",
        "cells_claimed",
        "cells_found",
    )
    assert [row[name] for name in names] == [2, 2, 5, 3, 2, 20, 20]


def test_a_declared_field_that_is_not_there_is_named() -> None:
    result = build(images(image("A01", "0"), image("A01", "1"), image("A02", "0")))
    assert result.verdict == "incomplete"
    assert well_row(result, "A02")["reasons"] == ["declared field 1 not found"]
    assert well_row(result, "A01")["verdict"] == "complete"
    assert result.reasons[1:] == ("A02: declared field 1 not found",)


def test_a_declared_well_without_any_field_is_missing() -> None:
    result = build(images(image("A01", "0"), image("A01", "1")))
    row = well_row(result, "A02")
    assert (row["verdict"], row["fields_found"], row["channels_found"]) == ("missing", 0, None)
    assert result.verdict == "missing"


def test_only_a_promised_number_of_fields_is_compared_by_number() -> None:
    declared = DeclaredPlate("P1", (DeclaredWell("A01", "A/1", (), 3),))
    result = build(images(image("A01", "0"), image("A01", "1")), (declared,))
    assert well_row(result, "A01")["reasons"] == ["2 of 3 declared fields found"]


def test_a_well_that_the_plate_does_not_list_is_undeclared() -> None:
    table = images(*[image(well, site) for well in (*WELLS, "H12") for site in SITES])
    result = build(table)
    assert well_row(result, "H12")["verdict"] == "undeclared"
    assert result.verdict == "undeclared"


def test_without_a_declaration_a_well_with_fewer_fields_than_most_is_incomplete() -> None:
    rows = [image(f"A{i:02d}", site) for i in range(1, 5) for site in SITES]
    result = build(images(*rows[:-1]), ())
    assert well_row(result, "A04")["reasons"] == ["1 field, most wells have 2"]
    assert result.counts == {"complete": 3, "incomplete": 1}


def test_a_field_with_fewer_channels_or_levels_is_incomplete() -> None:
    rows = [image(well, site) for well in WELLS for site in SITES]
    rows[0] |= {"shape": [4, 100, 100]}
    rows[2] |= {"level_count": 2}
    result = build(images(*rows))
    assert well_row(result, "A01")["reasons"] == ["1 field has only 4 of 5 channels"]
    assert well_row(result, "A02")["reasons"] == ["1 field has only 2 of 3 resolution levels"]


def test_a_missing_channel_file_of_a_field_counts_as_a_missing_channel() -> None:
    files = [
        {"path": f"c{c}.tif", "channel": f"w{c}", "role": "missing" if c == 2 else "image", "c": c}
        for c in range(5)
    ]
    rows = [image(well, site) for well in WELLS for site in SITES]
    rows[0] |= {"files": files}
    row = well_row(build(images(*rows)), "A01")
    assert row["channels_found"] == 4
    assert row["reasons"] == ["1 field has only 4 of 5 channels"]


def test_channels_that_the_plate_declares_are_expected_in_every_field() -> None:
    declared = DeclaredPlate("P1", DECLARED.wells, (), ("a", "b", "c", "d", "e", "f"))
    assert build(images(), (declared,)).counts == {"incomplete": 2}


def test_chunks_that_are_not_stored_are_counted() -> None:
    chunks = pa.table(
        {"image_id": ["P1:A01:0", "P1:A02:1"], "chunks_expected": [20, 20], "chunks_found": [20, 17]}
    )
    result = build(images(), chunks=chunks)
    assert well_row(result, "A02")["reasons"] == ["3 of 20 chunks are not stored"]
    assert (well_row(result, "A01")["chunks_expected"], well_row(result, "A01")["chunks_found"]) == (20, 20)


def test_chunks_that_were_not_observed_are_null_and_no_reason() -> None:
    chunks = pa.table(
        {"image_id": ["P1:A01:0"], "chunks_expected": [20], "chunks_found": pa.array([None], pa.int64())}
    )
    row = well_row(build(images(), chunks=chunks), "A01")
    assert (row["chunks_expected"], row["chunks_found"], row["verdict"]) == (20, None, "complete")


def test_cells_that_the_image_table_promised_are_missed() -> None:
    found = cells({("A01", "0"): 10, ("A01", "1"): 10, ("A02", "0"): 10, ("A02", "1"): 4})
    result = build(images(), cells=found, promised=ALL_CELLS)
    assert well_row(result, "A02")["reasons"] == ["14 cells found, the image table promises 20"]


def test_a_well_without_measurements_is_unmeasured_only_where_the_plate_has_some() -> None:
    some = cells({("A01", "0"): 1, ("A01", "1"): 1})
    assert well_row(build(images(), cells=some), "A02")["verdict"] == "unmeasured"
    assert build(images()).verdict == "complete"


def test_a_measured_site_without_an_image_and_the_other_way_round_are_named() -> None:
    one_based = cells({(well, site): 10 for well in WELLS for site in ("1", "2")})
    result = build(images(), cells=one_based)
    assert well_row(result, "A01")["reasons"] == [
        "measured site 2 has no image",
        "site 0 has images but was not measured",
    ]
    assert build(images(), cells=one_based, profile_site_offset=1).verdict == "complete"


def test_a_measured_well_without_images_is_missing() -> None:
    result = build(images(), cells=cells({("A01", "0"): 1, ("A01", "1"): 1, ("B07", "0"): 5}))
    assert well_row(result, "B07")["verdict"] == "missing"
    assert well_row(result, "B07")["reasons"] == [
        "measured, but no field is on disk",
        "the plate's metadata do not list this well",
    ]


def test_an_image_without_cells_is_not_missing_its_measurements() -> None:
    promised = cells(
        {(well, site): 0 if (well, site) == ("A02", "1") else 10 for well in WELLS for site in SITES}
    )
    found = cells(dict.fromkeys((("A01", "0"), ("A01", "1"), ("A02", "0")), 10))
    result = build(images(), cells=found, promised=promised)
    assert (result.verdict, well_row(result, "A02")["cells_found"]) == ("complete", 10)


def test_labels_are_not_fields_and_images_outside_of_plates_have_no_well() -> None:
    label = image("A01", "0", image_kind="label", image_id="P1:A01:0:labels/x")
    lone = image(None, None, image_id="lone")
    assert (
        well_row(build(images(image("A01", "0"), image("A01", "1"), label, lone), ()), "A01")["fields_found"]
        == 2
    )
    alone = build(images(lone), ())
    assert (alone.verdict, alone.table.num_rows) == ("no-plate", 0)


def test_wells_stand_in_plate_order_up_to_1536() -> None:
    names = ("B01", "A02", "AF48", "A01", "AA01", "Z48")
    result = build(images(*[image(name, "0") for name in names]), ())
    assert result.table["well_id"].to_pylist() == ["A01", "A02", "B01", "Z48", "AA01", "AF48"]


def chunk(image_id: str, kind: str, is_present: bool | None, strips: int | None = None) -> dict[str, object]:
    return {
        "plate_key": "s/P1", "dataset_id": "s", "image_id": image_id, "level": 0, "kind": kind, "chunk_key": "0",
        "is_present": is_present, "strip_count": strips,
    }  # fmt: skip


def test_a_chunk_index_is_counted_per_image_batch_by_batch() -> None:
    rows = [chunk("a", "object", i != 3) for i in range(6)] + [
        chunk("b", "strip", True, 40),
        chunk("b", "strip", False, 2),
    ]
    rows += [
        chunk("c", "object", True),
        *[chunk("c", "inner", i > 1) for i in range(4)],
        chunk("d", "tile", None),
    ]
    table = pa.Table.from_pylist(rows, schema=CHUNK_INDEX)
    reader = pa.RecordBatchReader.from_batches(CHUNK_INDEX, table.to_batches(max_chunksize=3))
    summary = summarize_chunks(reader)
    assert summary.to_pylist() == [
        {"image_id": "a", "chunks_expected": 6, "chunks_found": 5},
        {"image_id": "b", "chunks_expected": 42, "chunks_found": 40},
        {"image_id": "c", "chunks_expected": 1, "chunks_found": 1},
        {"image_id": "d", "chunks_expected": 1, "chunks_found": None},
    ]
    assert summarize_chunks(CHUNK_INDEX.empty_table()).num_rows == 0


def test_measured_plates_are_counted_from_the_tables_that_reading_gives(tmp_path: Path) -> None:
    spec = PlateSpec(cells={1: 3, 2: 0, 3: 2}, wells=("A1", "A2", "A1"))
    plate = read_measurements(
        [str(write_cellprofiler_folder(tmp_path / "P1", spec))],
        plate_key="s/P1", dataset_id="s", plate_name="P1", settings=DatasetSettings(),
    )  # fmt: skip
    assert plate.image_table is not None
    promised = summarize_image_table(plate.image_table).to_pylist()
    found = summarize_cells(plate.reader).to_pylist()
    assert promised == [
        {"well_id": "A01", "site_id": "1", "cell_count": 3},
        {"well_id": "A01", "site_id": "3", "cell_count": 2},
        {"well_id": "A02", "site_id": "2", "cell_count": 0},
    ]
    assert found == promised[:2]


def test_cells_without_well_columns_are_counted_without_a_well() -> None:
    assert summarize_cells(pa.table({"x": [1, 2]})).to_pylist() == [
        {"well_id": None, "site_id": None, "cell_count": 2}
    ]


PLACES = st.tuples(st.sampled_from(["A01", "A02", "B03", None]), st.sampled_from(["0", "1", "M10", None]))


@given(
    on_disk=st.lists(PLACES, max_size=8, unique=True),
    declared=st.dictionaries(
        st.sampled_from(["A01", "A02", "C04"]), st.lists(st.sampled_from("01"), unique=True), max_size=3
    ),
    found=st.dictionaries(PLACES, st.integers(0, 9), max_size=6),
    promised=st.one_of(st.none(), st.dictionaries(PLACES, st.integers(0, 9), max_size=6)),
)
def test_every_well_of_any_view_has_one_row_and_every_bad_one_a_reason(
    on_disk: list[tuple[str | None, str | None]],
    declared: dict[str, list[str]],
    found: dict[tuple[str | None, str | None], int],
    promised: dict[tuple[str | None, str | None], int] | None,
) -> None:
    plates = (
        (DeclaredPlate("P1", tuple(DeclaredWell(w, w, tuple(s)) for w, s in declared.items())),)
        if declared
        else ()
    )
    table = pa.Table.from_pylist([image(*place) for place in on_disk], schema=IMAGE_ASSETS)
    result = build(table, plates, cells=cells(found), promised=None if promised is None else cells(promised))
    wells = {w for w, _ in on_disk} | set(declared) | {w for w, _ in found} | {w for w, _ in promised or {}}
    assert set(result.table["well_id"].to_pylist()) == wells - {None}
    assert sum(result.counts.values()) == result.table.num_rows
    for row in result.table.to_pylist():
        assert bool(row["reasons"]) == (row["verdict"] != "complete")
    assert sum(row["cells_found"] or 0 for row in result.table.to_pylist()) == sum(
        n for (well, _), n in found.items() if well is not None
    )


@pytest.mark.parametrize("count_column", ["Image_Count_Cells", None])
def test_an_image_table_is_summed_by_the_chosen_or_first_known_count(count_column: str | None) -> None:
    table = pa.table(
        {
            "Metadata_Well": ["A1", "A01"],
            "Metadata_Site": ["01", "1"],
            "Image_Count_Cells": [3, 4],
            "Image_Count_Nuclei": [9, 9],
        }
    )
    summary = summarize_image_table(table, count_column=count_column)
    assert summary.to_pylist() == [{"well_id": "A01", "site_id": "1", "cell_count": 7}]


def test_a_plate_without_images_by_design_has_its_measured_wells_and_lacks_nothing():
    found = build(
        images().slice(0, 0),
        (),
        cells=ALL_CELLS,
        promised=ALL_CELLS,
        is_imageless=True,
        measured_plate_id="P1",
    )
    assert set(found.table["plate_id"].to_pylist()) == {"P1"}
    assert (found.verdict, found.counts) == ("measured", {"measured": 2})
    assert found.table["fields_found"].to_pylist() == [0, 0]
    for name in ("channels_declared", "levels_declared", "channels_found", "levels_found"):
        assert found.table[name].to_pylist() == [None, None], name
    assert found.table["sites_measured"].to_pylist() == [2, 2]
    assert found.reasons == ()


def test_cells_that_the_image_table_promises_are_missed_on_a_plate_without_images_too():
    fewer = cells({("A01", "0"): 10, ("A01", "1"): 9, ("A02", "0"): 10, ("A02", "1"): 10})
    found = build(images().slice(0, 0), (), cells=fewer, promised=ALL_CELLS, is_imageless=True)
    assert found.counts == {"incomplete": 1, "measured": 1}
    assert "19 cells found, the image table promises 20" in found.reasons[0]


def test_a_plate_that_should_have_images_is_missing_them():
    found = build(images().slice(0, 0), (), cells=ALL_CELLS)
    assert found.counts == {"missing": 2}


def test_files_without_channel_numbers_are_told_apart_by_their_channel_names() -> None:
    files = [
        {"path": f"{name}.tif", "channel": name, "role": role, "c": None}
        for name, role in (("w1", "image"), ("w2", "missing"), ("w3", "missing"), ("w1", "missing"))
    ]
    rows = [image(well, site) for well in WELLS for site in SITES]
    rows[0] |= {"files": files}
    row = well_row(build(images(*rows)), "A01")
    assert row["channels_found"] == 3  # of w1 one file is there


def test_a_listed_image_that_nobody_opened_has_as_many_channels_as_its_files_name() -> None:
    listed = [{"path": f"{c}.tif", "channel": f"w{c}", "role": "image", "c": c} for c in (0, 1, 1, 2)]
    rows = [
        image("A01", "0", axes=None, shape=None, files=listed),
        image("A02", "0", axes=None, shape=None, files=None),
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([f.with_nullable(True) for f in IMAGE_ASSETS]))
    result = build(table, ())
    assert [well_row(result, well)["channels_found"] for well in WELLS] == [3, 1]
    assert well_row(result, "A02")["reasons"] == ["1 field has only 1 of 3 channels"]


def test_an_image_table_that_counts_no_cells_promises_none() -> None:
    table = pa.table({"Metadata_Well": ["A01", "A02"], "Metadata_Site": ["0", "0"]})
    assert [row["cell_count"] for row in summarize_image_table(table).to_pylist()] == [0, 0]


def test_of_many_names_the_first_are_shown_and_the_others_counted() -> None:
    names = [f"n{i}" for i in range(MAX_NAMES + 3)]
    assert list_names(names) == ", ".join(names[:MAX_NAMES]) + " and 3 more"
    assert list_names(names[:MAX_NAMES]) == ", ".join(names[:MAX_NAMES])
    assert list_names([]) == ""


def test_summaries_have_the_declared_columns_and_nulls_only_where_nothing_was_observed() -> None:
    chunks = pa.table(
        {
            "image_id": ["a", "a", "b"],
            "kind": ["object"] * 3,
            "strip_count": pa.array([None, 3, None], pa.int32()),
            "is_present": pa.array([True, False, None]),
        }
    )
    found = summarize_chunks(chunks)
    assert found.schema.equals(CHUNK_SUMMARY)
    assert [field.nullable for field in CHUNK_SUMMARY] == [False, False, True]
    assert [field.nullable for field in CELL_SUMMARY] == [True, True, False]
    assert found.to_pylist() == [
        {"image_id": "a", "chunks_expected": 4, "chunks_found": 1},
        {"image_id": "b", "chunks_expected": 1, "chunks_found": None},
    ]


def joined(linked: dict[str, list[bool]]) -> pa.Table:
    rows = [
        {"Metadata_Well": well, "image_id": f"P1:{well}" if is_linked else None}
        for well, flags in linked.items()
        for is_linked in flags
    ]
    schema = pa.schema([("Metadata_Well", pa.string()), ("image_id", pa.string())])
    return pa.Table.from_pylist(rows, schema=schema)


def test_cells_that_are_linked_to_no_image_make_their_well_incomplete() -> None:
    linked = count_linked(joined({"a1": [True] * 20, "A2": [False] * 17 + [True] * 3}))
    assert linked == {"A01": 20, "A02": 3}
    result = build(images(), cells=ALL_CELLS, promised=ALL_CELLS, linked=linked)
    assert well_row(result, "A01")["verdict"] == "complete"
    row = well_row(result, "A02")
    assert (row["verdict"], row["reasons"]) == (
        "incomplete",
        ["3 of 20 measured cells are linked to an image"],
    )


def test_wells_of_a_plate_none_of_whose_cells_is_linked_are_incomplete_and_imageless_ones_measured() -> None:
    none = count_linked(joined({well: [False] * 20 for well in WELLS}))
    assert build(images(), cells=ALL_CELLS, linked=none).counts == {"incomplete": 2}
    alone = build(IMAGE_ASSETS.empty_table(), (), cells=ALL_CELLS, linked=none, is_imageless=True)
    assert alone.counts == {"measured": 2}


def test_a_plate_without_measurements_says_so_and_its_wells_stay_complete() -> None:
    result = build(images())
    assert (result.verdict, result.reasons) == ("complete", ("no measurements of this plate are known",))


def test_joined_cells_without_a_well_column_are_linked_nowhere() -> None:
    assert count_linked(pa.table({"image_id": ["P1:A01"]})) == {}
