"""The table of models: what each needs and which server can serve it."""

import re
import sys
from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from emollm.prompts import Wrapper
from emollm.protocol import ServerInfo

Family = Literal["llama", "opt", "bloom", "t5", "bart"]
Verdict = Literal["yes", "care", "no"]

FAMILIES: Final[tuple[str, ...]] = get_args(Family)
_LONGEST_ANSWER: Final = 48
"""`max_new_tokens` of the longest task: a decoder-only model's context holds the answer, too."""


class Serving(msgspec.Struct, frozen=True):
    """Whether a server can serve a model."""

    server: str
    """`TGI 3.3`, `TGI 2.4.0`, `vLLM`, `emostream serve`."""
    works: Verdict
    """`yes`, `care` (see the note) or `no`."""
    note: str = ""
    pads: bool = False
    """Whether it pads the prompts of a batch to the longest: those of similar length are then best
    sent together. Paged attention (TGI's LLaMA, vLLM) pads nothing."""
    launch: str = ""
    """Command that starts it on port 3000, with `{model}` for the model's id; empty for `no`."""

    def command(self, model: str) -> str:
        """The launch command for a model; empty where there is none."""
        name = model.rstrip("/").rpartition("/")[2]
        return self.launch.replace("{model}", model).replace("{name}", name)


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before it is asked."""

    name: str
    hub_id: str | None
    """Where it is published; None for a local one."""
    family: Family
    wrapper: Wrapper
    context_tokens: int
    """Positions it was built for."""
    size: str
    """Parameters, for humans."""
    serving: tuple[Serving, ...] = ()
    instruction_budget: int | None = None
    """Tokens of the longest instruction where the tokenizer is known; else estimated."""
    architecture: str = ""
    """The class of transformers that loads it."""
    dtype: str = ""
    """To serve it with. T5's activations overflow in float16."""
    tokenizer: str = ""
    """What is peculiar about its tokenizer, for humans."""
    weights_gb: float = 0.0
    """GPU memory of the weights at two bytes a parameter, in 10^9 bytes."""
    cache_mb_per_token: float = 0.0
    """GPU memory of one token in flight: 2 (key, value) x layers x width x 2 bytes, in 10^6 bytes.
    64 prompts of 150 tokens are 9,600 tokens."""

    @property
    def max_input_tokens(self) -> int:
        """Longest prompt it can take; a server may allow less."""
        encoder_decoder = self.family in {"t5", "bart"}
        return self.context_tokens - (0 if encoder_decoder else _LONGEST_ANSWER)


class UnknownModel(ValueError):  # noqa: N818 - says what it is
    """A model that is not in the table; its message says what to configure."""


