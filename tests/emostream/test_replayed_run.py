"""The pipeline's analysis on a model's recorded answers, scored without that model."""

import json
from pathlib import Path

import msgspec
import pytest

from consumer.settings import Settings
from emollm.tasks import E_C, EI_REG, V_REG
from emostream.one_text import read_one
from infra.tgi import ServerSettings, TgiServer
from tests.emostream.command import run_command

MODEL = "Emollama-chat-7b"
POSTS = {  # text → gold valence, recorded valence; gold emotions, recorded emotions; joy
    "What a day": (0.9, 0.8, "joy.", "joy, love.", 0.7),
    "Rain again": (0.3, 0.35, "sadness.", "sadness.", None),
    "So so": (0.5, 0.55, "neutral or no emotion.", "joy.", 0.2),
    "The worst. Ever!": (0.1, 0.15, "anger.", "anger, disgust.", None),
}


def recorded(path: Path) -> Path:
    """As the recorded answers of real models are: other wordings, a full stop that prompts add."""
    rows = []
    for text, (gold, valence, labels, found, joy) in POSTS.items():
        said = text if text.endswith("!") else f"{text}."
        rows += [
            (V_REG.instruction(said, wording=3), str(gold), str(valence)),
            (E_C.instruction(said, wording=5), labels, found),
            (EI_REG.instruction(said, "anger", 2), "0.1", "0.1"),
            (EI_REG.instruction(said, "sadness", 2), "0.1", "0.1"),
        ]
        if joy is not None:
            rows.append((EI_REG.instruction(said, "joy", 7), str(joy), "48: disgust"))
    path.write_text(
        "".join(
            f"{json.dumps({'instruction': i, 'input': '', 'output': o, 'pred': {MODEL: p}})}\n"
            for i, o, p in rows
        ),
        encoding="utf-8",
    )
    return path


async def test_events_of_a_replayed_model_get_that_models_scores(tmp_path: Path) -> None:
    answers, events = recorded(tmp_path / "answers.jsonl"), tmp_path / "events.jsonl"
    serving = ServerSettings(port=0, replay=(answers,), replay_model=MODEL)
    async with TgiServer(serving) as server:
        settings = Settings.model_validate({"model": {"servers": [server.url], "wait_s": 10}})
        read = [await read_one(settings, text) for text in POSTS]
    # Each with an id of its own, which the gold labels don't know: texts are matched.
    lines = [
        msgspec.json.encode(msgspec.structs.replace(event, post_id=str(n)))
        for n, event in enumerate(read)
    ]
    events.write_bytes(b"\n".join(lines) + b"\n")
    done = await run_command("evaluate", str(events), "--gold", str(answers), "--json")
    assert done.status == 0, done.err
    of_events = json.loads(done.out)["models"][MODEL]
    done = await run_command("evaluate", str(answers), "--json")
    of_model = json.loads(done.out)["models"][MODEL]
    for task in ("V-reg", "E-c"):
        assert of_events[task]["metrics"] == pytest.approx(of_model[task]["metrics"])
        assert of_events[task]["scored"] == len(POSTS)
    # Asked of what E-c found only; one real answer in a thousand can't be read, and is counted.
    intensity = of_events["EI-reg"]
    assert intensity["unreadable"] == 2
    assert intensity["scored"] == 2
    assert intensity["missing"] == intensity["items"] - 4
