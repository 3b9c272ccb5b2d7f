"""What profiles are relative to, in words: the cells that set zero and unit, the method, and whether controls were centred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words, join_words
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.profiling.result_columns import NORMALIZED_TO
from bioimage_assets.core.settings.dataset import DatasetSettings

CONTROLS, PLATE, MIXED = "controls", "plate", "mixed"
_WORDS = {
    CONTROLS: "the control wells of their plate",
    PLATE: "all wells of their plate",
    MIXED: "controls on some plates, all wells on others",
}
_TO_PLATE = "normalised-to-plate"


def count_references(table: pa.Table) -> dict[str, int]:
    """Rows by what they are normalised to; empty where the table does not say."""
    if NORMALIZED_TO not in table.column_names:
        return {}
    return dict(Counter(str(value) for value in table[NORMALIZED_TO].to_pylist() if value is not None))


def find_reference(wells: pa.Table, findings: Iterable[Finding] = ()) -> str | None:
    """``controls``, ``plate`` or ``mixed`` of one plate's wells; None where neither table nor findings say it."""
    counts = count_references(wells)
    if counts:
        return next(iter(counts)) if len(counts) == 1 else MIXED
    return PLATE if any(finding.code == _TO_PLATE for finding in findings) else None


def build_reference_facts(reference: str | None, settings: DatasetSettings) -> list[tuple[str, object]]:
    """Headlines of a page: what profiles are relative to, and how."""
    facts: list[tuple[str, object]] = []
    if reference is not None:
        facts.append((f"normalised to ({settings.normalization_method})", reference))
    if reference != PLATE:
        facts.append(("controls centred", "yes" if settings.center_controls else "no"))
    return facts


def describe_reference(reference: str | None, settings: DatasetSettings) -> str:
    """What the numbers of a plate's well profiles mean, for the head of its profiles."""
    method = f"(pycytominer's {settings.normalization_method})"
    where = f"{settings.control_column} is {_join_or(settings.control_values)}"
    if reference == PLATE and settings.normalization_samples == "plate":
        return (
            f"Well profiles in deviations of all cells of this plate {method}, as [normalization] samples asks. Nothing is centred "
            "on controls."
        )
    if reference == PLATE:
        return (
            f"Well profiles in deviations of all cells of this plate {method}, because too few control wells ({where}) were "
            "found on it. Nothing is centred on controls."
        )
    if reference == MIXED:
        return f"Some well profiles are in deviations of the control wells, others of all cells of this plate {method}."
    of = f"the control wells ({where})" if reference == CONTROLS else "the reference cells"
    return f"Well profiles in deviations of {of} of this plate {method}. {_centring(settings)}"


def describe_references(plates: Sequence[str | None], settings: DatasetSettings) -> str:
    """The same for the plates of a dataset, given what each of them is normalised to."""
    counts = Counter(reference for reference in plates if reference is not None)
    method = f"(pycytominer's {settings.normalization_method})"
    if not counts:
        return f"Profiles are normalised plate by plate {method}. {_centring(settings)}"
    parts = [
        f"{count_words(counts[kind], 'plate')} to {words}" for kind, words in _WORDS.items() if counts[kind]
    ]
    text = f"Profiles are normalised plate by plate {method}: {join_words(parts)}."
    if counts[CONTROLS] or counts[MIXED]:
        text += f" {_centring(settings)}"
    if len(counts) > 1 or counts[MIXED]:
        text += (
            " Numbers that are relative to different cells cannot be compared as they are; wells of both kinds are "
            + ("combined, because mix_references = true." if settings.mix_references else "not combined.")
        )
    return text


def build_reference_table(wells: Sequence[pa.Table], consensus: pa.Table | None) -> ReportTable | None:
    """Wells and consensus profiles by what they are relative to; None where no table says it."""
    of_wells = sum((Counter(count_references(table)) for table in wells), Counter[str]())
    of_treatments = Counter({} if consensus is None else count_references(consensus))
    kinds = [*_WORDS, *sorted((of_wells.keys() | of_treatments.keys()) - _WORDS.keys())]
    rows = tuple(
        (kind, _WORDS.get(kind, ""), of_wells[kind], of_treatments[kind])
        for kind in kinds
        if of_wells[kind] or of_treatments[kind]
    )
    header = ("normalised to", "meaning", "well profiles", "consensus profiles")
    return ReportTable("What profiles are relative to", header, rows) if rows else None


def _join_or(values: Sequence[str]) -> str:
    """``a``, ``a or b``."""
    return " or ".join(values) or "(no value is declared)"


def _centring(settings: DatasetSettings) -> str:
    if settings.center_controls:
        return "Afterwards the median control well was moved to zero (center_controls = true)."
    return "Controls were not centred: the numbers are pycytominer's own (center_controls = false)."
