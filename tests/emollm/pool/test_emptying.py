"""A server is emptied for a prompt that is asked alone, and nobody waits long for that."""

import asyncio

from emollm.errors import FailedAlone, GenerationFailed, ModelError
from emollm.protocol import Generation
from tests.emollm.pool.fakes import HANG, FakeServer, Started, echo, expected, prompts, texts_of
from tests.emollm.pool.simulation import simulated
from tests.emollm.pool.test_failures import WIDE

FAILED = GenerationFailed("incomplete", status=500)


@simulated
async def test_no_request_that_hangs_is_waited_for_to_empty_a_server_for_another_prompt() -> None:
    """With the default timeout of 30 s: nobody else was served for so long."""
    said = {"hang": HANG, "fails": FAILED}

    def reply(prompt: str) -> Generation | ModelError:
        return next((answer for word, answer in said.items() if word in prompt), echo(prompt))

    server = FakeServer(reply, info=WIDE, latency_s=0.1)
    loop = asyncio.get_running_loop()
    async with Started(server) as pool:
        bad = asyncio.ensure_future(pool.ask(prompts("hang", "fails")))
        end, waits = loop.time() + 90.0, []
        while loop.time() < end:
            began = loop.time()
            await pool.ask(prompts(f"post {began}"), turn=1)
            waits.append(loop.time() - began)
        assert max(waits) < 8.0
        assert sum(one for one in waits if one < 0.2) >= 0.45 * 90.0
        assert [type(answer) for answer in await bad] == [FailedAlone] * 2
    assert set(server.company["fails"][4:]) == {1}, "it was asked alone beside another"


@simulated
async def test_a_server_that_is_never_empty_is_waited_for_ever_longer() -> None:
    """New prompts take half a minute each, all the time: one that is asked alone has a turn."""
    failing = iter([FAILED] * 3)

    async def answer(prompt: str) -> Generation | ModelError:
        await asyncio.sleep(25.0 if prompt.startswith("slow") else 0.1)
        return next(failing, echo(prompt)) if prompt == "fails" else echo(prompt)

    server = FakeServer(info=WIDE)
    server._answer = answer  # type: ignore[method-assign]
    async with Started(server) as pool:
        asking = [asyncio.ensure_future(pool.ask(prompts(f"slow {n}"))) for n in range(2)]
        failed = asyncio.ensure_future(pool.ask(prompts("fails")))
        for number in range(50):
            texts = [f"slow {number}", *(f"post {number} {n}" for n in range(20))]
            asking += [asyncio.ensure_future(pool.ask(prompts(text))) for text in texts]
            await asyncio.sleep(10.0)
            if failed.done():
                break
        assert failed.done()
        assert texts_of(await failed) == expected("fails")
        await asyncio.gather(*asking)
    assert server.company["fails"][-1] == 1
