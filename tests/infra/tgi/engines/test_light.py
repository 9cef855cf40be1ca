"""The light engine answers as the torch engine does, and the model that ships is readable."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.tgi import SMALL_MODEL, StartError
from infra.tgi.engine import Job, Sampling
from infra.tgi.engines.light import LightEngine
from infra.tgi.engines.loading import load_engine
from infra.tgi.engines.tokenizer import ModelTokenizer
from infra.tgi.engines.torch_engine import TorchEngine
from tests.infra.tgi import tiny
from tests.infra.tgi.engines.answers import generate

PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [20], [33, 34, 35, 36]]


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LightEngine]:
    folder = tiny.save_light(tmp_path_factory.mktemp("tiny") / "bart")
    engine = LightEngine(folder, model_id="tiny", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def small() -> Iterator[LightEngine]:
    engine = LightEngine(SMALL_MODEL, model_id="small", threads=1)
    yield engine
    engine.close()


def _reference() -> TorchEngine:
    model = tiny.model("bart")
    # The converted model starts at the end token and has no forced first token.
    model.generation_config.forced_bos_token_id = None
    return TorchEngine(model, ModelTokenizer(tiny.tokenizer(), eos_ids=[2]), model_id="bart")


@pytest.mark.parametrize("details", [False, True], ids=["whole", "step by step"])
def test_answers_are_those_of_the_torch_engine(light: LightEngine, *, details: bool) -> None:
    def jobs() -> list[Job]:
        return [Job(ids, 6 + at, want_tokens=details) for at, ids in enumerate(PROMPTS)]

    mine = generate(light, jobs())
    theirs = generate(_reference(), jobs())
    for one, other in zip(mine, theirs, strict=True):
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert [token.id for token in one.tokens] == [token.id for token in other.tokens]
        assert [token.logprob for token in one.tokens] == pytest.approx(
            [token.logprob for token in other.tokens], abs=1e-3
        )


def test_choosing_token_by_token_comes_to_the_same(light: LightEngine) -> None:
    plain = generate(light, [Job(ids, 8) for ids in PROMPTS])
    chosen = generate(light, [Job(ids, 8, top_n_tokens=2, want_tokens=True) for ids in PROMPTS])
    assert [one.text for one in chosen] == [one.text for one in plain]
    assert all(token.top[0].id == token.id for one in chosen for token in one.tokens)


def test_a_seed_gives_the_same_answer_again(light: LightEngine) -> None:
    def ask(seed: int) -> str:
        sampling = Sampling(do_sample=True, temperature=3.0, seed=seed, seeded=True)
        return generate(light, [Job([5, 6, 7], 20, sampling=sampling)])[0].text

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)


def test_sampling_without_a_seed_is_left_to_ctranslate2(light: LightEngine) -> None:
    sampling = Sampling(do_sample=True, temperature=3.0)
    texts = {generate(light, [Job([5, 6, 7], 20, sampling=sampling)])[0].text for _ in range(5)}
    assert len(texts) > 1


def test_an_answer_keeps_to_its_grammar(light: LightEngine) -> None:
    answer = generate(light, [Job([5, 6, 7], 10, grammar="w1 w(2|3) w4")])[0]
    assert answer.text in {"w1 w2 w4", "w1 w3 w4"}
    assert answer.finish_reason == "eos_token"


def test_a_stop_string_ends_the_answer_and_stays_in_it(light: LightEngine) -> None:
    whole = generate(light, [Job([5, 6, 7], 12)])[0].text
    word = next(one for one in whole.split() if one.startswith("w"))
    stopped = generate(light, [Job([5, 6, 7], 12, stop=(word,))])[0]
    assert stopped.finish_reason == "stop_sequence"
    assert stopped.text.endswith(word)


def test_a_folder_without_the_light_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bart"}')
    with pytest.raises(StartError, match=r"ct2/model\.bin"):
        load_engine(str(tmp_path), engine="light")


def test_the_model_that_ships_is_served_where_none_is_named_and_without_torch() -> None:
    code = (
        "import sys; from infra.tgi.engines.loading import load_engine;"
        "load_engine(threads=1);"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_RELOAD = """
import sys
from pathlib import Path
from infra.tgi.engine import Job
from infra.tgi.engines.light import LightEngine
for _ in range(60):
    engine = LightEngine(Path(sys.argv[1]), model_id="m", threads=1)
    engine.generate([Job([5, 6, 7], 4, want_tokens=True)], lambda job, result: None)
    engine.close()
    del engine
"""


def test_an_engine_that_streamed_tokens_can_be_dropped_at_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """CTranslate2's thread must never hold the last reference to the engine: it then aborts."""
    folder = tiny.save_light(tmp_path_factory.mktemp("dropped") / "bart")
    done = subprocess.run(
        [sys.executable, "-c", _RELOAD, str(folder)], check=False, capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


_TWEET = "Human: \nTask: {} Tweet: I love this, what a wonderful day! {}\n\nAssistant:\n"
_VALENCE = (
    "Evaluate the valence intensity of the writer's mental state based on the tweet, assigning it "
    "a real-valued score from 0 (most negative) to 1 (most positive)."
)


def test_the_model_that_ships_answers_readably(small: LightEngine) -> None:
    prompt = _TWEET.format(_VALENCE, "Intensity Score: ")
    ids = small.encode([prompt])[0].ids
    answer = generate(small, [Job(ids, 16)])[0]
    assert re.fullmatch(r"[01](\.\d{1,3})?", answer.text)
    assert answer.finish_reason == "eos_token"
    tokens = generate(small, [Job(ids, 16, want_tokens=True)])[0]
    assert tokens.text == answer.text
    assert tokens.tokens[0].text == answer.text
