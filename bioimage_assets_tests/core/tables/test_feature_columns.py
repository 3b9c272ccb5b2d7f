"""Columns are sorted into features and places by a rule per source, and by what the dataset's settings say."""

from __future__ import annotations

import time
from decimal import Decimal

import pyarrow as pa
import pytest

from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.feature_columns import is_place, select_feature_columns
from bioimage_assets.core.tables.feature_gaps import (
    list_measured_text,
    list_unnamed_text,
    list_unused_numbers,
    list_unused_settings,
)

EMBEDDING = tuple(f"efficientnet_{i}" for i in range(8))
CELLPROFILER = ("Cells_AreaShape_Area", "Nuclei_Texture_Contrast_DNA_3_00_256")
PLACES = ("Nuclei_Location_Center_X", "Nuclei_Location_Center_Y")


def floats(*names: str, **others: pa.DataType) -> pa.Schema:
    return pa.schema([*((name, pa.float64()) for name in names), *others.items()])


def profiled(schema: pa.Schema, settings: DatasetSettings | None = None) -> tuple[str, ...]:
    return select_feature_columns(schema, settings).profiled


def test_places_alone_do_not_make_a_table_one_of_cellprofiler() -> None:
    found = select_feature_columns(floats("Metadata_Q", *PLACES, *EMBEDDING))
    assert found.profiled == EMBEDDING
    assert found.places == PLACES


@pytest.mark.parametrize(
    "place",
    ["Nuclei_Number_Object_Number", "Cells_AreaShape_BoundingBoxMaximum_X", "Cytoplasm_Parent_Cells",
     "Nuclei_Children_Cells_Count", "Primary_Target_cg_X_wv1", "Cells_TrackObjects_Label_50"],
)  # fmt: skip
def test_no_place_of_any_kind_hides_embeddings(place: str) -> None:
    assert profiled(floats(place, *EMBEDDING)) == EMBEDDING
    assert profiled(floats(*EMBEDDING, **{place: pa.int64()})) == EMBEDDING


def test_embeddings_beside_one_numeric_compartment_column_are_kept_with_it() -> None:
    assert profiled(floats("Nuclei_AreaShape_Area", *EMBEDDING)) == ("Nuclei_AreaShape_Area", *EMBEDDING)


@pytest.mark.parametrize(
    "names",
    [EMBEDDING, ("0", "1", "2", "3"), ("feature_001", "feature_002", "feature_010"), ("DeepProfiler_0",
     "DeepProfiler_1", "DeepProfiler_2"), ("cnn_12_0", "cnn_12_1", "cnn_12_2")],
)  # fmt: skip
def test_numbered_columns_are_embeddings_beside_cellprofiler(names: tuple[str, ...]) -> None:
    assert profiled(floats(*CELLPROFILER, *names)) == (*CELLPROFILER, *names)


@pytest.mark.parametrize(
    "names",
    [("qc_score", "focus", "weight"), ("score_1", "score_2"), ("bbox_0", "bbox_1", "bbox_2", "bbox_3"),
     ("centroid_0", "centroid_1", "centroid_2"), ("Metadata_v_0", "Metadata_v_1", "Metadata_v_2"),
     ("Image_Granularity_1", "Image_Granularity_2", "Image_Granularity_3"),
     ("Mito_AreaShape_Zernike_4_0", "Mito_AreaShape_Zernike_4_2", "Mito_AreaShape_Zernike_4_4")],
)  # fmt: skip
def test_what_stands_beside_cellprofiler_and_is_no_embedding_is_left_out(names: tuple[str, ...]) -> None:
    assert profiled(floats(*CELLPROFILER, *names)) == CELLPROFILER


def test_numbered_whole_numbers_are_no_embedding() -> None:
    counts = {f"count_{i}": pa.int64() for i in range(4)}
    assert profiled(floats(*CELLPROFILER, **counts)) == CELLPROFILER


def test_measures_under_any_name_are_features_of_a_table_without_any_rule() -> None:
    found = select_feature_columns(
        floats(
            "area",
            "mean_intensity",
            "x",
            "Y",
            "centroid-0",
            "cell_id",
            "dose_um",
            "time_h",
            "Location_Center_X",
        )
    )
    assert found.profiled == ("area", "mean_intensity")


@pytest.mark.parametrize("setting", ["compartments", "feature_compartments"])
def test_a_compartment_that_the_settings_list_is_profiled(setting: str) -> None:
    schema = floats(*CELLPROFILER, "Mito_AreaShape_Area", "Mito_Location_Center_X", "Mito_Own_Measure")
    assert profiled(schema) == CELLPROFILER
    settings = DatasetSettings(**{setting: ("Cells", "Mito")})
    found = select_feature_columns(schema, settings)
    assert found.profiled == (*CELLPROFILER, "Mito_AreaShape_Area", "Mito_Own_Measure")
    assert found.places == ("Mito_Location_Center_X",)


def test_own_compartments_are_known_by_their_categories_where_none_is_listed() -> None:
    schema = floats(
        "Soma_AreaShape_Area", "Filtered_Nucleus_Intensity_MeanIntensity_DNA", "Soma_Location_Center_X", "qc_score",
        Soma_Neighbors_NumberOfNeighbors_5=pa.int64(), Soma_Own_Measure=pa.int64(), Metadata_AreaShape_x=pa.int64(),
    )  # fmt: skip
    found = select_feature_columns(schema)
    assert found.profiled == (
        "Soma_AreaShape_Area", "Filtered_Nucleus_Intensity_MeanIntensity_DNA", "Soma_Neighbors_NumberOfNeighbors_5",
        "Soma_Own_Measure",
    )  # fmt: skip
    assert found.places == ("Soma_Location_Center_X",)
    assert profiled(schema, DatasetSettings(feature_compartments=("Soma",)))[1:] == (
        "Soma_Neighbors_NumberOfNeighbors_5",
        "Soma_Own_Measure",
    )


