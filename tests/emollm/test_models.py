"""The table of models."""

import json
import struct
from math import prod
from pathlib import Path

import pytest

from emollm import MODELS, TASKS, PromptBuilder, UnknownModel, Wrapper, describe_model, find_model
from emollm.models import pairing_remedy, serving_on
from emollm.protocol import ServerInfo

SMALL_MODEL = Path(__file__).parents[2] / "infra/tgi/models/emostream-small"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("lzw1008/Emollama-chat-7b", "Emollama-chat-7b"),
        ("emollama-7B", "Emollama-7b"),
        ("/data/models/Emobloom-7b/", "Emobloom-7b"),
        ("C:\\models\\Emot5-large", "Emot5-large"),
        ("/cache/hub/models--lzw1008--Emoopt-13b/snapshots/0c748d8", "Emoopt-13b"),
        ("emostream-small", "emostream-small"),
        ("./emostream-small", "emostream-small"),
    ],
)
def test_a_model_is_known_by_hub_id_name_or_path(name: str, found: str) -> None:
    """In whatever case."""
    assert find_model(name).name == found


@pytest.mark.parametrize("name", ["meta-llama/Llama-2-7b", "", "/Emollama-7b/merged", "Emollama"])
def test_an_unknown_model_is_refused_with_what_to_configure(name: str) -> None:
    """A wrong wrapper would give plausible nonsense, so none is guessed."""
    with pytest.raises(UnknownModel, match=r"configure model\.wrapper .* and model\.family"):
        find_model(name)


def test_the_table_has_the_seven_and_ours() -> None:
    """Decoders take the authors' wrapper, encoder-decoders none."""
    assert len(MODELS) == 8
    wrappers = {card.name: card.wrapper for card in MODELS}
    assert [name for name, wrapper in wrappers.items() if wrapper is Wrapper.BARE] == [
        "Emot5-large",
        "Emobart-large",
    ]
    assert find_model("Emobart-large").hub_id == "lzw1008/Emobart-large"


def test_every_model_has_room_for_the_longest_task() -> None:
    """A builder can be made for each by its own limits."""
    for card in MODELS:
        builder = PromptBuilder(
            list(TASKS.values()),
            wrapper=card.wrapper,
            max_input_tokens=card.max_input_tokens,
            instruction_budget=card.instruction_budget,
        )
        assert builder.text_tokens > 280, card.name


def test_what_a_server_gets_wrong_has_a_remedy() -> None:
    """What `emostream models` prints."""
    notes = {
        (card.name, entry.server): (entry.works, entry.note)
        for card in MODELS
        for entry in card.serving
    }
    assert notes["Emollama-7b", "TGI 3.3"][0] == "yes"
    assert notes["Emobloom-7b", "TGI 3.3"][0] == "care"
    assert "transformer." in notes["Emobloom-7b", "TGI 3.3"][1]
    assert "v2.4.0" in notes["Emot5-large", "TGI 3.3"][1]
    assert "SILENTLY WRONG" in notes["Emobart-large", "TGI 3.3"][1]
    assert all(notes[card.name, "emostream serve"][0] == "yes" for card in MODELS)


def test_a_model_of_ones_own_is_described_by_family_and_wrapper() -> None:
    """A fine-tuned one, say."""
    card = describe_model("mine", family="t5", wrapper="bare", max_input_tokens=700)
    assert (card.max_input_tokens, card.wrapper) == (700, Wrapper.BARE)
    llama = describe_model("mine", family="llama", wrapper="human", max_input_tokens=700)
    assert llama.max_input_tokens == 700
    assert describe_model("mine", family="opt", wrapper="human").max_input_tokens == 2_000
    with pytest.raises(ValueError, match="must be one of llama, opt, bloom, t5, bart"):
        describe_model("mine", family="gpt", wrapper="human")
    with pytest.raises(ValueError, match="must be `human` or `bare`"):
        describe_model("mine", family="opt", wrapper="none")


