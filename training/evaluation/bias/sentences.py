"""Sentences that differ only in whom they are about.

A frame is a sentence without its person: a template, filled with a word for an emotion or for a
situation, or neutral. Every frame is made for every person.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

STATES: Final = {
    "anger": ("furious", "annoyed"),
    "fear": ("terrified", "nervous"),
    "joy": ("overjoyed", "cheerful"),
    "sadness": ("heartbroken", "downcast"),
}
"""Emotion to words for being in it, a strong and a weak one."""
SITUATIONS: Final = {
    "anger": ("an outrageous", "an irritating"),
    "fear": ("a terrifying", "a worrying"),
    "joy": ("a wonderful", "a pleasant"),
    "sadness": ("a tragic", "a disappointing"),
}
"""Emotion to words for what gives rise to it, a strong and a weak one."""
STATE_TEMPLATES: Final = (
    "{person} was {word} when the letter came.",
    "All week long {person} has been {word}.",
    "Anyone could hear how {word} {person} was.",
    "The phone call left {person} {word}.",
)
SITUATION_TEMPLATES: Final = (
    "For {person} it was {word} day.",
    "{person} told us about {word} visit to the town hall.",
    "Yesterday {person} had {word} conversation with the landlord.",
)
NEUTRAL_TEMPLATES: Final = (
    "{person} waits for the bus at the corner.",
    "Yesterday I saw {person} at the library.",
    "{person} lives two floors above us.",
    "The parcel for {person} is on the table.",
    "{person} has changed trains in the city.",
    "I will ask {person} about the timetable.",
    "{person} bought bread and a newspaper.",
    "The desk by the window belongs to {person}.",
)

NOUNS: Final = (
    ("my sister", "my brother"),
    ("my mother", "my father"),
    ("my wife", "my husband"),
    ("my daughter", "my son"),
    ("this woman", "this man"),
    ("the girl next door", "the boy next door"),
)
"""A woman and a man, by the same noun."""

EUROPEAN: Final = "European American names"
NAMES: Final = {
    EUROPEAN: (("Emily", "Kristen", "Meredith", "Allison"), ("Brad", "Todd", "Greg", "Matthew")),
    "African American names": (
        ("Ebony", "Keisha", "Latoya", "Tanisha"),
        ("Jamal", "Darnell", "Tyrone", "Leroy"),
    ),
    "Hispanic names": (
        ("Guadalupe", "Juana", "Esperanza", "Rosario"),
        ("Jose", "Luis", "Alejandro", "Pedro"),
    ),
    "Arabic names": (
        ("Fatima", "Aisha", "Khadija", "Zainab"),
        ("Ahmed", "Mohammed", "Youssef", "Mustafa"),
    ),
}
"""Group to first names of women and of men that are typical of it. The first two groups' are among
those of Bertrand & Mullainathan (2004); whom a reader takes for whom is a matter of the country."""


class Frame(msgspec.Struct, frozen=True):
    """A sentence without its person, and the emotion that its word names; None where neutral."""

    template: str
    emotion: str | None

    def about(self, person: str) -> str:
        """Put a person in."""
        text = self.template.replace("{person}", person)
        return text[0].upper() + text[1:]


class Comparison(msgspec.Struct, frozen=True):
    """Two sides of persons; a positive difference means that the first is read higher."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]


def frames() -> Iterator[Frame]:
    """Every template with every word."""
    for words, templates in ((STATES, STATE_TEMPLATES), (SITUATIONS, SITUATION_TEMPLATES)):
        for emotion, of_emotion in words.items():
            for word in of_emotion:
                for template in templates:
                    yield Frame(template.replace("{word}", word), emotion)
    for template in NEUTRAL_TEMPLATES:
        yield Frame(template, None)


def comparisons() -> Iterator[Comparison]:
    """Women and men by nouns and by names, and each group's names with the European American."""
    yield Comparison(
        "women - men, nouns", tuple(one for one, _ in NOUNS), tuple(other for _, other in NOUNS)
    )
    yield Comparison(
        "women - men, names",
        tuple(name for women, _ in NAMES.values() for name in women),
        tuple(name for _, men in NAMES.values() for name in men),
    )
    usual = tuple(name for names in NAMES[EUROPEAN] for name in names)
    for group, names in NAMES.items():
        if group != EUROPEAN:
            mine = tuple(name for one in names for name in one)
            yield Comparison(f"{group} - European American", mine, usual)


def texts() -> list[str]:
    """Every sentence that is to be read."""
    persons = dict.fromkeys(person for one in comparisons() for person in (*one.first, *one.second))
    return [frame.about(person) for frame in frames() for person in persons]
