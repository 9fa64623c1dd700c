"""Characters that nobody sees and that change what is seen: they move a terminal's cursor, turn text around, or hide in a name."""

import re

UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows
    "\u2028\u2029"  # end a line
    "\u00ad\u034f\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\ufe00-\ufe0e\ufeff\ufff0-\ufffb"  # have no width
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # nor have these
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # are empty
    "]"
)
"""Not the joiners U+200C and U+200D, with which Persian is written and emoji are put together, nor U+FE0F, which makes emoji."""