@pytest.mark.parametrize("name", ["Cells_AreaShape_BoundingBoxArea", "Nuclei_AreaShape_BoundingBoxVolume"])
def test_the_size_of_a_bounding_box_is_a_feature(name: str) -> None:
    assert not is_place(name)
    assert profiled(floats(name, "Cells_AreaShape_BoundingBoxMinimum_X")) == (name,)


def test_included_columns_are_features_and_excluded_ones_never() -> None:
    schema = floats(*CELLPROFILER, "qc_score", "qc_other", "Cells_Correlation_Costes_DNA_ER", *PLACES)
    settings = DatasetSettings(
        feature_include=("qc_*", "*_Center_X"), feature_exclude=("*_Costes_*", "qc_other", "Nuclei_T?xture_*")
    )
    found = select_feature_columns(schema, settings)
    assert found.profiled == ("Cells_AreaShape_Area", "qc_score", "Nuclei_Location_Center_X")
    assert found.places == ("Nuclei_Location_Center_Y",)


def test_excluding_all_of_cellprofiler_leaves_the_embeddings_and_nothing_else() -> None:
    settings = DatasetSettings(feature_exclude=("Cells_*", "Nuclei_*"))
    assert profiled(floats(*CELLPROFILER, *EMBEDDING, "qc_score"), settings) == EMBEDDING


def test_brackets_in_patterns_stand_for_themselves() -> None:
    schema = floats(*CELLPROFILER, "dye[1]", "dye1")
    assert profiled(schema, DatasetSettings(feature_include=("dye[1]",))) == (*CELLPROFILER, "dye[1]")


def test_aliases_of_keys_are_no_features() -> None:
    schema = floats("feature_0", "feature_1", "Barcode")
    assert profiled(schema, DatasetSettings(aliases={"plate_id": ("Barcode",)})) == ("feature_0", "feature_1")


@pytest.mark.parametrize(
    ("kind", "is_feature"),
    [(pa.int16(), True), (pa.float32(), True), (pa.bool_(), True), (pa.decimal128(12, 3), True), (pa.string(), False),
     (pa.dictionary(pa.int8(), pa.float64()), True), (pa.dictionary(pa.int8(), pa.string()), False),
     (pa.list_(pa.float64()), False), (pa.timestamp("s"), False)],
)  # fmt: skip
def test_numbers_of_every_arrow_type_are_features(kind: pa.DataType, is_feature: bool) -> None:
    found = profiled(pa.schema([("Cells_AreaShape_Area", pa.float64()), ("Cells_Other", kind)]))
    assert ("Cells_Other" in found) is is_feature


def test_decimals_are_embeddings_too() -> None:
    table = pa.table({f"emb_{i}": pa.array([Decimal("1.5")], pa.decimal128(8, 2)) for i in range(3)})
    assert profiled(table.schema) == ("emb_0", "emb_1", "emb_2")


def test_numbers_that_nobody_will_profile_are_listed() -> None:
    schema = floats(
        *CELLPROFILER, *PLACES, *EMBEDDING, "qc_score", "Metadata_Dose", "Mito_AreaShape_Area", "x"
    )
    assert list_unused_numbers(schema, DatasetSettings()) == ["qc_score", "Mito_AreaShape_Area"]
    assert list_unused_numbers(schema, DatasetSettings(feature_exclude=("qc_*", "Mito_*"))) == []


def test_text_under_the_name_of_a_feature_is_listed_and_other_text_is_not() -> None:
    text = {
        name: pa.string()
        for name in ("Cells_AreaShape_Area", "Cells_FileName_Mask", "Metadata_Well", "gene", "emb_2")
    }
    schema = floats("emb_0", "emb_1", "Nuclei_AreaShape_Area", **text)
    assert list_measured_text(schema, DatasetSettings()) == ["Cells_AreaShape_Area", "emb_2"]


def test_metadata_and_columns_of_the_image_are_never_included() -> None:
    schema = floats(*CELLPROFILER, "Metadata_Dose", "pixel_size_x_um", "Image_Quality")
    assert profiled(schema, DatasetSettings(feature_include=("*",))) == (*CELLPROFILER, "Image_Quality")


def test_settings_that_fit_no_column_are_listed_as_they_are_written() -> None:
    settings = DatasetSettings(
        feature_include=("efficentnet_*", "qc_*"),
        feature_exclude=("*_Costes_*",),
        feature_compartments=("Soma", "Cells"),
    )
    found = list_unused_settings(floats(*CELLPROFILER, "qc_score"), settings)
    assert found == ["include = efficentnet_*", "exclude = *_Costes_*", "compartments = Soma"]


def test_bytes_are_not_looked_at_for_numbers() -> None:
    schema = pa.schema([("thumbnail", pa.binary()), ("area", pa.string())])
    assert list_unnamed_text(schema, DatasetSettings()) == ["area"]


def test_ten_thousand_columns_are_sorted_in_little_time() -> None:
    names = [f"Cells_Texture_F{i}_DNA" for i in range(5_000)] + [f"emb_{i}" for i in range(5_000)]
    settings = DatasetSettings(feature_include=("own_*",), feature_exclude=("*_Costes_*",))
    start = time.perf_counter()
    assert profiled(floats(*names), settings) == tuple(names)
    assert time.perf_counter() - start < 2
