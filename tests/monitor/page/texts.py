"""Made-up posts: nobody wrote them."""

from datetime import datetime, timedelta
from random import Random

from msgspec import UnsetType

from schemas.event import AffectEvent, ModelRef, Sentiment

NEGATIVE = (
    "Two hours at the gate and nobody tells us anything. Never again.",
    "so they cancelled it by text message. while we were boarding. wow",
    "My bag went somewhere, I went somewhere else. Nobody answers the phone 😡",
    "Fourth time this month. I'm done with them.",
    "Refund refused because the form 'expired'. It expired while their site was down.",
    "the queue at the desk has its own queue",
    "I'm really worried we won't make it to the funeral. Please, somebody help.",
    "Paid extra for the seat, sat on the floor of the terminal instead.",
    "honestly disgusting how they treat families with small kids",
    "Is anyone else stuck? No food, no water, no information.",
)
NEUTRAL = (
    "New schedule is out, the morning one moved to 7:40.",
    "does anyone know if the app works offline?",
    "Switching gates again. B12 now.",
    "Reading the terms so that you don't have to: page 14 is the interesting one.",
    "Waiting for the update, will report back.",
)
POSITIVE = (
    "Crew on the evening flight was lovely, my daughter got to see the cockpit 💛",
    "Whoever designed the new check-in: thank you. Two taps!",
    "on time, window seat, sunrise. good morning",
    "They found my grandmother's ring and sent it by courier. I could cry.",
    "Best support chat I've had in years, solved in three minutes.",
)
HOSTILE = (
    "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>",
    "invoice\u202egpj.exe looks fine \u2066really\u2069",
    '=HYPERLINK("http://evil.example","click") {{7*7}} ${7*7} </script><svg onload=alert(1)>',
)
_SOURCES = ("bluesky", "mastodon", "reviews", "forum")
_LANGS = ("en", "en", "en", "en", "es", "de", "th")


def event(
    track: str, at: datetime, index: int, share: float, *, hostile: bool = False
) -> AffectEvent:
    """One made-up post of a minute in which `share` of the posts are negative."""
    draw = Random(f"{track}|{at.isoformat()}|{index}")
    negative = draw.random() < share
    if hostile:
        text, negative = HOSTILE[index % len(HOSTILE)], True
    elif negative:
        text = draw.choice(NEGATIVE)
    else:
        text = draw.choice(NEUTRAL if draw.random() < 0.5 else POSITIVE)
    valence = draw.uniform(0.08, 0.4) if negative else draw.uniform(0.46, 0.9)
    emotions = ("anger", "disgust") if negative else ("joy", "optimism")
    identity = f"{track}-{at:%d%H%M}-{index}"
    url = f"https://social.example/@made_up/{identity}".replace(" ", "-")
    return AffectEvent(
        version=1,
        id=identity,
        post_id=f"post-{identity}",
        source=draw.choice(_SOURCES),
        author=f"{draw.getrandbits(64):016x}",
        created_at=at + timedelta(seconds=draw.uniform(0, 59)),
        lang=draw.choice(_LANGS),
        url="javascript:document.title='hacked'" if hostile else url,
        topics=(track,),
        text=text,
        sentiment=Sentiment(valence=round(valence, 3)),
        emotions=emotions if draw.random() < 0.8 else emotions[:1],
        model=ModelRef(id="lzw1008/Emollama-chat-7b", revision="made-up"),
        processed_at=at + timedelta(seconds=61),
    )


def valence_of(event: AffectEvent) -> float:
    """How positive a made-up post is; all of them say."""
    assert not isinstance(event.sentiment, UnsetType)
    assert not isinstance(event.sentiment.valence, UnsetType)
    return event.sentiment.valence
