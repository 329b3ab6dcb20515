"""Sentences in which one word was changed: what else stays is asked of an image, too."""

from collections.abc import Callable

GROUPS = (
    ("red", "orange", "yellow", "green", "blue", "purple"),
    ("قرمز", "نارنجی", "زرد", "سبز", "آبی", "بنفش"),
)
"""Words that can stand for one another: colours, a language a line."""


def changed(text: str, known: Callable[[str], bool]) -> list[str]:
    """A sentence, then the same with each other word in the place of its first one of a group.

    Args:
        text: the sentence, with spaces between words.
        known: whether a text encoder knows a word; others are left out.

    Returns:
        nothing where the sentence has no word of a group, or no other one is known.
    """
    words = text.split(" ")
    for place, word in enumerate(words):
        for group in GROUPS:
            if word in group:
                others = [other for other in group if other != word and known(other)]
                made = [" ".join([*words[:place], w, *words[place + 1 :]]) for w in others]
                return [text, *made] if made else []
    return []
