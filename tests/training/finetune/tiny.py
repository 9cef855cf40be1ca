"""Tiny models that can be taught: the EmoLLMs' five architectures, with a tokenizer for text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from emollm.tasks import TASKS, V_REG
from training.finetune.base import old_name
from training.finetune.records import Record

KINDS = ("llama", "opt", "bloom", "t5", "bart")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
POSITIONS = 512
WORDS = {"awful": 0.1, "sad": 0.3, "plain": 0.5, "nice": 0.7, "lovely": 0.9}
"""The whole language of the task that the tiny models learn: a word to its valence."""
TARGETS = {
    "llama": ["q_proj", "v_proj"],
    "opt": ["q_proj", "v_proj"],
    "bloom": ["query_key_value"],
    "t5": ["q", "v"],
}
RANK, ALPHA = 4, 12
"""Of the adapters, and where they are."""
FILLERS = ("the", "day", "a", "walk", "rain", "sea", "bread", "town")


def tokenizer(kind: str) -> Tokenizer:
    """Byte-level, trained on the prompts; what it puts around a text is the architecture's."""
    made = Tokenizer(models.BPE(unk_token=None))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    texts = [
        task.instruction("a b.", emotion, wording)
        for task in TASKS.values()
        for emotion in task.emotions or (None,)
        for wording in range(len(task.wordings))
    ]
    made.train_from_iterator(
        [*texts, *WORDS, *FILLERS],
        trainers.BpeTrainer(
            vocab_size=1200,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    around = {"t5": "$A </s>", "bart": "<s> $A </s>", "bloom": "$A"}.get(kind, "<s> $A")
    made.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


def model(kind: str, vocabulary: int) -> Any:
    """A random model with its family's surprises, the same each time."""
    torch.manual_seed(7)
    ends: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 2}
    padded = {**ends, "pad_token_id": 1}
    if kind == "llama":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=POSITIONS,
                **ends,
            )
        )
    if kind == "opt":
        return OPTForCausalLM(
            OPTConfig(
                vocab_size=vocabulary,
                hidden_size=32,
                word_embed_proj_dim=32,
                ffn_dim=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=POSITIONS,
                **padded,
            )
        )
    if kind == "bloom":
        return BloomForCausalLM(
            BloomConfig(vocab_size=vocabulary, hidden_size=32, n_layer=2, n_head=2, **padded)
        )
    if kind == "t5":
        t5 = T5ForConditionalGeneration(
            T5Config(
                vocab_size=vocabulary,
                d_model=32,
                d_kv=16,
                d_ff=64,
                num_layers=2,
                num_heads=2,
                pad_token_id=1,
                eos_token_id=2,
            )
        )
        t5.generation_config.decoder_start_token_id = 1
        return t5
    bart = BartForConditionalGeneration(
        BartConfig(
            vocab_size=vocabulary,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=POSITIONS,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
            **padded,
        )
    )
    bart.generation_config.num_beams = 4
    bart.generation_config.no_repeat_ngram_size = 3
    bart.generation_config.forced_bos_token_id = 0
    return bart


def save(folder: Path, kind: str) -> Path:
    """Write a model's folder as `save_pretrained` writes it."""
    words = tokenizer(kind)
    model(kind, words.get_vocab_size()).save_pretrained(folder)
    fast: Any = PreTrainedTokenizerFast
    fast(
        tokenizer_object=words,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **({} if kind == "llama" else {"pad_token": "<pad>"}),
    ).save_pretrained(folder)
    return folder


def save_adapters(base: Path, folder: Path, kind: str, **more: Any) -> Path:
    """Write random adapters for `base` as another program does: with peft alone."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - slow to import

    seq2seq = kind in {"t5", "bart"}
    loader: Any = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules=TARGETS[kind],
        task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
    )
    with old_name():
        made: Any = get_peft_model(loader.from_pretrained(base), config)
    torch.manual_seed(11)
    for name, weight in made.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    made.save_pretrained(folder, **more)
    return folder


def task(count: int, seed: int = 3) -> Iterator[Record]:
    """Records whose answer follows from one word among others, at any place."""
    draw = random.Random(seed)
    for _ in range(count):
        word = draw.choice(list(WORDS))
        words = [*draw.sample(FILLERS, 2), word]
        draw.shuffle(words)
        text = f"{' '.join(words)}."
        yield Record(V_REG.instruction(text), str(WORDS[word]))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """A saved model's tensors."""
    from safetensors.torch import load_file  # noqa: PLC0415 - imports torch's side of it

    return dict(load_file(folder / "model.safetensors"))


def settings_of(folder: Path) -> Any:
    """What config.json says of how the model wants to be asked."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))["emostream"]
