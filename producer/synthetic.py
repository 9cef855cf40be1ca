"""English posts that nobody wrote: sentences from templates, by a seed, for load tests.

About 10 million different first sentences in eight moods. They read like social media (slang,
hashtags, emoji, a handle that doesn't exist), so that prompts and answers have real lengths;
they prove nothing about a model's quality.
"""

import random
from typing import NamedTuple

from schemas import Post


class _Mood(NamedTuple):
    feelings: tuple[str, ...]
    reactions: tuple[str, ...]
    emoji: tuple[str, ...]


_MOODS: dict[str, _Mood] = {
    "joy": _Mood(
        ("so happy", "over the moon", "grinning like an idiot", "absolutely buzzing", "thrilled"),
        ("Best thing all week!", "Can't stop smiling.", "Made my day!", "What a treat!"),
        ("😂", "🎉", "😍", "🙌", ""),
    ),
    "anger": _Mood(
        ("furious", "so done", "raging", "fuming", "sick and tired"),
        ("Absolute joke.", "How is this still a thing?!", "Never again.", "Sort it out!!"),
        ("😡", "🤬", "🙄", ""),
    ),
    "sadness": _Mood(
        ("gutted", "heartbroken", "feeling low", "in tears", "so lonely"),
        ("I miss how it used to be.", "Don't know what to say.", "Just want to go home.", "Sigh."),
        ("😢", "💔", "😞", ""),
    ),
    "fear": _Mood(
        ("terrified", "so nervous", "dreading it", "shaking", "worried sick"),
        ("What if it all goes wrong?", "Can't sleep.", "My heart is racing.", "Send help."),
        ("😱", "😰", ""),
    ),
    "surprise": _Mood(
        ("speechless", "shook", "stunned", "not believing my eyes"),
        ("Did NOT see that coming.", "Wait, what?", "Is this real life?", "Plot twist!"),
        ("😮", "🤯", ""),
    ),
    "disgust": _Mood(
        ("grossed out", "disgusted", "appalled", "cringing"),
        ("Who thought this was ok?", "Ew.", "I want my money back.", "No thanks."),
        ("🤢", "😒", ""),
    ),
    "optimism": _Mood(
        ("hopeful", "ready for anything", "feeling good", "so looking forward to more"),
        ("Onwards!", "Tomorrow will be better.", "We've got this.", "Good things are coming."),
        ("💪", "🌞", "✨", ""),
    ),
    "neutral": _Mood(
        ("fairly indifferent", "not sure what to think", "just tired", "busy"),
        ("Anyway.", "We'll see.", "More on that later.", "That's all."),
        ("", "", "🤔"),
    ),
}

_SUBJECTS = (
    "the train to work", "my new phone", "the match last night", "this weather", "the election",
    "my sister's wedding", "that new series", "the queue at the bank", "my exam results",
    "the update", "customer support", "our new puppy", "the traffic", "this song", "my boss",
    "the dentist", "this recipe", "the ending of that book", "Monday", "the concert",
    "my flight", "the neighbours", "the interview", "online banking", "the delivery",
)  # fmt: skip
_TIMES = (
    "today", "this morning", "tonight", "right now", "after two hours", "again", "for once",
    "on a Sunday", "at 6 am", "since yesterday", "before coffee", "on my birthday",
)  # fmt: skip
_SHAPES = (
    "{Feeling} about {subject} {time}. {reaction}",
    "{Subject} {time}: {feeling}. {reaction}",
    "ok so {subject} {time} and I'm {feeling}... {reaction}",
    "I'm {feeling} because of {subject} {time}. {reaction}",
    "{reaction} {Subject} {time} has me {feeling}",
    "Is anyone else {feeling} about {subject} {time}? {reaction}",
    "@someone {subject} {time}, honestly? {Feeling}. {reaction}",
    "Day {number} of {subject}. {Feeling} {time}. {reaction}",
    "{number} minutes of {subject} {time} and I am {feeling}. {reaction}",
)
_TAGS = ("mood", "monday", "life", "fail", "blessed", "news", "music", "football", "travel", "")


def synthetic_post(rng: random.Random, *, id_: str, size: int) -> Post:
    """One post of about `size` characters (at least one sentence); `meta.mood` is its mood."""
    mood = rng.choice(tuple(_MOODS))
    tag = rng.choice(_TAGS)
    sentences = [_sentence(rng, _MOODS[mood])]
    length = len(sentences[0])
    while length < size * 0.8:  # at 0.8 one more sentence would overshoot as often as not
        sentences.append(_sentence(rng, _MOODS[mood]))
        length += len(sentences[-1]) + 1
    text = " ".join(sentences) + (f" #{tag}" if tag else "")
    return Post(
        id=id_,
        text=text,
        source="synthetic",
        author=f"user{rng.randrange(10_000)}",
        lang="en",
        topics=(tag,) if tag else (),
        meta={"mood": mood},
    )


def _sentence(rng: random.Random, mood: _Mood) -> str:
    subject, feeling = rng.choice(_SUBJECTS), rng.choice(mood.feelings)
    words = rng.choice(_SHAPES).format(
        subject=subject,
        Subject=subject[0].upper() + subject[1:],
        feeling=feeling,
        Feeling=feeling[0].upper() + feeling[1:],
        time=rng.choice(_TIMES),
        reaction=rng.choice(mood.reactions),
        number=rng.randrange(2, 1_000),
    )
    return f"{words} {rng.choice(mood.emoji)}".rstrip()
