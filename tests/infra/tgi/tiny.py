"""Tiny random models of the EmoLLMs' architectures, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
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

WORDS = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{index}" for index in range(60))]
_SIZE = len(WORDS)


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "<unk>"))
    made.add_special_tokens(WORDS[:4])
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return made


def model(kind: str) -> Any:
    """A model with the EmoLLMs' surprises: no padding token (llama), beams and trigrams (bart)."""
    torch.manual_seed(7)
    made: Any
    if kind == "bart":
        made = BartForConditionalGeneration(
            BartConfig(
                vocab_size=_SIZE,
                d_model=16,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
                max_position_embeddings=64,
                decoder_start_token_id=2,
                bos_token_id=0,
                pad_token_id=1,
                eos_token_id=2,
                forced_eos_token_id=None,
                init_std=0.4,
            )
        )
        made.generation_config.num_beams = 4
        made.generation_config.no_repeat_ngram_size = 3
        made.generation_config.forced_bos_token_id = 0
        made.generation_config.early_stopping = True
    elif kind == "t5":
        made = T5ForConditionalGeneration(
            T5Config(
                vocab_size=_SIZE,
                d_model=16,
                d_kv=8,
                d_ff=32,
                num_layers=2,
                num_heads=2,
                pad_token_id=1,
                eos_token_id=2,
            )
        )
        made.generation_config.decoder_start_token_id = 1
    elif kind == "llama":
        made = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=_SIZE,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=64,
                bos_token_id=0,
                eos_token_id=2,
                initializer_range=0.4,
            )
        )
    elif kind == "opt":
        made = OPTForCausalLM(
            OPTConfig(
                vocab_size=_SIZE,
                hidden_size=16,
                word_embed_proj_dim=16,
                ffn_dim=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=64,
                bos_token_id=0,
                pad_token_id=1,
                eos_token_id=2,
                init_std=0.4,
            )
        )
    else:
        made = BloomForCausalLM(
            BloomConfig(
                vocab_size=_SIZE,
                hidden_size=16,
                n_layer=2,
                n_head=2,
                bos_token_id=0,
                pad_token_id=1,
                eos_token_id=2,
                initializer_range=0.4,
            )
        )
    return made.eval()


def save(folder: Path, kind: str) -> Path:
    """A model's folder as `save_pretrained` writes it."""
    model(kind).save_pretrained(folder)
    fast: Any = PreTrainedTokenizerFast
    fast(
        tokenizer_object=tokenizer(),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **({} if kind == "llama" else {"pad_token": "<pad>"}),
    ).save_pretrained(folder)
    return folder


def save_light(folder: Path) -> Path:
    """The tiny BART in the light engine's form beside its own."""
    from ctranslate2.converters import TransformersConverter  # noqa: PLC0415 - imports torch

    save(folder, "bart")
    file = folder / "config.json"
    config = json.loads(file.read_text())
    # What the converter wants to know of a BART, and transformers 5 no longer writes.
    config |= {
        "normalize_before": False,
        "normalize_embedding": True,
        "add_final_layer_norm": False,
        "add_bias_logits": False,
        "static_position_embeddings": False,
    }
    file.write_text(json.dumps(config))
    TransformersConverter(str(folder)).convert(str(folder / "ct2"))
    return folder
