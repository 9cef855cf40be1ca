"""`emostream predict`: files in, answers and values out."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from emollm.tasks import V_REG
from infra.tgi.engines.recording import Recording
from tests.emostream.command import run_command
from tests.process import emostream
from tests.tgi import FakeTgi
from training.evaluation.sources import own_predictions

MODEL = "Emollama-chat-7b"


def instructions(path: Path, count: int = 8) -> Path:
    rows = [
        {"instruction": V_REG.instruction(f"Post {n}."), "input": "", "output": f"0.{n}"}
        for n in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number(prompt: str) -> int:
    return int(prompt.partition("Post ")[2].partition(".")[0])


class Reversed(FakeTgi):
    """Answers the first prompts last: none before `together` of them have come."""

    together = 8

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[asyncio.Future[None]] = []

    async def generate(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["inputs"]
        if "Post" in prompt:
            self._waiting.append(asyncio.get_running_loop().create_future())
            mine = len(self._waiting) - 1
            if len(self._waiting) == self.together:
                self._waiting[-1].set_result(None)
            await self._waiting[mine]
            if mine:
                self._waiting[mine - 1].set_result(None)
            return web.json_response({"generated_text": f"0.{number(prompt)}"})
        return await super().generate(request)


async def test_the_order_is_the_inputs_whatever_comes_back_first(tmp_path: Path) -> None:
    file, out = instructions(tmp_path / "test.json"), tmp_path / "out.jsonl"
    async with Reversed() as tgi:
        done = await run_command("predict", str(file), "--out", str(out), "--server", tgi.url)
    assert done.status == 0, done.err
    assert [row["value"] for row in read(out)] == [n / 10 for n in range(8)]
    assert read(out)[3] == {
        "instruction": V_REG.instruction("Post 3."),
        "input": "",
        "output": "0.3",
        "pred": {MODEL: "0.3"},
        "value": 0.3,
    }
    assert "8 rows, 8 prompts, 0 unreadable answers, 0 errors" in done.err


async def test_an_unreadable_answer_keeps_its_text(tmp_path: Path) -> None:
    file, out = instructions(tmp_path / "a.jsonl", 1), tmp_path / "out.jsonl"
    async with FakeTgi(lambda prompt: "48: disgust") as tgi:
        words = ("predict", str(file), "--out", str(out), "--server", tgi.url, "--skip-canary")
        done = await run_command(*words)
    assert done.status == 0, done.err
    (row,) = read(out)
    assert row["pred"] == {MODEL: "48: disgust"}
    assert row["unreadable"] == "not a number"
    assert "value" not in row


async def test_posts_are_asked_what_the_configuration_says(tmp_path: Path) -> None:
    file, out = tmp_path / "posts.csv", tmp_path / "out.jsonl"
    file.write_text("id,message\n7,What a day\n8,\n", encoding="utf-8")
    async with FakeTgi() as tgi:
        words = ("predict", str(file), "--text-column", "message", "--out", str(out))
        done = await run_command(*words, "--server", tgi.url)
    assert done.status == 1
    assert "1 errors" in done.err
    first, second = read(out)
    assert first == {
        "id": "7",
        "message": "What a day",
        "model": MODEL,
        "answers": {"E-c": "joy, optimism.", "V-reg": "0.734", "EI-reg:joy": "0.734"},
        "values": {
            "E-c": ["joy", "optimism"],
            "V-reg": 0.734,
            "EI-reg:joy": 0.734,
            "V-oc": 2,
            "EI-oc:joy": 3,
        },
    }
    assert second == {"id": "8", "message": "", "error": "nothing visible in the text"}


async def test_a_post_that_lost_its_end_is_told(tmp_path: Path) -> None:
    """As in an event: the values are those of its beginning. What an earlier run said goes."""
    file = tmp_path / "posts.jsonl"
    text = "word " * 10_000
    posts = [{"text": text}, {"text": "What a day", "text_truncated": True}]
    file.write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    async with FakeTgi() as tgi:
        done = await run_command("predict", str(file), "--server", tgi.url)
    long, short = map(json.loads, done.out.splitlines())
    assert long["text_truncated"] is True
    assert long["text"] == text
    assert "text_truncated" not in short


async def test_nothing_of_an_earlier_run_stays_beside_the_new_answers(tmp_path: Path) -> None:
    """It would be scored as of this model: what is `unreadable` counts as no value."""
    file = tmp_path / "read.jsonl"
    old = {"unreadable": {"E-c": "empty"}, "error": "no server", "values": {"V-T": 1}}
    post = {"text": "What a day", "value": "mine", **old}
    asked = {"instruction": V_REG.instruction("So."), "pred": {"other": "?"}, "value": 1, **old}
    file.write_text(f"{json.dumps(post)}\n{json.dumps(asked)}\n", encoding="utf-8")
    async with FakeTgi() as tgi:
        done = await run_command("predict", str(file), "--server", tgi.url)
    first, second = map(json.loads, done.out.splitlines())
    assert first.keys() == {"text", "value", "model", "answers", "values"}
    assert "V-T" not in first["values"]
    assert second["pred"] == {"other": "?", MODEL: "0.734"}
    assert second.keys() == {"instruction", "pred", "value", "values"}


async def test_without_an_output_lines_go_to_standard_output(tmp_path: Path) -> None:
    async with FakeTgi() as tgi:
        file = instructions(tmp_path / "a.jsonl", 2)
        done = await run_command("predict", str(file), "--server", tgi.url)
    assert [json.loads(line)["value"] for line in done.out.splitlines()] == [0.734, 0.734]


class Stalling(FakeTgi):
    """Answers `stalls_after` posts and then no more; `stalled` is set at the next one but one."""

    def __init__(self, stalls_after: int) -> None:
        super().__init__()
        self.posts: Counter[int] = Counter()
        self.stalls_after = stalls_after
        self.stalled = asyncio.Event()

    async def generate(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["inputs"]
        if "Post" in prompt:
            self.posts[number(prompt)] += 1
            if sum(self.posts.values()) > self.stalls_after:
                self.stalled.set()
                await asyncio.Event().wait()
        return await super().generate(request)


@pytest.mark.parametrize("ended", ["kill -9", "Ctrl-C", "Ctrl-C held"])
async def test_a_run_that_was_ended_is_continued_without_asking_twice(
    tmp_path: Path, ended: str
) -> None:
    """One prompt at a time: when the 6th has come, the answers before the 5th's are kept."""
    file, out = instructions(tmp_path / "a.jsonl"), tmp_path / "out.jsonl"
    tgi = Stalling(stalls_after=5)
    async with tgi:
        words = ("predict", str(file), "--out", str(out), "--server", tgi.url, "--skip-canary")
        environment = {"EMOSTREAM_MODEL__MAX_CONCURRENCY": "1"}
        async with emostream(*words, environment=environment) as process:
            await tgi.stalled.wait()
            if ended == "Ctrl-C held":
                await process.hold_ctrl_c()
            else:
                process.signal(signal.SIGKILL if ended == "kill -9" else signal.SIGINT)
            status = await process.wait()
        if ended != "kill -9":
            assert status == 130
            assert process.output == "interrupted: the same command goes on where this one ended"
        assert "Traceback" not in process.output
        tgi.stalls_after = 1_000
        done = await run_command(*words, EMOSTREAM_MODEL__MAX_CONCURRENCY="1")
    assert done.status == 0, done.err
    assert [number(row["instruction"]) for row in read(out)] == list(range(8))
    assert all(row["value"] == 0.734 for row in read(out))
    assert [tgi.posts[n] for n in range(4)] == [1, 1, 1, 1]
    assert sum(tgi.posts.values()) <= 10  # the 5th's answer may have been on its way; the 6th's was


