"""Join the profiles of a plate to its images: rows in = rows out, order and payloads kept.

Source of truth: DESIGN.md section 5. Linking reads only the narrow key columns; wide, nested and payload
columns go through once, as the Arrow batches they were read in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import ContractError, UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.aliases import KEY_NAMES, AliasMap, resolve_profile_columns
from bioimage_assets.core.joins.build_report import build_join_report
from bioimage_assets.core.joins.decision import (
    AS_WRITTEN,
    LinkDecision,
    LinkProof,
    WeighLinks,
    decide_links,
)
from bioimage_assets.core.joins.find_correction import count_file_votes, find_correction
from bioimage_assets.core.joins.image_digests import hash_image_files
from bioimage_assets.core.joins.image_index import ImageIndex, read_image_keys
from bioimage_assets.core.joins.join_rules import DEFAULT_JOIN_KEYS
from bioimage_assets.core.joins.joined_columns import (
    OutputPlan,
    build_output,
    default_image_columns,
    plan_output,
)
from bioimage_assets.core.joins.keys import plan_key_columns
from bioimage_assets.core.joins.linked_rows import LinkedRows
from bioimage_assets.core.joins.matcher import Matcher, MatchOptions
from bioimage_assets.core.joins.report import JoinReport
from bioimage_assets.core.joins.sources import ProfileSource, open_profiles
from bioimage_assets.core.joins.stream import write_parquet_stream
from bioimage_assets.core.settings.dataset import DatasetSettings

JoinHow = Literal["left", "inner"]


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """How to join.

    Parameters
    ----------
    how
        ``left`` keeps every profile row; ``inner`` drops rows without image and the report says how many.
    plate_key
        Partition that all rows belong to; images of other partitions are left out.
    dataset_id
        Dataset of rows that name none; with it ``Metadata_Source`` never stands for the dataset.
    alias_map
        Further column names per key, tried before the built-in ones.
    site_offset, path_rewrites, match_md5, ignore_profile_plate
        As in ``DatasetSettings``. A ``site_offset`` that is given, 0 too, is not questioned.
    join_keys
        The default tries the join rules in order; any other canonical keys are matched exactly, all of them.
    image_columns
        Image columns of the result; None for the standard ones and any that the project does not know.
    storage_options
        Of the object store that the profiles lie in, and the image files whose MD5 is asked for.
    is_imageless
        That there are no images is by design.
    other_plates
        Plates that are there beside the images' own: rows that name one of them are its rows, whatever their positions are.
    weigh_links
        Looks at the pixels behind the links; without it a correction of positions needs image files or ids as proof.
    preview
        The same profiles where they can be read again, of profiles that come as a stream: how their positions are read is
        decided on it before the first row is given.
    """

    how: JoinHow = "left"
    plate_key: str | None = None
    dataset_id: str | None = None
    alias_map: AliasMap = field(default_factory=dict)
    site_offset: int | None = None
    path_rewrites: tuple[tuple[str, str], ...] = ()
    match_md5: bool = False
    ignore_profile_plate: bool = False
    join_keys: tuple[str, ...] = DEFAULT_JOIN_KEYS
    image_columns: tuple[str, ...] | None = None
    storage_options: Mapping[str, object] = field(default_factory=dict)
    is_imageless: bool = False
    other_plates: frozenset[str] = frozenset()
    weigh_links: WeighLinks | None = None
    preview: object | None = None


class JoinResult:
    """A planned join: read it as a stream or a table, and ask for its report.

    Profiles from files or memory can be read any number of times, and the report is there at once. Profiles
    from a stream can be read once, and the report is there when the stream has been read to its end.
    """

    def __init__(
        self, source: ProfileSource, matcher: Matcher, output: OutputPlan, options: JoinOptions,
        findings: Sequence[Finding], dataset_id: str, decision: LinkDecision,
    ) -> None:  # fmt: skip
        self._source = source
        self._matcher = matcher
        self._output = output
        self._options = options
        self._findings = tuple(findings)
        self._dataset_id = dataset_id
        self._decision = decision
        self._report: JoinReport | None = None
        self._was_read = False
        # Keys were matched first, by themselves: the report is there before the wide columns are read.
        if source.is_rereadable:
            self._finish()

    @property
    def schema(self) -> pa.Schema:
        """Schema of the joined table."""
        return self._output.schema

    @property
    def decision(self) -> LinkDecision:
        """How the positions of the profiles are read."""
        return self._decision

    @property
    def report(self) -> JoinReport:
        """Accounting of the join; UsageError while a one-time stream has not been read to its end."""
        if self._report is None:
            raise UsageError(
                "The report of a join over a stream is complete only after reader() has been read."
            )
        return self._report

    def reader(self) -> pa.RecordBatchReader:
        """Joined rows as a stream, in the order of the profiles; memory holds a few batches."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def table(self) -> pa.Table:
        """Joined rows in memory."""
        return self.reader().read_all()

    def write_parquet(self, path: str | Path) -> int:
        """Stream the joined rows into one Parquet file; reading and encoding overlap. Returns the row count."""
        return write_parquet_stream(self.schema, self._batches(), str(path))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        is_first_read = self._report is None
        if not self._source.is_rereadable and self._was_read:
            raise UsageError("Profiles that came as a stream can be read once only.")
        self._was_read = True
        matcher, keep = self._matcher, self._options.how == "left"
        for batch in self._source.batches():
            columns = {position: batch.column(position) for position in matcher.read_positions}
            yield build_output(
                self._output,
                batch,
                # A second read gives the same rows and must not count them again.
                matcher.match(columns, batch.num_rows, is_counted=is_first_read),
                keep_unmatched=keep,
            )
        if is_first_read:
            self._refuse_other_sites()
            self._finish()

    def _refuse_other_sites(self) -> None:
        """Rows of a stream were given before their last key was seen: where all sites differ by one, none of them is right.

        Raises
        ------
        ContractError
            The sites of every well differ from those of the images by the same number, and no offset was given.
        """
        options = self._options
        is_decided = options.site_offset is not None or options.preview is not None
        if is_decided or self._matcher.options.join_keys is not None:
            return
        counted = list(self._matcher.counted.values())
        found = find_correction(self._matcher.index, counted, options.other_plates)
        if found is None or not found.site_offset:
            return
        if not count_file_votes(self._matcher.index, counted, found).is_refutation:
            raise ContractError(
                f"Site numbers of all wells say that {found.describe()}. Rows of a stream cannot be linked again: "
                f"give site_offset={found.site_offset}, or 0 where the sites are right as they are."
            )

    def _finish(self) -> None:
        self._report = build_join_report(
            self._matcher,
            plate_key=self._options.plate_key or "",
            dataset_id=self._dataset_id,
            keep_unmatched=self._options.how == "left",
            findings=self._findings,
            is_imageless=self._options.is_imageless,
            decision=self._decision,
        )


