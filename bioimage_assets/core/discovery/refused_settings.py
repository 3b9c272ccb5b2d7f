"""Plates in; a finding for each of their datasets whose ``dataset.toml`` cannot be used, out: said once, before a plate is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from bioimage_assets.core.discovery.plates_to_take import Readiness
from bioimage_assets.core.errors import SettingsError, StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.dataset import DatasetSettings

REFUSED_FILE = "dataset-file-refused"


def find_refused_settings(
    sources: Iterable[PlateSource], read_settings: Callable[[str], DatasetSettings]
) -> dict[str, Finding]:
    """Findings by dataset; the settings of each dataset are read once, by its URI."""
    plates = Counter((dataset_of(source.plate_key), source.dataset_uri) for source in sources)
    refused: dict[str, Finding] = {}
    for (dataset, uri), count in sorted(plates.items()):
        if reason := _find_reason(read_settings, uri):
            text = (
                f"{reason} {count_words(count, 'plate')} of {dataset!r} cannot be built until it is mended."
            )
            refused.setdefault(dataset, Finding(REFUSED_FILE, "error", dataset, text, uri))
    return refused


def hold_refused(
    judge: Callable[[PlateSource, bool], Readiness], read_settings: Callable[[str], DatasetSettings]
) -> Callable[[PlateSource, bool], Readiness]:
    """Hold plates back, too, whose ``dataset.toml`` cannot be used; each file is read once, and only for plates that are whole."""
    reasons: dict[str, str | None] = {}

    def judge_with_settings(source: PlateSource, is_quiet: bool) -> Readiness:
        ready = judge(source, is_quiet)
        if ready.gap is not None or not (is_quiet or ready.is_marked):
            return ready
        uri = source.dataset_uri
        if uri not in reasons:
            reasons[uri] = _find_reason(read_settings, uri)
        return Readiness(ready.is_marked, reasons[uri], is_refused=reasons[uri] is not None)

    return judge_with_settings


def _find_reason(read_settings: Callable[[str], DatasetSettings], uri: str) -> str | None:
    """Why the settings of a dataset cannot be used: a wrong key or value, no permission, a link elsewhere; None where they can."""
    try:
        read_settings(uri)
    except (SettingsError, StoreError) as error:
        return str(error)
    return None
