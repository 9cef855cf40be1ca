"""Two real model servers on a real Kafka: a recorded big model, and the small one that ships."""

import json
from pathlib import Path

from aiokafka import AIOKafkaProducer

from consumer.app import run
from consumer.options import Until
from consumer.settings import Settings
from emollm.tasks import E_C, EI_REG, V_REG
from emostream.one_text import read_one
from infra.kafka import create_topics, default_topics
from infra.tgi import ServerSettings, TgiServer
from schemas import Sentiment
from tests.e2e.topics import contents
from tests.topics import topic_names

NAMES = topic_names("second")
TEXTS = {
    "happy": "What a wonderful day, I could hug everybody!",
    "angry": "They lied to us again. I am furious.",
    "afraid": "I can't sleep, I am so scared of tomorrow.",
}
VALENCE = {"happy": 0.9, "angry": 0.2, "afraid": 0.3}
INTENSITY = 0.5


def recorded(folder: Path) -> Path:
    """What a big model said of these texts, but for their emotions."""
    path = folder / "answers.jsonl"
    lines = []
    for name, text in TEXTS.items():
        asked = {V_REG.instruction(text): V_REG.write(VALENCE[name])}
        for emotion in EI_REG.emotions:
            asked[EI_REG.instruction(text, emotion)] = EI_REG.write(INTENSITY, emotion)
        lines += [
            json.dumps({"instruction": instruction, "pred": {"Emollama-chat-7b": answer}})
            for instruction, answer in asked.items()
        ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


async def test_events_on_kafka_are_the_mean_of_the_recorded_and_the_small_model(
    tmp_path: Path, bootstrap: str
) -> None:
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(NAMES))
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for name, text in TEXTS.items():
            value = json.dumps({"id": name, "text": text}).encode()
            await producer.send_and_wait(NAMES.posts, value, key=name.encode())
    replay = ServerSettings(port=0, replay=(recorded(tmp_path),), replay_model="Emollama-chat-7b")
    async with TgiServer(replay) as big, TgiServer(ServerSettings(port=0)) as small:
        settings = Settings.model_validate(
            {
                "kafka": {"bootstrap": bootstrap},
                "input": {"topics": [NAMES.posts], "group_id": NAMES.posts},
                "output": {"events_topic": NAMES.events, "dlq_topic": NAMES.dead_letters},
                "model": {
                    "servers": [big.url],
                    "wait_s": 60,
                    # However busy the machine is: the recorded model answers at once.
                    "second": {"servers": [small.url], "timeout_s": 60, "late_after_s": 60},
                },
                "http": {"port": 0},
            }
        )
        assert await run(settings, until=Until(max_records=len(TEXTS)), signals=False) == 0
        alone = Settings.model_validate({"model": {"servers": [small.url], "wait_s": 60}})
        theirs = {name: await read_one(alone, text) for name, text in TEXTS.items()}
    found = await contents(
        bootstrap,
        NAMES.posts,
        posts=NAMES.posts,
        events=NAMES.events,
        dead_letters=NAMES.dead_letters,
    )
    assert found.uncommitted == 0
    assert not found.dead
    for name in TEXTS:
        (event,) = found.events[name.encode()]
        other = theirs[name]
        assert isinstance(event.sentiment, Sentiment)
        assert isinstance(other.sentiment, Sentiment)
        assert isinstance(other.sentiment.valence, float)
        mean = 0.7 * VALENCE[name] + 0.3 * other.sentiment.valence
        assert event.sentiment.valence == round(mean, 3)
        assert event.emotions == other.emotions
        assert isinstance(event.intensity, dict)
        assert isinstance(other.intensity, dict)
        assert event.intensity == {
            emotion: round(0.7 * INTENSITY + 0.3 * score, 3)
            for emotion, score in other.intensity.items()
        }
        assert event.opinion == "both"
        assert event.models["first"].id == "Emollama-chat-7b"
        assert event.models["first"].prompts == 1 + len(event.intensity)
        assert event.models["second"].prompts == 2 + len(event.intensity)
        assert E_C.name not in event.unanswered
