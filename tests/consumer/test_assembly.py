"""The consumer's parts, made from the settings."""

import pytest

from consumer.assembly import make_model_pool
from consumer.settings import Model
from emollm.protocol import GenerateParams, Prompt
from emollm.tasks import V_REG
from tests.tgi import FakeTgi

PARAMS = GenerateParams(max_new_tokens=4)


@pytest.mark.parametrize(
    ("served", "order"),
    [
        ("lzw1008/Emoopt-13b", ["a", "bb", "ccc"]),  # TGI pads its batches
        ("lzw1008/Emollama-7b", ["ccc", "a", "bb"]),
    ],
)
async def test_prompts_go_out_by_length_to_servers_that_pad_and_else_as_they_come(
    served: str, order: list[str]
) -> None:
    async with FakeTgi(info={"model_id": served}) as tgi:
        pool = make_model_pool(Model(servers=(tgi.url,), max_concurrency=1), (V_REG,))
        try:
            await pool.start()
            tgi.prompts.clear()  # of the proof
            texts = ("ccc", "a", "bb")
            await pool.ask([Prompt(text=text, params=PARAMS, task="t") for text in texts])
        finally:
            await pool.aclose()
    assert tgi.prompts == order
