"""What commands print is one line per row, whatever names and values hold."""

from __future__ import annotations

import pytest

from bioimage_assets.cli.output import print_pairs, print_table


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "\x9b2J", "\x00"])
def test_a_name_with_line_breaks_or_terminal_codes_stays_in_its_row(capsys, text):
    print_table(["plate", f"n{text}"], [[text, 1], ["P1", 2]])
    print_pairs({"plate": text})
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4
    assert text not in out
    assert all(char.isprintable() or char == "\n" for char in out)


def test_letters_of_every_script_are_printed_as_they_are(capsys):
    print_table(["plate"], [["é日本 \U0001f9ec 5 µm"]])
    assert "é日本 \U0001f9ec 5 µm" in capsys.readouterr().out
