"""Words of a platemap that other tools take for "no value" are values: genotypes, genes, compounds, controls."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.discovery.dataset_template import write_dataset_template
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.dataset import build_consensus, build_selected_features
from bioimage_assets.core.profiling.platemap import PlateMap, read_platemap
from bioimage_assets.core.profiling.pycytominer import build_well_profiles
from bioimage_assets.core.profiling.replicates import measure_replicates
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import FEATURES, WellPlan, make_cells

GENOTYPES = DatasetSettings(
    control_column="Metadata_genotype", control_values=("Null",), treatment_columns=("Metadata_genotype",)
)


def write_map(folder: Path, text: str, *, external: str | None = None) -> None:
    (folder / "platemaps/platemap").mkdir(parents=True, exist_ok=True)
    (folder / "platemaps/barcode_platemap.csv").write_text(
        "Assay_Plate_Barcode,Plate_Map_Name\nP1,layout\nNull,layout\nNA,layout\n"
    )
    (folder / "platemaps/platemap/layout.txt").write_text(text, encoding="utf-8")
    if external is not None:
        (folder / "platemaps/external_metadata").mkdir(exist_ok=True)
        (folder / "platemaps/external_metadata/genes.tsv").write_text(external)


def read(folder: Path, settings: DatasetSettings | None = None, plate: str = "P1") -> PlateMap:
    platemap = read_platemap(folder, plate, settings or DatasetSettings())
    assert platemap is not None
    return platemap


def codes(platemap: PlateMap) -> list[str]:
    return [finding.code for finding in platemap.findings]


def write_genotypes(folder: Path) -> list[WellPlan]:
    """A plate of two genotypes, half of the wells ``Null``, as the published NF1 plates have them."""
    plans = [
        WellPlan(f"{row}{column:02d}", "Null" if row in "AB" else "WT", shift=0.0 if row in "AB" else 2.0)
        for row in "ABCD"
        for column in range(1, 7)
    ]
    rows = "".join(f"{plan.well}\t{plan.compound}\n" for plan in plans)
    write_map(folder, f"well_position\tgenotype\n{rows}")
    return plans


def test_a_genotype_null_is_a_genotype_and_the_control(tmp_path: Path) -> None:
    plans = write_genotypes(tmp_path)
    platemap = read(tmp_path, GENOTYPES)
    written = pd.read_csv(
        tmp_path / "platemaps/platemap/layout.txt", sep="\t", dtype=str, keep_default_na=False
    )
    assert platemap.table["Metadata_genotype"].to_pylist() == written["genotype"].tolist()
    assert codes(platemap) == []  # the settings name the word: there is nothing to ask
    table, report = build_well_profiles(make_cells(plans), None, platemap, GENOTYPES)
    assert (report.reference, report.control_well_count) == ("controls", 12)
    consensus, found = build_consensus(table, GENOTYPES)
    assert (found.wells_without_treatment, found.treatment_count, found.control_profile_count) == (0, 1, 12)
    assert {row["Metadata_genotype"] for row in consensus.to_pylist()} == {"Null", "WT"}
    measured = measure_replicates(table, GENOTYPES, null_size=200)
    assert measured.control_well_count == 12
    assert [row.treatment for row in measured.treatments] == ["WT"]


def test_the_word_survives_in_stored_profiles_whatever_reads_them(tmp_path: Path) -> None:
    plans = write_genotypes(tmp_path)
    table, _ = build_well_profiles(make_cells(plans), None, read(tmp_path, GENOTYPES), GENOTYPES)
    path = tmp_path / "profiles.parquet"
    pq.write_table(table, path)
    wanted = [plan.compound for plan in plans]
    assert pd.read_parquet(path)["Metadata_genotype"].tolist() == wanted
    rows = duckdb.sql(f"SELECT Metadata_genotype FROM '{path}' ORDER BY well_id").fetchall()
    assert [row[0] for row in rows] == wanted


def test_a_declared_word_is_missing_everywhere(tmp_path: Path) -> None:
    write_map(
        tmp_path,
        "well_position\tgene\tdose_um\nA1\tNA\t1\nA2\tNaN\tNA\nA3\tTP53\t\n",
        external="gene\tpathway\nTP53\tNA\nNaN\tx\n",
    )
    settings = DatasetSettings(missing_words=("NA",))
    assert read(tmp_path, settings).table.to_pydict() == {
        "Metadata_Well": ["A01", "A02", "A03"],
        "Metadata_gene": [None, "NaN", "TP53"],
        "Metadata_dose_um": [1.0, None, None],
        "Metadata_pathway": [None, "x", None],
    }


def test_words_that_may_mean_no_value_are_named_with_the_line_to_write(tmp_path: Path) -> None:
    write_map(tmp_path, "well_position\tgene\tnote\nA1\tNA\tNA\nA2\tNA\tx\nA3\tTP53\tnone\n")
    (finding,) = read(tmp_path).findings
    assert (finding.code, finding.severity) == ("platemap-word-kept", "info")
    assert "'NA' in Metadata_gene (2 wells), Metadata_note (1 well)" in finding.message
    assert '[platemaps] missing = ["NA", "none"]' in finding.message


@pytest.mark.parametrize("plate", ["Null", "NA"])
def test_a_plate_may_be_called_like_a_missing_value(tmp_path: Path, plate: str) -> None:
    write_map(tmp_path, "well_position\tgene\nA1\tTP53\n")
    assert read(tmp_path, plate=plate).wells == ("A01",)


def test_external_metadata_of_a_word_finds_its_wells(tmp_path: Path) -> None:
    write_map(
        tmp_path,
        "well_position\tgene\nA1\tNull\nA2\t\nA3\tNone\n",
        external="gene\tkind\nNone\tb\nNull\ta\n",
    )
    assert read(tmp_path).table["Metadata_kind"].to_pylist() == ["a", None, "b"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    write_map(tmp_path, "well_position\tgene\tMetadata_gene\nA1\tx\ty\n")
    with pytest.raises(ProfilingError, match=r"layout\.txt has two columns that become Metadata_gene"):
        read(tmp_path)


def test_a_column_without_name_and_values_is_nothing(tmp_path: Path) -> None:
    write_map(tmp_path, "well_position\tgene\t\t\nA1\tx\t\t\n")
    assert read(tmp_path).table.column_names == ["Metadata_Well", "Metadata_gene"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.5", 0.5), ("0,5", 0.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1E-3", 0.001), ("-2", -2.0), ("007", 7.0),
        ("+1", 1.0), ("NA", None), ("n/a", None), ("NaN", None), ("null", None), ("None", None), ("?", None), ("", None),
    ],
)  # fmt: skip
def test_a_quantity_is_a_number_or_missing(tmp_path: Path, text: str, number: float | None) -> None:
    write_map(tmp_path, f"well_position\tdose_um\nA1\t{text}\nA2\t1\n")
    platemap = read(tmp_path)
    assert platemap.table["Metadata_dose_um"].to_pylist() == [number, 1.0]
    assert platemap.table.column_names == ["Metadata_Well", "Metadata_dose_um"]
    assert codes(platemap) == []
    if "," not in text:
        (read_by_pandas,) = pd.to_numeric(pd.Series([text]), errors="coerce")
        np.testing.assert_equal(read_by_pandas, np.nan if number is None else number)


@pytest.mark.parametrize("word", ["high", "1_000", "inf", "10 uM", "<0.1", "1.2.3", "2024-01-31", "TRUE"])
def test_a_word_among_numbers_keeps_the_column_a_number_and_stands_beside_it(
    tmp_path: Path, word: str
) -> None:
    write_map(tmp_path, f"well_position\tdose_um\nA1\t{word}\nA2\t0.5\nA3\t\n")
    platemap = read(tmp_path)
    table = platemap.table
    assert table.schema.field("Metadata_dose_um").type == pa.float64()
    assert table["Metadata_dose_um"].to_pylist() == [None, 0.5, None]
    assert table["Metadata_dose_um_as_written"].to_pylist() == [word, None, None]
    (finding,) = platemap.findings
    assert (finding.code, finding.severity) == ("quantity-not-a-number", "warning")
    for part in ("'Metadata_dose_um'", "'P1'", repr(word), f'missing = ["{word}"]'):
        assert part in finding.message


def test_treatments_that_only_a_word_tells_apart_stay_apart(tmp_path: Path) -> None:
    settings = DatasetSettings(treatment_columns=("Metadata_compound", "Metadata_dose_um"))
    wells = [f"A{column:02d}" for column in range(1, 13)]
    doses = ["high"] * 3 + ["low"] * 3 + ["0.5"] * 3 + [""] * 3
    rows = "".join(f"{well}\tdrug\t{dose}\n" for well, dose in zip(wells, doses, strict=True))
    write_map(tmp_path, f"well_position\tCompound\tDose_uM\n{rows}")
    table, _ = build_well_profiles(
        make_cells([WellPlan(well) for well in wells]), None, read(tmp_path, settings), settings
    )
    consensus, _ = build_consensus(table, settings)
    found = {
        (row["Metadata_dose_um"], row["Metadata_dose_um_as_written"]): row["Metadata_Replicate_Count"]
        for row in consensus.to_pylist()
    }
    assert found == {(None, "high"): 3, (None, "low"): 3, (0.5, None): 3, (None, None): 3}
    treatments = measure_replicates(table, settings, null_size=100).treatments
    assert {row.treatment for row in treatments} == {"drug high", "drug low", "drug 0.5", "drug"}
    assert {row.replicate_count for row in treatments} == {3}


def test_a_quantity_of_words_alone_is_text_and_that_is_said(tmp_path: Path) -> None:
    write_map(tmp_path, "well_position\tdosage_form\nA1\ttablet\nA2\tpowder\n")
    platemap = read(tmp_path)
    assert platemap.table["Metadata_dosage_form"].to_pylist() == ["tablet", "powder"]
    assert codes(platemap) == ["quantity-is-text"]


def test_a_comma_that_may_mean_thousands_is_pointed_at(tmp_path: Path) -> None:
    write_map(tmp_path, "well_position\tdose_nm\nA1\t1,000\nA2\t500\n")
    platemap = read(tmp_path)
    assert platemap.table["Metadata_dose_nm"].to_pylist() == [1.0, 500.0]
    assert codes(platemap) == ["quantity-comma"]
    write_map(tmp_path, "well_position\tdose_nm\nA1\t1,000\nA2\t0,5\n")
    assert codes(read(tmp_path)) == []


def test_controls_may_be_marked_by_a_number(tmp_path: Path) -> None:
    plans = [WellPlan(f"A{column:02d}") for column in range(1, 13)]
    rows = "".join(f"{plan.well}\t{0 if index < 6 else 1}\n" for index, plan in enumerate(plans))
    write_map(tmp_path, f"well_position\tdose_um\n{rows}")
    for value in ("0", "0.0"):
        settings = DatasetSettings(control_column="Metadata_dose_um", control_values=(value,))
        _, report = build_well_profiles(make_cells(plans), None, read(tmp_path, settings), settings)
        assert report.control_well_count == 6


def test_plates_whose_platemaps_differ_in_type_still_make_one_consensus(tmp_path: Path) -> None:
    settings = DatasetSettings(treatment_columns=("Metadata_compound", "Metadata_dose_um"))
    plans = [WellPlan(f"A{column:02d}") for column in range(1, 13)]
    tables = []
    for plate, dose in (("P1", "0.5"), ("P2", "high")):
        rows = "".join(f"{plan.well}\tdrug\t{dose}\n" for plan in plans)
        write_map(tmp_path, f"well_position\tcompound\tdose_um\n{rows}")
        cells = make_cells(plans, plate=plate)
        tables.append(build_well_profiles(cells, None, read(tmp_path, settings), settings)[0])
    selected, report = build_selected_features(tables, settings)
    assert selected["Metadata_dose_um"].unique().to_pylist() == ["0.5", "high"]
    assert "column-of-two-types" in [finding.code for finding in report.findings]
    assert build_consensus(selected, settings)[0].num_rows == 2
    assert set(FEATURES) >= set(report.selected)


def test_a_template_names_words_that_may_mean_no_value_and_sets_nothing(tmp_path: Path) -> None:
    write_map(tmp_path, 'well_position\tgene\tnote\nA1\tNA\t"two\nlines"\nA2\tTP53\tNull\n')
    text = write_dataset_template(str(tmp_path))
    assert '# missing = ["NA", "Null"]' in text
    assert read_dataset_settings(str(tmp_path)).missing_words == ()
    uncommented = text.replace('# missing = ["NA", "Null"]', 'missing = ["NA", "Null"]')
    (tmp_path / "dataset.toml").write_text(uncommented)
    settings = read_dataset_settings(str(tmp_path))
    assert read(tmp_path, settings).table["Metadata_gene"].to_pylist() == [None, "TP53"]
