"""A whole batch of prompts asked as one call, for whoever wants all answers at once."""

import asyncio
from collections.abc import Sequence
from typing import cast

from emollm.errors import ModelError
from emollm.protocol import ModelPool, PoolAnswer, Prompt


async def ask_all(
    pool: ModelPool, prompts: Sequence[Prompt], *, turn: int = 0
) -> list[PoolAnswer | ModelError]:
    """Answer each prompt, in the prompts' order. See `emollm.pool.Pool.ask`."""
    answers: list[PoolAnswer | ModelError | None] = [None] * len(prompts)
    left = len(prompts)
    done = asyncio.get_running_loop().create_future()

    def on_answer(index: int, answer: PoolAnswer | ModelError) -> None:
        nonlocal left
        answers[index] = answer
        left -= 1
        if not left and not done.done():
            done.set_result(None)

    def on_error(error: BaseException) -> None:
        if not done.done():
            done.set_exception(error)

    call = pool.open_call(on_answer, on_error, turn=turn)
    try:
        if prompts:
            call.send(prompts)
            await done
    except asyncio.CancelledError:
        if done.done() and not done.cancelled():
            done.exception()  # seen, or asyncio would complain that nobody did
        raise
    finally:
        call.close()
    return cast("list[PoolAnswer | ModelError]", answers)
