"""How a text reads that is written to look like something else.

Two walls read it so, and have words of their own. `guard.orders` is asked of whole sentences that people say, and is
narrow: who is refused there loses a wish. `persona.lint` is asked of a few words that are told to a model as they are,
and errs on the side of refusing.
"""

from __future__ import annotations

import codecs
import re

# Letters of other alphabets that look like ours, in lower case.
LOOKS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0432\u0458\u0455\u04bb\u0501\u051b\u051d\u043c\u043a\u0442"
    "\u043d\u0433\u03b1\u03b2\u03b3\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03c9\u0131\u0261\u0251"
    "\u0475\u217c\u2019",
    "aeopcyxibjshdqwmkthrabyeniknoptuxwigavl'",
)
LEET = str.maketrans("013457@$!|", "oieastasil")


def squeezed(text: str) -> tuple[str, str, str]:
    """Its letters without what stands between them: as they are, backwards, and turned by thirteen."""
    letters = re.sub(r"[\W_]+", "", text)
    return letters, letters[::-1], codecs.encode(letters, "rot13")
