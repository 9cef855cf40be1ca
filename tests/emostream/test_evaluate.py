"""`emostream evaluate`: from files to the tables of scores."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from emollm.tasks import E_C, V_REG
from emostream.command_line import make_app
from tests.emostream.command import run_command
from tests.tgi import FakeTgi

TEXTS = {"Fine.": 0.7, "Bad.": 0.2, "Well.": 0.5}


def lines(path: Path, pred: dict[str, str] | None = None) -> Path:
    rows: list[dict[str, Any]] = [
        {"instruction": V_REG.instruction(text), "input": "", "output": str(value)}
        for text, value in TEXTS.items()
    ]
    for row in rows:
        if pred is not None:
            row["pred"] = {"mine": row["output"], **pred}
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def evaluate(*words: str) -> int:
    status = make_app(overview=False)(["evaluate", *words], exit_on_error=False)
    assert isinstance(status, int)
    return status


def test_recorded_answers_are_scored_beside_the_papers_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(str(lines(tmp_path / "a.jsonl", {"other": "48: disgust"}))) == 0
    shown = capsys.readouterr().out
    assert "mine" in shown
    assert "1.000" in shown
    assert "Emollama-chat-13b" in shown
    assert ".537/.696/.545" in shown


def test_json_has_metrics_counts_and_published_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(str(lines(tmp_path / "a.jsonl", {"other": "48: disgust"})), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["models"]["mine"]["V-reg"]["metrics"]["pearson"] == pytest.approx(1)
    assert found["models"]["other"]["V-reg"] == {
        "items": 3,
        "scored": 0,
        "unreadable": 3,
        "missing": 0,
        "metrics": {},
    }
    assert {row["model"] for row in found["published"]} >= {"Emobart-large", "GPT-4 (zero-shot)"}


def test_predictions_are_scored_against_labels_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("text,V-T\nFine,3\nBad,-3\n", encoding="utf-8")
    predicted = tmp_path / "pred.jsonl"
    predicted.write_text(
        '{"text": "Fine.", "model": "m", "values": {"V-reg": 1.0}}\n'
        '{"text": "Bad.", "model": "m", "values": {"V-reg": 0.25}}\n'
    )
    evaluate(str(predicted), "--gold", str(labels), "--json")
    found = json.loads(capsys.readouterr().out)["models"]["m"]["V-T"]
    assert found["metrics"]["mae"] == pytest.approx(1)


async def test_a_server_is_asked_what_people_were_asked(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("text,V-reg,E-c\nWhat a day,0.7,joy\nOh no,0.1,sadness\n", encoding="utf-8")
    async with FakeTgi() as tgi:
        done = await run_command("evaluate", str(file), "--server", tgi.url, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)["models"]["Emollama-chat-7b"]
    assert found["V-reg"]["metrics"]["mae"] == pytest.approx((0.034 + 0.634) / 2)
    assert found["E-c"]["metrics"]["jaccard"] == pytest.approx((1 / 2 + 0) / 2)
    texts = [
        f"Human: \n{task.instruction(text)}\n\nAssistant:\n"
        for task in (E_C, V_REG)
        for text in ("What a day.", "Oh no.")
    ]
    assert sorted(prompt for prompt in tgi.prompts if "Task:" in prompt) == sorted(texts)


async def test_labels_without_a_text_are_not_asked_about(tmp_path: Path) -> None:
    """The model would read an empty text, once for all of them, and be scored by it."""
    file = tmp_path / "mine.csv"
    file.write_text("id,text,V-reg\n1,What a day,0.7\n2,,0.1\n3,\u200b,0.2\n", encoding="utf-8")
    async with FakeTgi() as tgi:
        done = await run_command("evaluate", str(file), "--server", tgi.url, "--json")
        found = json.loads(done.out)["models"]["Emollama-chat-7b"]["V-reg"]
        assert (found["scored"], found["missing"]) == (1, 2)
        file.write_text("id,V-reg\n1,0.7\n2,0.1\n", encoding="utf-8")
        done = await run_command("evaluate", str(file), "--server", tgi.url)
    assert done.status == 2
    assert "no label has a text that the model could be asked about: name its column" in done.err


async def test_texts_that_lost_their_ends_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    long = "word " * 10_000
    file.write_text(f"text,V-reg,E-c\n{long}a,0.7,joy\n{long}b,0.1,\nOh no,0.1,\n")
    async with FakeTgi() as tgi:
        done = await run_command("evaluate", str(file), "--server", tgi.url)
    assert done.status == 0, done.err
    assert "too long for the model, which reads their beginnings: 2 of the texts" in done.err


async def test_servers_that_pad_are_asked_by_length(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    texts = ["ccc " * 9, "a", "bb " * 5]
    file.write_text("text,V-reg\n" + "".join(f"{text},0.5\n" for text in texts), encoding="utf-8")
    async with FakeTgi(info={"model_id": "lzw1008/Emoopt-13b"}) as tgi:
        words = ("evaluate", str(file), "--server", tgi.url)
        done = await run_command(*words, EMOSTREAM_MODEL__MAX_CONCURRENCY="1")
    assert done.status == 0, done.err
    asked = [prompt for prompt in tgi.prompts if "Task:" in prompt]
    assert asked == sorted(asked, key=len)
    assert len(asked) == 3


async def test_lines_are_asked_as_they_are_and_unreadable_answers_counted(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", {})
    async with FakeTgi(lambda prompt: "none" if "Bad." in prompt else "0.5") as tgi:
        done = await run_command("evaluate", str(file), "--server", tgi.url, "--json")
    found = json.loads(done.out)["models"]["Emollama-chat-7b"]["V-reg"]
    assert (found["scored"], found["unreadable"]) == (2, 1)


async def test_the_small_model_is_run_in_this_process(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    file = tmp_path / "mine.csv"
    file.write_text(
        "text,V-T\nI love this wonderful day!,3\nI hate it. Horrible.,-3\nIt is Monday.,0\n",
        encoding="utf-8",
    )
    done = await run_command("evaluate", str(file), "--model-id", "small", "--json")
    found = json.loads(done.out)["models"]["emostream-small"]["V-T"]
    assert found["metrics"]["pearson"] > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give files to be scored, or --bias"),
        (["{file}", "{file}"], "give one file or folder"),
        (["{file}", "--bias"], "or --bias (with --report, if you like) and no files"),
        (["--bias", "--report", "{folder}/none/bias.md"], "must be a file in a folder that exists"),
        (["--bias", "--report", "{folder}"], "must be a file in a folder that exists"),
        (["{file}", "--gold-scale", "5"], "must be LOW:HIGH"),
        (["{file}", "--gold-scale", "5:1"], "the first must be below"),
        (["{events}"], "name a file that has them with --gold"),
        (["{folder}/nothing.csv"], "doesn't exist"),
        (["{file}", "--server", "http://x", "--model-id", "small"], "give one of them"),
        (["{file}", "--gold", "{file}", "--model-id", "small"], "no model is asked"),
        (["{file}", "--part", "dev"], "give a folder"),
        (["--bias", "--part", "dev"], "leave --gold and --part out"),
    ],
)
async def test_wrong_usage_is_status_2_and_a_sentence(
    tmp_path: Path, words: list[str], message: str
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"version": 1, "post_id": "1", "model": {"id": "m"}, "processed_at": ""}\n')
    file = lines(tmp_path / "a.jsonl", {})
    filled = [word.format(file=file, events=events, folder=tmp_path) for word in words]
    done = await run_command("evaluate", *filled)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


async def test_the_part_chooses_in_both_folders(tmp_path: Path) -> None:
    row = "\t{}\tvalence\t{}\n"
    for folder, scores in (("gold", (0.2, 0.6, 0.9)), ("mine", (0.3, 0.5, 0.8))):
        (tmp_path / folder).mkdir()
        for part in ("dev", "test"):
            lines_ = [f"{part}-{n}" + row.format("x", score) for n, score in enumerate(scores)]
            name = f"2018-Valence-reg-En-{part}.txt"
            (tmp_path / folder / name).write_text("ID\tTweet\tDimension\tScore\n" + "".join(lines_))
    words = [str(tmp_path / "mine"), "--gold", str(tmp_path / "gold"), "--json"]
    done = await run_command("evaluate", *words, "--part", "test")
    assert done.status == 0, done.err
    assert json.loads(done.out)["models"]["mine"]["V-reg"]["scored"] == 3
    done = await run_command("evaluate", *words)
    assert done.status == 2
    assert "choose one with --part" in done.err


async def test_predictions_of_other_posts_are_reported_not_scored(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("text,V-reg\nSomething else,0.5\n", encoding="utf-8")
    done = await run_command(
        "evaluate", str(lines(tmp_path / "a.jsonl", {})), "--gold", str(labels)
    )
    assert done.status == 1
    assert "nothing could be scored" in done.err


async def test_nor_are_those_that_share_their_ids_by_chance(tmp_path: Path) -> None:
    labels, predicted = tmp_path / "labels.csv", tmp_path / "pred.csv"
    labels.write_text("id,text,V-reg\n1,What a day,0.7\n2,Oh no,0.1\n3,Well,0.5\n")
    predicted.write_text("id,text,V-reg\n1,A film,0.2\n2,A book,0.9\n3,Well.,0.4\n")
    done = await run_command("evaluate", str(predicted), "--gold", str(labels))
    assert done.status == 2
    assert "2 posts have the same id in both and different texts, 1 among them" in done.err


async def test_ids_of_several_posts_are_named_and_their_texts_count(tmp_path: Path) -> None:
    labels, predicted = tmp_path / "labels.csv", tmp_path / "pred.csv"
    labels.write_text("id,text,V-reg\n7,What a day,0.7\n7,Oh no,0.1\n8,So,0.3\n8,Well,0.5\n")
    predicted.write_text("id,text,V-reg\n7,Oh no.,0.1\n7,What a day,0.7\n8,Well,0.5\n8,So,0.3\n")
    done = await run_command("evaluate", str(predicted), "--gold", str(labels), "--json")
    assert done.status == 0, done.err
    assert "an id that stands for several texts counts for nothing: 7 and 1 more" in done.err
    found = json.loads(done.out)["models"]["pred.csv"]["V-reg"]
    assert found["metrics"]["pearson"] == pytest.approx(1)


async def test_bias_is_reported_beside_a_model_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a few sentences: what a fake model reads higher of women is in both reports."""
    monkeypatch.setattr("training.evaluation.bias.sentences.STATES", {"joy": ("cheerful",)})
    monkeypatch.setattr("training.evaluation.bias.sentences.SITUATIONS", {})
    sides = ("my sister", "My sister", "my wife", "My wife", "my mother", "My mother")

    def say(prompt: str) -> str:
        if "contains emotions" in prompt:
            return "joy."
        level = 0.5 + sum(map(ord, prompt)) % 7 / 1_000
        return str(round(level + 0.1 * any(side in prompt for side in sides), 3))

    file = tmp_path / "bias.md"
    async with FakeTgi(say) as tgi:
        words = ["--bias", "--server", tgi.url, "--report", str(file), "--json"]
        status = await asyncio.to_thread(evaluate, *words)
    assert status == 0
    found = json.loads(capsys.readouterr().out)
    rows = {(row["comparison"], row["measure"]): row for row in found["differences"]}
    row = rows["women - men, nouns", "V-reg"]
    assert row["significant"]
    assert row["test"]["mean"] == pytest.approx(0.05, abs=0.005)
    assert not rows["women - men, names", "V-reg"]["significant"]
    report = file.read_text(encoding="utf-8")
    assert report.startswith("## Bias\n")
    assert "| women - men, nouns | V-reg | +0.0" in report
    assert "E-c:joy" not in report