_TGI_IMAGE: Final = (
    "docker run --gpus all --shm-size 1g -p 3000:80 ghcr.io/huggingface/text-generation-inference"
)
_TGI_LAUNCH: Final = (
    f"{_TGI_IMAGE}:3.3.6 --model-id {{model}} --dtype float16"
    " --max-input-tokens 2000 --max-total-tokens 2048"
)
_TGI_BLOOM_LAUNCH: Final = _TGI_LAUNCH.replace(
    "-p 3000:80", "-p 3000:80 -v ./{name}-tgi:/data/{name}"
).replace("{model}", "/data/{name}")
"""Of the folder that `models for-tgi` wrote; mounted under the name that says which model it is."""
_TGI_LAST_T5: Final = "2.4.0"
"""The last release that serves T5."""
_TGI_T5_LAUNCH: Final = (
    f"{_TGI_IMAGE}:{_TGI_LAST_T5} --model-id {{model}} --dtype bfloat16"
    " --max-input-tokens 512 --max-total-tokens 560"
)
_VLLM: Final = Serving(
    "vLLM",
    "yes",
    "OpenAI dialect",
    launch="vllm serve {model} --dtype float16 --max-model-len 2048 --port 3000",
)
_OWN: Final = Serving(
    "emostream serve",
    "yes",
    "transformers and torch, CPU or CUDA",
    pads=True,
    launch="emostream serve --model-id {model} --port 3000",
)
_SERVING: Final[Mapping[str, tuple[Serving, ...]]] = {
    "llama": (
        Serving(
            "TGI 3.3",
            "yes",
            "paged attention, prefix cache, continuous batching",
            launch=_TGI_LAUNCH,
        ),
        _VLLM,
        _OWN,
    ),
    "opt": (
        Serving(
            "TGI 3.3",
            "care",
            "no paged attention, no prefix cache: one long post makes its whole batch pay",
            pads=True,
            launch=_TGI_LAUNCH,
        ),
        _VLLM,
        _OWN,
    ),
    "bloom": (
        Serving(
            "TGI 3.3",
            "care",
            "fails with 'weight word_embeddings.weight does not exist' until the 'transformer.' "
            "prefix is stripped from the checkpoint's tensor names: `emostream models for-tgi`",
            pads=True,
            launch=_TGI_BLOOM_LAUNCH,
        ),
        _VLLM,
        _OWN,
    ),
    "t5": (
        Serving(
            "TGI 3.3",
            "no",
            "broken since v2.4.1 (TypeError at warm-up, TGI issue 3019); v2.4.0 serves it",
        ),
        Serving(
            f"TGI {_TGI_LAST_T5}",
            "care",
            "the last release that serves T5: it gets no more fixes",
            pads=True,
            launch=_TGI_T5_LAUNCH,
        ),
        Serving("vLLM", "no", "T5 never came to its engine"),
        _OWN,
    ),
    "bart": (
        Serving(
            "TGI 3.3",
            "no",
            "SILENTLY WRONG: loads the decoder alone with fresh weights and answers 200 with "
            "garbage; the canary refuses it",
        ),
        Serving("vLLM", "no", "BART was dropped"),
        _OWN,
    ),
}
_ARCHITECTURE: Final[Mapping[str, str]] = {
    "llama": "LlamaForCausalLM",
    "opt": "OPTForCausalLM",
    "bloom": "BloomForCausalLM",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
}
_NO_PAD: Final = "32,000 tokens, no pad token"
_NO_FAST: Final = f"{_NO_PAD}; ships no tokenizer.json, so it is converted at the first start"


def _emollm(
    name: str,
    family: Family,
    context_tokens: int,
    size: str,
    *,
    tokenizer: str,
    weights_gb: float,
    cache_mb_per_token: float,
    dtype: str = "float16",
) -> ModelCard:
    return ModelCard(
        name=name,
        hub_id=f"lzw1008/{name}",
        family=family,
        wrapper=Wrapper.BARE if family in {"t5", "bart"} else Wrapper.HUMAN,
        context_tokens=context_tokens,
        size=size,
        serving=_SERVING[family],
        architecture=_ARCHITECTURE[family],
        dtype=dtype,
        tokenizer=tokenizer,
        weights_gb=weights_gb,
        cache_mb_per_token=cache_mb_per_token,
    )


SMALL: Final = ModelCard(
    name="emostream-small",
    hub_id=None,
    family="bart",
    wrapper=Wrapper.HUMAN,  # takes both; one form keeps caches and recordings alike
    context_tokens=510,
    size="27.7 M",
    architecture="BartForConditionalGeneration",
    dtype="float32",
    tokenizer="folds each known instruction into two tokens",
    weights_gb=0.06,
    cache_mb_per_token=0.003,
    serving=(
        Serving(
            "emostream serve",
            "yes",
            "the default; on the CPU, without torch",
            pads=True,
            launch="emostream serve --port 3000",
        ),
        *(entry for entry in _SERVING["bart"] if entry.works == "no"),
    ),
    # Its tokenizer folds a known instruction into two markers; wrapper and specials come to ten.
    instruction_budget=16,
)
"""The model that ships with emostream."""

