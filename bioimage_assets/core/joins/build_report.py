"""The report of a finished join: images nobody measured, linked file columns, and findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.image_index import ImageIndex
from bioimage_assets.core.joins.join_rules import JoinRule, RowKey
from bioimage_assets.core.joins.keys import KeyColumn
from bioimage_assets.core.joins.matcher import CountedKey, Matcher
from bioimage_assets.core.joins.report import (
    NO_IMAGES_TEXT,
    SAMPLE_SIZE,
    JoinOutcome,
    JoinReport,
    build_row_outcomes,
)
from bioimage_assets.core.joins.suggest import suggest_for_ambiguous, suggest_for_unlinked

_PLATE_HINT = (
    "Plate names match exactly. Where this is another name of the very plate, write into dataset.toml: [join] "
    "ignore_profile_plate = true."
)
_FILE_RULES: dict[str, JoinRule] = {"file_name": "file_name", "md5": "md5"}


def build_join_report(
    matcher: Matcher,
    *,
    plate_key: str,
    dataset_id: str,
    keep_unmatched: bool,
    findings: Sequence[Finding] = (),
    is_imageless: bool = False,
) -> JoinReport:
    """Count what a matcher saw; call after its last batch.

    ``is_imageless``: the plate has no images by design, which is said once and is not a fault of any row.
    """
    counted = list(matcher.counted.values())
    profile_rows = sum(item.row_count for item in counted)
    is_imageless = is_imageless and not matcher.index.images
    outcomes = build_row_outcomes(counted, is_imageless=is_imageless)
    if is_imageless:
        join_findings: Iterator[Finding] = iter([Finding("no-images", "info", "", NO_IMAGES_TEXT)])
    else:
        outcomes += _images_without_profiles(matcher.index, counted)
        outcomes += _column_links(matcher, counted)
        join_findings = _findings(matcher, counted, outcomes)
    matched = sum(o.row_count for o in outcomes if o.outcome == "matched")
    if not keep_unmatched:
        outcomes.append(
            JoinOutcome("dropped", None, profile_rows - matched, (), "Rows dropped by how='inner'.")
        )
    return JoinReport(
        plate_key=plate_key,
        dataset_id=dataset_id,
        profile_rows=profile_rows,
        joined_rows=profile_rows if keep_unmatched else matched,
        image_count=len(matcher.index.images),
        outcomes=tuple(outcomes),
        findings=(*findings, *join_findings),
    )


def _images_without_profiles(index: ImageIndex, counted: Sequence[CountedKey]) -> list[JoinOutcome]:
    used = {item.match.image_row for item in counted if item.row_count}
    unused = [image.image_id for row, image in index.images.items() if row not in used]
    if not unused:
        return []
    text = "Images that no profile row was measured on."
    return [JoinOutcome("image-without-profiles", None, len(unused), tuple(unused[:SAMPLE_SIZE]), text)]


def _column_links(matcher: Matcher, counted: Sequence[CountedKey]) -> list[JoinOutcome]:
    """Per file column: rows whose value names a known image file, and rows whose value does not."""
    outcomes: list[JoinOutcome] = []
    for slot, column in enumerate(matcher.plan.columns):
        rule = _FILE_RULES.get(column.kind)
        if rule is None:
            continue
        linked: Counter[str] = Counter()
        unlinked: Counter[str] = Counter()
        for item in counted:
            value = matcher.values(column)[item.codes[slot]]
            if value is not None:
                known = _is_known(matcher.index, column, value, item.key)
                (linked if known else unlinked)[value] += item.row_count
        outcomes += _link_lines(column, rule, linked, unlinked)
    return outcomes


def _is_known(index: ImageIndex, column: KeyColumn, value: str, key: RowKey) -> bool:
    if column.kind == "md5":
        return value in index.by_md5
    scopes = index.scopes_of_plate(key.plate_id, key.dataset_id, key.plate_key)
    return any(index.find_file_name(scope, value) for scope in scopes)


def _link_lines(
    column: KeyColumn, rule: JoinRule, linked: Counter[str], unlinked: Counter[str]
) -> Iterator[JoinOutcome]:
    total = len(linked) + len(unlinked)
    if linked:
        text = f"{column.name}: {len(linked)} of {total} distinct values are image files."
        yield JoinOutcome(
            "linked-column", rule, linked.total(), (column.name, *list(linked)[:SAMPLE_SIZE]), text
        )
    if unlinked:
        text = f"{column.name}: {len(unlinked)} of {total} distinct values are no image file of the plate."
        yield JoinOutcome(
            "unlinked-column", rule, unlinked.total(), (column.name, *list(unlinked)[:SAMPLE_SIZE]), text
        )


def _findings(
    matcher: Matcher, counted: Sequence[CountedKey], outcomes: Sequence[JoinOutcome]
) -> Iterator[Finding]:
    for rival in matcher.rivals:
        if rival.row_count:
            text = (
                f"{rival.row_count} row(s): {rival.chosen} and {rival.rival} stand for the same key and differ "
                f"({rival.sample}); {rival.chosen} was used. Declare the right one in [microscopy.aliases]."
            )
            yield Finding("alias-conflict", "warning", rival.rival, text)
    for outcome in outcomes:
        if outcome.outcome == "conflicting-rules":
            text = (
                f"{outcome.row_count} row(s): rule {outcome.join_rule} names another image than the rule that "
                f"linked them, e.g. {outcome.sample_keys[0]}."
            )
            yield Finding("conflicting-rules", "error", str(outcome.join_rule), text)
        if outcome.outcome == "ambiguous":
            text = f"{outcome.row_count} row(s) name several images each, e.g. {outcome.sample_keys[0]}."
            item = next(i for i in counted if i.row_count and i.match.ambiguous_rule == outcome.join_rule)
            text += f" {suggest_for_ambiguous(matcher.index, item)}"
            yield Finding("ambiguous-key", "warning", str(outcome.join_rule), text)
    index = matcher.index
    yield from _unknown_names(
        "dataset", counted, sorted(index.datasets), "Pass the images' dataset as profile_dataset_id."
    )
    yield from _unknown_names("plate", counted, list(index.scopes_by_plate), _PLATE_HINT)
    if index.has_plate_keys:
        hint = "A row's own plate_key must be that of the images."
        yield from _unknown_names("plate", counted, index.scopes, hint, attribute="plate_key")
    yield from _rows_without_key(counted)
    yield from suggest_for_unlinked(index, counted, matcher.options.path_rewrites)
    yield from _unknown_wells(matcher, counted)
    yield from _site_disagreement(index, counted)


def _rows_without_key(counted: Sequence[CountedKey]) -> Iterator[Finding]:
    """Rows of which nothing says on which image they were measured."""
    rows = 0
    for item in counted:
        key = item.key
        if not (key.image_id or key.well_id or key.md5s or key.paths or key.file_names):
            rows += item.row_count
    if rows:
        text = (
            f"{rows} row(s) have no image id, no readable well and no image file name, so no rule can link them. Name "
            "the columns that hold them in [microscopy.aliases]."
        )
        yield Finding("rows-without-key", "warning", "", text)


def _unknown_wells(matcher: Matcher, counted: Sequence[CountedKey]) -> Iterator[Finding]:
    """Wells that cannot be read, and wells without any image that rows without image name."""
    for column in matcher.plan.columns:
        odd = matcher.unreadable(column) if column.kind == "well_id" else ()
        if odd:
            names = ", ".join(repr(name) for name in odd[:SAMPLE_SIZE])
            text = f"{len(odd)} value(s) of {column.name} name no well: {names}. Write wells like A01."
            yield Finding("unreadable-well", "warning", column.name, text)
    known = {well for _, well in matcher.index.by_well}
    rows: Counter[str] = Counter()
    for item in counted:
        well = item.key.well_id
        if item.match.rule is None and well is not None and well not in known:
            rows[well] += item.row_count
    if rows and known:
        names = ", ".join(list(rows)[:SAMPLE_SIZE])
        text = f"{rows.total()} row(s) are of {len(rows)} well(s) that have no image: {names}. Was it imaged?"
        yield Finding("unknown-well", "warning", next(iter(rows)), text)


def _unknown_names(
    what: str,
    counted: Sequence[CountedKey],
    known: Sequence[str],
    hint: str,
    attribute: str | None = None,
) -> Iterator[Finding]:
    """Rows that name a plate or dataset which no image belongs to."""
    rows: Counter[str] = Counter()
    for item in counted:
        name = getattr(item.key, attribute or f"{what}_id")
        if name is not None and name not in known and item.row_count:
            rows[name] += item.row_count
    if rows and known:
        names = ", ".join(repr(name) for name in list(rows)[:SAMPLE_SIZE])
        there = ", ".join(repr(name) for name in known[:SAMPLE_SIZE])
        text = f"{rows.total()} row(s) name {what}(s) {names}; the images are of {there}. {hint}"
        yield Finding(f"unknown-{what}", "warning", next(iter(rows)), text)


def _site_disagreement(index: ImageIndex, counted: Sequence[CountedKey]) -> Iterator[Finding]:
    """Compare the sites of each well; an offset that would explain the difference is named, never applied."""
    profile_sites: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item in counted:
        key = item.key
        if key.well_id is not None and key.site_id is not None:
            for scope in index.scopes_of_plate(key.plate_id, key.dataset_id, key.plate_key):
                if (scope, key.well_id) in index.by_well:
                    profile_sites[scope, key.well_id].add(key.site_id)
    image_sites = {
        place: {index.images[row].site_id for row in index.by_well[place]} - {None} for place in profile_sites
    }
    wrong = [
        place for place, sites in profile_sites.items() if image_sites[place] and sites - image_sites[place]
    ]
    if not wrong:
        return
    scope, well = wrong[0]
    text = (
        f"{len(wrong)} well(s) have profile sites without image, e.g. {well}: profiles "
        f"{_listed(profile_sites[wrong[0]])}, images {_listed(image_sites[wrong[0]])}."
    )
    for offset in (1, -1):
        if all({_moved(s, offset) for s in profile_sites[p]} <= image_sites[p] for p in profile_sites):
            text += f" A site offset of {offset} (profiles minus images) would explain it; write into dataset.toml: [join] profile_site_offset = {offset}."
            yield Finding("site-offset", "error", f"{scope}/{well}", text)
            return
    yield Finding("site-mismatch", "warning", f"{scope}/{well}", text)


def _moved(site: str, offset: int) -> str:
    return str(int(site) - offset) if site.isdigit() else site


def _listed(sites: set[str] | set[str | None]) -> str:
    ordered = sorted((s for s in sites if s is not None), key=lambda s: (not s.isdigit(), s.zfill(12)))
    return ", ".join(ordered[:8]) + (" …" if len(ordered) > 8 else "")
