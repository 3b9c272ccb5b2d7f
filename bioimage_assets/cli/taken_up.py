"""What `materialize --failed` takes up: said before the work begins, and in JSON after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bioimage_assets.cli.output import print_progress, show_text
from bioimage_assets.core.error_codes import add_codes, split_code
from bioimage_assets.core.phrases import count_words

if TYPE_CHECKING:
    import dagster as dg

    from bioimage_assets.failed_plates import FailedPartition
    from bioimage_assets.headless_runs import PlateOutcome
    from bioimage_assets.resources.project import ProjectResource

SHOWN = 50


@dataclass(frozen=True)
class TakenUp:
    """What failed last or was left undone; ``gone`` are plates of it that are in no watched root any more."""

    plates: Sequence[FailedPartition] = ()
    rollups: Sequence[FailedPartition] = ()
    gone: Sequence[FailedPartition] = ()

    @property
    def plate_keys(self) -> list[str]:
        """Plates that can be built."""
        return [failed.partition for failed in self.plates]

    @property
    def others(self) -> list[str]:
        """Datasets and campaigns that failed themselves."""
        return [failed.partition for failed in self.rollups]

    def list_gone(self) -> list[PlateOutcome]:
        """Plates that stay failed, and why nothing can be done for them here."""
        from bioimage_assets.headless_runs import PlateOutcome

        return [PlateOutcome(failed.partition, "failed", message=_say_gone(failed)) for failed in self.gone]

    def build_json(self) -> list[dict[str, str]]:
        """Partition, step and reason of each."""
        return [asdict(failed) for failed in (*self.plates, *self.rollups, *self.gone)]


def _say_gone(failed: FailedPartition) -> str:
    why, code = split_code(failed.why)
    text = (
        f"{failed.step}: {why.rstrip('.')}. It is in no watched root any more: bring it back, or forget it with "
        f"'bioimage-assets partitions remove {failed.partition}'."
    )
    return add_codes(text, code)


def take_up(instance: dg.DagsterInstance, project: ProjectResource) -> TakenUp:
    """Find out what failed last, and say it."""
    from bioimage_assets.core.model.identity import dataset_of, dimension_of
    from bioimage_assets.failed_plates import find_failed

    found = find_failed(instance, project)
    sources, _ = project.discover()
    here = {source.plate_key for source in sources}
    others = {*map(dataset_of, here), *project.campaigns().campaigns}
    plates = [failed for failed in found if dimension_of(failed.partition) == "plate"]
    taken = TakenUp(
        [failed for failed in plates if failed.partition in here],
        [failed for failed in found if failed.partition in others],
        [failed for failed in plates if failed.partition not in here],
    )
    print_progress(
        f"Takes up {count_words(len(taken.plates), 'plate')} and {count_words(len(taken.rollups), 'dataset or campaign', 'datasets and campaigns')} that failed last or were left undone."
        if taken.plates or taken.rollups
        else "Nothing failed last, and nothing was left undone."
    )
    for failed in (*taken.plates, *taken.rollups)[:SHOWN]:
        print_progress(show_text(f"  {failed.partition}: {failed.step}: {failed.why}"))
    return taken