def join_profiles(image_assets: pa.Table, profiles: object, options: JoinOptions | None = None) -> JoinResult:
    """Join any profile table to images by five rules in order of trust.

    Parameters
    ----------
    image_assets
        Rows of ``image_assets``, or any table with ``image_id``; missing columns count as null.
    profiles
        Anything that ``core.joins.sources.open_profiles`` accepts.

    Raises
    ------
    ContractError
        The image table has no ``image_id``.
    MeasurementError
        The profiles cannot be read.
    """
    options = options or JoinOptions()
    if options.how not in ("left", "inner"):
        raise UsageError(f"how={options.how!r}; expected 'left' or 'inner'.")
    unknown = [key for key in options.join_keys if key not in KEY_NAMES]
    if unknown:
        raise UsageError(f"join_keys: {unknown[0]!r} is no key; expected some of {', '.join(KEY_NAMES)}.")
    images = _images_of_plate(image_assets, options.plate_key)
    source = open_profiles(profiles, options.storage_options)
    resolved = resolve_profile_columns(source.schema.names, options.alias_map, options.dataset_id)
    plan = plan_key_columns(source.schema, resolved, match_md5=options.match_md5)
    # Barcodes of another system would contradict every image.
    plan = plan.without("plate_id") if options.ignore_profile_plate else plan
    keys = read_image_keys(images)
    has_digests = any(column.kind == "md5" for column in plan.columns)
    digests, md5_findings = hash_image_files(keys, options.storage_options) if has_digests else ((), ())
    index = ImageIndex(keys, digests)
    chosen = None if options.join_keys == DEFAULT_JOIN_KEYS else options.join_keys
    matching = MatchOptions(
        options.dataset_id,
        options.site_offset or 0,
        options.path_rewrites,
        resolved.is_dataset_weak,
        chosen,
        other_plates=options.other_plates,
    )
    columns = options.image_columns or default_image_columns(images.schema)
    output = plan_output(source.schema, images, columns, options.plate_key)
    findings = (*resolved.findings, *plan.findings, *md5_findings)
    dataset = options.dataset_id or next(iter(sorted(index.datasets)), "")
    if options.preview is not None and not source.is_rereadable:
        decision = join_profiles(image_assets, options.preview, replace(options, preview=None)).decision
        matcher = Matcher(index, plan, decision.read_keys(matching))
    else:
        matcher, decision = _match_keys(source, Matcher(index, plan, matching), output, options)
    return JoinResult(source, matcher, output, options, findings, dataset, decision)


