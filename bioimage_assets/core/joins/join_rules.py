"""The five linking rules, tried in order of trust on one distinct combination of keys.

Source of truth: DESIGN.md section 5. The first rule that names exactly one image wins; every other rule
that applies is still asked, so that disagreement is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bioimage_assets.core.joins.image_index import ImageIndex, Rows

JoinRule = Literal[
    "image_id", "plate_well_site", "plate_well", "proven_position", "md5", "path", "file_name", "join_keys",
]  # fmt: skip
# Two are not of the five rules: ``proven_position`` is a position read otherwise than it is written (another site number, another
# plate name) because files or pixels prove it, and ``join_keys`` stands for keys that the caller chose.
JOIN_RULES: tuple[JoinRule, ...] = (
    "image_id", "plate_well_site", "plate_well", "proven_position", "md5", "path", "file_name", "join_keys",
)  # fmt: skip
POSITION_RULES = ("plate_well_site", "plate_well")
DEFAULT_JOIN_KEYS = ("dataset_id", "image_id")


@dataclass(frozen=True, slots=True)
class RowKey:
    """The canonical keys of a profile row; file keys hold one entry per channel that has one."""

    plate_key: str | None = None
    dataset_id: str | None = None
    image_id: str | None = None
    plate_id: str | None = None
    well_id: str | None = None
    site_id: str | None = None
    acquisition_id: str | None = None
    md5s: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()

    def label(self) -> str:
        """Short text for reports: the parts that are known, as ``name=value``."""
        parts = [
            f"{name}={value}"
            for name in ("image_id", "plate_id", "well_id", "site_id")
            if (value := getattr(self, name)) is not None
        ]
        if not parts:
            files = self.file_names or self.paths or self.md5s
            parts = [f"file={files[0]}"] if files else []
        return " ".join(parts) or "no key"


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """Which image a combination of keys names.

    ``image_row`` is -1 where no rule names exactly one image. ``ambiguous_rule`` is then the first rule that
    named several, ``candidates`` the rows of those. ``conflicts`` lists rules that name other images than the
    chosen one; the rule of the row's position names none where the row's well has no image and the chosen one is
    of another well.
    """

    image_row: int
    rule: JoinRule | None
    ambiguous_rule: JoinRule | None = None
    candidates: Rows = ()
    conflicts: tuple[tuple[JoinRule, Rows], ...] = ()


def match_key(index: ImageIndex, key: RowKey) -> KeyMatch:
    """Try the rules in order for one combination of keys."""
    chosen: tuple[JoinRule, int] | None = None
    answers: list[tuple[JoinRule, Rows]] = []
    for rule, rows in _ask_rules(index, key):
        if not rows:
            continue
        answers.append((rule, rows))
        if chosen is None and len(rows) == 1:
            chosen = (rule, rows[0])
    if chosen is None:
        if not answers:
            return KeyMatch(-1, None)
        return KeyMatch(-1, None, *answers[0])
    conflicts = [(rule, rows) for rule, rows in answers if chosen[1] not in rows]
    if not _is_well_of(index, chosen[1], key) and not any(rule in POSITION_RULES for rule, _ in conflicts):
        conflicts.append(("plate_well_site" if key.site_id else "plate_well", ()))
    return KeyMatch(chosen[1], chosen[0], conflicts=tuple(conflicts))


def match_without_position(index: ImageIndex, key: RowKey) -> KeyMatch:
    """What image ids, digests and files say, whatever well and site the row names."""
    return match_key(index, replace(key, well_id=None, site_id=None))


def match_chosen_keys(index: ImageIndex, key: RowKey, join_keys: tuple[str, ...]) -> KeyMatch:
    """Match on exactly these keys instead of by the rules; a null key matches nothing."""
    wanted = tuple(getattr(key, name) for name in join_keys)
    rows = () if None in wanted else index.rows_by(join_keys).get(wanted, ())
    if len(rows) == 1:
        return KeyMatch(rows[0], "join_keys")
    return KeyMatch(-1, None, "join_keys" if rows else None, rows)


def _ask_rules(index: ImageIndex, key: RowKey) -> list[tuple[JoinRule, Rows]]:
    scopes = index.scopes_of_plate(key.plate_id, key.dataset_id, key.plate_key)
    position_rule, position_rows = _match_position(index, key, scopes)
    named = _agree([_match_file_name(index, name, scopes) for name in key.file_names])
    answers: list[tuple[JoinRule, Rows]] = [
        ("image_id", _match_image_id(index, key)),
        (position_rule, position_rows),
        ("md5", _agree([index.by_md5.get(digest, ()) for digest in key.md5s])),
        ("path", _agree([index.by_path.get(path, ()) for path in key.paths])),
        # Instruments that write a folder per well repeat names: where one well's images are missing, a name that they
        # share with another well's is that of one image alone, and of the wrong one.
        ("file_name", tuple(row for row in named if _is_well_of(index, row, key))),
    ]
    return [(rule, _own_images(index, rows, key)) for rule, rows in answers]


def _match_image_id(index: ImageIndex, key: RowKey) -> Rows:
    if key.image_id is None or (key.dataset_id is None and len(index.datasets) > 1):
        return ()
    exact = _own_images(index, index.by_image_id.get(key.image_id, ()), key)
    return exact or index.by_seed_id.get(key.image_id, ())


def _match_position(index: ImageIndex, key: RowKey, scopes: tuple[str, ...]) -> tuple[JoinRule, Rows]:
    if key.well_id is None:
        return "plate_well_site", ()
    if key.site_id is None:
        rows = tuple(row for scope in scopes for row in index.by_well.get((scope, key.well_id), ()))
        return "plate_well", _of_acquisition(index, rows, key.acquisition_id)
    rows = tuple(row for scope in scopes for row in index.by_site.get((scope, key.well_id, key.site_id), ()))
    if rows:
        return "plate_well_site", _of_acquisition(index, rows, key.acquisition_id)
    whole_well = tuple(row for scope in scopes for row in index.by_site.get((scope, key.well_id, None), ()))
    return "plate_well", _of_acquisition(index, whole_well, key.acquisition_id)


def _match_file_name(index: ImageIndex, name: str, scopes: tuple[str, ...]) -> Rows:
    """A name is looked up in one plate only: instruments repeat their file names on every plate."""
    return index.find_file_name(scopes[0], name) if len(scopes) == 1 else ()


def _is_well_of(index: ImageIndex, row: int, key: RowKey) -> bool:
    """Whether the image is of the well that the row names; nothing is said where one of the two is not known."""
    return key.well_id is None or index.images[row].well_id in (None, key.well_id)


def _agree(answers: list[Rows]) -> Rows:
    """Images that every channel with an answer names; all of them where the channels disagree."""
    given = [set(rows) for rows in answers if rows]
    if not given:
        return ()
    common = set.intersection(*given)
    return tuple(sorted(common or set.union(*given)))


def _own_images(index: ImageIndex, rows: Rows, key: RowKey) -> Rows:
    """Keep the images of the dataset and the partition that the row itself names."""
    if key.dataset_id is not None:
        rows = tuple(row for row in rows if index.images[row].dataset_id in (None, key.dataset_id))
    if key.plate_key is not None and index.has_plate_keys:
        rows = tuple(row for row in rows if index.images[row].scope == key.plate_key)
    return rows


def _of_acquisition(index: ImageIndex, rows: Rows, acquisition: str | None) -> Rows:
    """Keep one acquisition where several images remain and the profile names one."""
    if acquisition is None or len(rows) < 2:
        return rows
    return tuple(row for row in rows if index.images[row].acquisition_id == acquisition) or rows