MODELS: Final[tuple[ModelCard, ...]] = (
    _emollm(
        "Emollama-7b",
        "llama",
        2048,
        "7 B",
        tokenizer=_NO_FAST,
        weights_gb=13.5,
        cache_mb_per_token=0.52,
    ),
    _emollm(
        "Emollama-chat-7b",
        "llama",
        2048,
        "7 B",
        tokenizer=_NO_FAST,
        weights_gb=13.5,
        cache_mb_per_token=0.52,
    ),
    _emollm(
        "Emollama-chat-13b",
        "llama",
        2048,
        "13 B",
        tokenizer=_NO_PAD,
        weights_gb=26.0,
        cache_mb_per_token=0.82,
    ),
    _emollm(
        "Emoopt-13b",
        "opt",
        2048,
        "13 B",
        tokenizer="50,272 tokens, begins every prompt with </s>",
        weights_gb=25.7,
        cache_mb_per_token=0.82,
    ),
    _emollm(
        "Emobloom-7b",
        "bloom",
        2048,
        "7 B",
        tokenizer="250,880 tokens, for 46 languages",
        weights_gb=14.1,
        cache_mb_per_token=0.49,
    ),
    _emollm(
        "Emot5-large",
        "t5",
        512,
        "770 M",
        tokenizer="no newline and no braces in its vocabulary",
        weights_gb=1.5,
        cache_mb_per_token=0.1,
        dtype="bfloat16",
    ),
    _emollm(
        "Emobart-large",
        "bart",
        1024,
        "406 M",
        tokenizer="generation_config asks for 4 beams: ours is greedy",
        weights_gb=0.8,
        cache_mb_per_token=0.05,
    ),
    SMALL,
)
"""The seven EmoLLMs of the KDD '24 paper, and our own small one."""


def serving_on(card: ModelCard, info: ServerInfo) -> Serving | None:
    """Find what the table says of a model on the server that tells this of itself.

    A server that doesn't tell what it is counts as the usual one of its dialect: TGI, or vLLM.
    None where the table says nothing.
    """
    software = info.software or {"tgi": "tgi", "openai": "vllm"}.get(info.dialect)
    names = {"tgi": ["TGI 3.3"], "vllm": ["vLLM"], "emostream": ["emostream serve"]}
    wanted = names.get(software or "", [])
    if software == "tgi" and _release(info.version) <= _release(_TGI_LAST_T5):
        wanted.insert(0, f"TGI {_TGI_LAST_T5}")
    found = {entry.server: entry for entry in card.serving}
    return next((found[name] for name in wanted if name in found), None)


def _release(version: str | None) -> tuple[int, ...]:
    """`3.3.6-dev0` as numbers; an unknown one counts as new."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version or "")
    return tuple(map(int, numbers.groups())) if numbers else (sys.maxsize,)


def pairing_remedy(card: ModelCard, info: ServerInfo) -> str | None:
    """Say what to do about a model that this server can't serve.

    None where it can, or where the table doesn't say. What a server tells of itself may be wrong:
    so this explains a canary that failed, and proves nothing by itself.
    """
    entry = serving_on(card, info)
    if entry is None or entry.works != "no":
        return None
    model = card.hub_id or card.name
    return f"{entry.server} can't serve {card.name} ({entry.note}): run {_OWN.command(model)}"


def find_model(name: str) -> ModelCard:
    """Look a model up by hub id, name, or the last part of a path, in whatever case.

    A folder of the hub's cache (`…/models--lzw1008--Emollama-7b/snapshots/<sha>`) is known, too.

    Raises:
        UnknownModel: not in the table; the message says what to configure.
    """
    by_name = {card.name.lower(): card for card in MODELS}
    parts = [part for part in name.lower().replace("\\", "/").split("/") if part]
    cached = [part.rsplit("--", 1)[-1] for part in parts if part.startswith("models--")]
    for part in (*parts[-1:], *cached):
        if part in by_name:
            return by_name[part]
    known = ", ".join(card.name for card in MODELS)
    raise UnknownModel(
        f"model {name!r} is none of {known}: configure model.wrapper (`human` for instructions"
        " between 'Human:' and 'Assistant:', `bare` for none), and model.family for t5 or bart"
    )


def describe_model(
    name: str, *, family: str, wrapper: str, max_input_tokens: int | None = None
) -> ModelCard:
    """Make the card of a model that is not in the table, from the configuration.

    `max_input_tokens` defaults to the least of its family (512 for T5, 1024 for BART, 2000 else).

    Raises:
        ValueError: unknown family or wrapper.
    """
    if family not in _SERVING:
        raise ValueError(f"family {family!r}: must be one of {', '.join(FAMILIES)}")
    known: Family = family  # type: ignore[assignment]
    context = {"t5": 512, "bart": 1024}.get(family, 2048)
    spare = 0 if family in {"t5", "bart"} else _LONGEST_ANSWER
    return ModelCard(
        name=name,
        hub_id=None,
        family=known,
        wrapper=Wrapper.named(wrapper),
        context_tokens=context if max_input_tokens is None else max_input_tokens + spare,
        size="unknown",
        serving=_SERVING[family],
    )
