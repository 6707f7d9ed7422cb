"""Makes boxes.ttf, in which every character is the same box: text takes the same room on every machine.

Needs fontTools: `pip install fonttools`, then `python tests/report/golden/make_font.py`.
"""

from __future__ import annotations

from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

UNITS, ADVANCE, HEIGHT = 1000, 560, 520


def box() -> object:
    """A rectangle on the base line, as high as a small letter."""
    pen = TTGlyphPen(None)
    pen.moveTo((40, 0))
    for corner in ((40, HEIGHT), (ADVANCE - 40, HEIGHT), (ADVANCE - 40, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def main() -> None:
    """Writes the font beside this file."""
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", "box", "space"])
    spaces = {0x20: "space", 0xA0: "space", 0x200B: "space"}
    builder.setupCharacterMap(dict.fromkeys([*range(0x21, 0x24F), *range(0x2010, 0x2660)], "box") | spaces)
    builder.setupGlyf({".notdef": box(), "box": box(), "space": TTGlyphPen(None).glyph()})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", "box", "space"), (ADVANCE, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    builder.save(Path(__file__).with_name("boxes.ttf"))


if __name__ == "__main__":
    main()