async def test_a_run_that_goes_on_has_the_status_of_the_whole_output(tmp_path: Path) -> None:
    file, out = instructions(tmp_path / "a.jsonl"), tmp_path / "out.jsonl"
    file.write_text("no JSON\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    tgi = Stalling(stalls_after=3)
    async with tgi:
        words = ("predict", str(file), "--out", str(out), "--server", tgi.url, "--skip-canary")
        environment = {"EMOSTREAM_MODEL__MAX_CONCURRENCY": "1"}
        async with emostream(*words, environment=environment) as process:
            await tgi.stalled.wait()
            process.signal(signal.SIGINT)
            assert await process.wait() == 130
        tgi.stalls_after = 1_000
        done = await run_command(*words, EMOSTREAM_MODEL__MAX_CONCURRENCY="1")
    assert "error" in read(out)[0]
    assert done.status == 1, done.err
    assert "0 errors; 1 of the rows before have one" in done.err


async def test_a_model_that_is_none_is_refused_by_the_canary(tmp_path: Path) -> None:
    async with FakeTgi(lambda prompt: "0.5") as tgi:
        file = instructions(tmp_path / "a.jsonl")
        done = await run_command("predict", str(file), "--server", tgi.url)
    assert done.status == 3
    assert "does not answer as an EmoLLM would" in done.err
    assert done.out == ""


async def test_a_refused_prompt_is_an_error_of_its_row(tmp_path: Path) -> None:
    """No answer of an earlier run stays beside it, of this model."""

    class Refusing(FakeTgi):
        async def generate(self, request: web.Request) -> web.StreamResponse:
            if "Post 1." in (await request.json())["inputs"]:
                body = {"error": "too long", "error_type": "validation"}
                return web.json_response(body, status=422)
            return await super().generate(request)

    file, out = instructions(tmp_path / "a.jsonl", 3), tmp_path / "out.jsonl"
    earlier = [{**row, "pred": {MODEL: "0.9", "other": "0.8"}} for row in read(file)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in earlier), encoding="utf-8")
    async with Refusing() as tgi:
        done = await run_command("predict", str(file), "--out", str(out), "--server", tgi.url)
    assert done.status == 1
    rows = read(out)
    assert rows[1]["pred"] == {"other": "0.8"}
    assert rows[2]["pred"] == {"other": "0.8", MODEL: "0.734"}
    assert "refused by the model server" in rows[1]["error"]
    assert ["value" in row for row in rows] == [True, False, True]