def test_the_table_says_what_each_model_takes_and_how_it_is_launched() -> None:
    """Two bytes a parameter; a server that can serve it has its command, the others none."""
    for card in MODELS:
        assert card.architecture.endswith(("ForCausalLM", "ForConditionalGeneration"))
        assert card.dtype
        assert card.tokenizer
        assert card.weights_gb > 0
        for entry in card.serving:
            command = entry.command(card.hub_id or card.name)
            assert bool(command) == (entry.works != "no"), (card.name, entry.server)
            if card.hub_id is not None and command:
                assert card.name in command
        assert card.cache_mb_per_token > 0
    small = find_model("emostream-small")
    assert small.cache_mb_per_token == pytest.approx(2 * 2 * 384 * 2 / 1e6, rel=0.03)
    llama = find_model("Emollama-7b")
    assert llama.cache_mb_per_token == pytest.approx(2 * 32 * 4096 * 2 / 1e6, rel=0.02)


def info(dialect: str, software: str | None = None, version: str | None = None) -> ServerInfo:
    return ServerInfo(dialect=dialect, model_id="m", software=software, version=version)


@pytest.mark.parametrize(
    ("model", "server", "remedy"),
    [
        ("Emobart-large", info("tgi"), "emostream serve --model-id lzw1008/Emobart-large"),
        ("Emobart-large", info("tgi", "emostream"), None),
        ("Emot5-large", info("openai"), "emostream serve --model-id lzw1008/Emot5-large"),
        ("Emot5-large", info("tgi", "tgi", "3.3.6-dev0"), "emostream serve --model-id lzw1008/"),
        ("Emot5-large", info("tgi", "tgi", "2.4.0"), None),
        ("Emobart-large", info("tgi", "tgi", "2.4.0"), "emostream serve --model-id lzw1008/"),
        ("Emot5-large", info("openai", "llamacpp"), None),
        ("Emollama-7b", info("tgi"), None),
        ("emostream-small", info("other"), None),
    ],
)
def test_a_pairing_that_answers_rubbish_comes_with_what_to_run_instead(
    model: str, server: ServerInfo, remedy: str | None
) -> None:
    found = pairing_remedy(find_model(model), server)
    assert (found is None) == (remedy is None)
    if found is not None and remedy is not None:
        assert remedy in found


@pytest.mark.parametrize(
    ("model", "server", "pads"),
    [
        ("Emollama-chat-7b", info("tgi", "tgi"), False),  # paged attention
        ("Emollama-chat-7b", info("openai", "vllm"), False),
        ("Emollama-chat-7b", info("tgi", "emostream"), True),  # static batches
        ("Emoopt-13b", info("tgi", "tgi"), True),
        ("Emoopt-13b", info("openai", "vllm"), False),
        ("Emobloom-7b", info("tgi", "tgi"), True),
        ("Emot5-large", info("tgi", "tgi", "2.4.0"), True),
        ("emostream-small", info("tgi", "emostream"), True),
    ],
)
def test_the_table_says_which_server_pads_a_models_batches(
    model: str, server: ServerInfo, *, pads: bool
) -> None:
    entry = serving_on(find_model(model), server)
    assert entry is not None
    assert entry.pads is pads


def test_tgi_is_launched_with_the_folder_of_blooms_converted_tensors() -> None:
    """And knows it by the model's name, by which its prompts are chosen."""
    card = find_model("Emobloom-7b")
    command = card.serving[0].command(card.hub_id or "")
    assert " -v ./Emobloom-7b-tgi:/data/Emobloom-7b ghcr.io" in command
    served = command.split("--model-id ")[1].split()[0]
    assert find_model(served) == card


def test_the_tgi_that_still_serves_t5_is_launched_in_bfloat16() -> None:
    """T5's activations overflow in float16; TGI wants more tokens in all than of the prompt."""
    card = find_model("Emot5-large")
    (entry,) = [one for one in card.serving if one.server == "TGI 2.4.0"]
    command = entry.command(card.hub_id or "")
    assert "text-generation-inference:2.4.0 --model-id lzw1008/Emot5-large" in command
    assert "--dtype bfloat16 --max-input-tokens 512 --max-total-tokens 560" in command


def test_the_small_model_has_as_many_parameters_as_the_table_says() -> None:
    weights = SMALL_MODEL / "model.safetensors"
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(length))
    parameters = sum(prod(t["shape"]) for name, t in tensors.items() if name != "__metadata__")
    assert find_model("emostream-small").size == f"{parameters / 1e6:.1f} M"