def _match_keys(
    source: ProfileSource, matcher: Matcher, output: OutputPlan, options: JoinOptions
) -> tuple[Matcher, LinkDecision]:
    """Match all keys as they are written, decide how positions are to be read, and match again where otherwise."""
    if not source.is_rereadable:
        return matcher, AS_WRITTEN
    _read_keys(source, matcher)
    if matcher.options.join_keys is not None or options.is_imageless:
        return matcher, AS_WRITTEN

    matchers = {
        matcher.options: matcher
    }  # what was weighed is mostly what is decided: its keys are read once

    def match_as(decision: LinkDecision) -> Matcher:
        reading = decision.read_keys(matcher.options)
        if reading not in matchers:
            matchers[reading] = Matcher(matcher.index, matcher.plan, reading)
            _read_keys(source, matchers[reading])
        return matchers[reading]

    def weigh(decision: LinkDecision) -> LinkProof:
        assert options.weigh_links is not None, "only asked where there is one"
        return options.weigh_links(LinkedRows(source, match_as(decision), output))

    decision = decide_links(
        matcher.index,
        list(matcher.counted.values()),
        is_offset_declared=options.site_offset is not None,
        other_plates=options.other_plates,
        weigh=None if options.weigh_links is None else weigh,
    )
    return match_as(decision), decision


def _read_keys(source: ProfileSource, matcher: Matcher) -> None:
    positions = matcher.read_positions
    for batch in source.batches(positions):
        columns = {position: batch.column(i) for i, position in enumerate(positions)}
        matcher.match(columns, batch.num_rows)


def join_plate(
    image_assets: pa.Table,
    profiles: object,
    *,
    settings: DatasetSettings | None = None,
    how: JoinHow = "left",
    plate_key: str | None = None,
    dataset_id: str | None = None,
    storage_options: Mapping[str, object] | None = None,
    is_imageless: bool = False,
    other_plates: frozenset[str] = frozenset(),
    weigh_links: WeighLinks | None = None,
    preview: object | None = None,
) -> JoinResult:
    """Join the measurements of one plate to its images, as ``dataset.toml`` says; one row per profile row.

    ``plate_key`` restricts the images to that partition and stands in every row of the result; rows that
    name no plate belong to it. ``dataset_id`` stands in rows that name no dataset. ``is_imageless``: that the
    plate has no images is by design. ``other_plates``, ``weigh_links`` and ``preview`` are those of
    ``JoinOptions``.

    Examples
    --------
    >>> result = join_plate(images, ["P1.parquet"], plate_key="ds/P1")
    >>> result.report.matched_fraction, result.table().num_rows
    (1.0, 6)
    """
    settings = settings or DatasetSettings()
    aliases: Mapping[str, tuple[str, ...]] = settings.aliases
    options = JoinOptions(
        how=how,
        plate_key=plate_key,
        dataset_id=dataset_id,
        alias_map=aliases,
        site_offset=settings.profile_site_offset,
        path_rewrites=settings.path_rewrites,
        match_md5=settings.match_md5,
        ignore_profile_plate=settings.ignore_profile_plate,
        storage_options=storage_options or {},
        is_imageless=is_imageless,
        other_plates=other_plates,
        weigh_links=weigh_links,
        preview=preview,
    )
    return join_profiles(image_assets, profiles, options)


def _images_of_plate(image_assets: pa.Table, plate_key: str | None) -> pa.Table:
    if plate_key is None or "plate_key" not in image_assets.column_names:
        return image_assets
    return image_assets.filter(pc.equal(image_assets.column("plate_key"), plate_key))
