"""Characters that nobody sees and that change what is seen: they move a terminal's cursor, turn text around, or hide in a name."""

import re

UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows
    "\u2028\u2029"  # end a line
    "\u00ad\u200b\u2060-\u2064\ufeff\U000e0000-\U000e007f"  # have no width
    "]"
)
"""Not the joiners U+200C and U+200D: Persian is written with the one, emoji are put together with the other."""