async def test_what_it_writes_is_scored_and_replayed(tmp_path: Path) -> None:
    file, out = instructions(tmp_path / "a.jsonl", 3), tmp_path / "out.jsonl"
    async with FakeTgi() as tgi:
        await run_command("predict", str(file), "--out", str(out), "--server", tgi.url)
    assert [one.value for one in own_predictions(out)[MODEL]] == [0.734] * 3
    recording = Recording.load([out], None)
    assert recording.answer(V_REG.instruction("Post 1.", wording=4)) == "0.734"


async def test_an_instruction_of_ones_own_has_an_answer_and_no_value(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"instruction": "Say Intensity Score"}\n')
    async with FakeTgi() as tgi:
        done = await run_command("predict", str(file), "--server", tgi.url)
    line = {"instruction": "Say Intensity Score", "pred": {MODEL: "0.734"}}
    assert json.loads(done.out) == line


async def test_a_prompt_as_the_authors_readme_has_it_is_wrapped_once_and_read(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.jsonl"
    instruction = "Task: Evaluate the valence.\nText: Happy!\nIntensity Score:"
    row = {"instruction": f"Human:\n{instruction}\n\nAssistant:\n"}
    file.write_text(json.dumps(row))
    async with FakeTgi() as tgi:
        done = await run_command("predict", str(file), "--server", tgi.url)
        (asked,) = (one for one in tgi.prompts if "Happy!" in one)
    assert asked == f"Human: \n{instruction}\n\nAssistant:\n"
    assert json.loads(done.out) == {**row, "pred": {MODEL: "0.734"}, "value": 0.734}


async def test_a_server_and_a_model_to_run_exclude_each_other(tmp_path: Path) -> None:
    words = ("predict", str(instructions(tmp_path / "a.jsonl")), "--server", "http://127.0.0.1:1")
    done = await run_command(*words, "--model-id", "small")
    assert done.status == 2
    assert "give one of them" in done.err
