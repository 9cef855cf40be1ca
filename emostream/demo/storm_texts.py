"""The demo's storm: made-up posts of made-up passengers about a made-up airline's bad day."""

import itertools
import random

_OPENINGS = (
    "Third hour at the gate and",
    "Stuck at the airport with two kids and",
    "Flight cancelled again,",
    "Missed my sister's wedding because",
    "Sleeping on the terminal floor tonight,",
    "They lost my luggage and",
    "Two days without my luggage,",
    "Paid 400 for this ticket and",
    "Boarded, unboarded, cancelled:",
    "My connection is gone,",
    "Grandmother in a wheelchair left at the gate,",
    "Fourth rebooking today and",
)
_COMPLAINTS = (
    "nobody at the counter even looks up",
    "the hotline hangs up on everyone",
    "the refund form crashes every single time",
    "the app still says on time, what a lie",
    "they refuse any refund",
    "not one word of apology from anyone",
    "the queue for a hotel voucher is four hours long",
    "the crew just walked away from us",
    "people are crying here and nobody helps",
    "they tell us to sleep at the gate",
)
_ENDINGS = (
    "I am furious.",
    "Disgusting.",
    "Never again with this airline.",
    "Worst airline ever.",
    "This is a disgrace.",
    "I hate this company so much.",
    "So angry I could scream.",
    "What a nightmare.",
    "Absolutely awful.",
    "Shame on you.",
)


def storm_texts(count: int, rng: random.Random) -> list[str]:
    """So many different texts at most, in random order; there are 1,200 of them."""
    every = [
        f"{opening} {complaint}. {ending}"
        for opening, complaint, ending in itertools.product(_OPENINGS, _COMPLAINTS, _ENDINGS)
    ]
    return rng.sample(every, min(count, len(every)))
