"""A small model in the making: its words and tokenizer, and tiny random weights."""

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from training import tokenizer as tokenizers
from training import vocabulary, wordings
from training.targets import AUXILIARY, Encoder

WORDS = vocabulary.extend(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"], [])


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder(tokenizers.build(WORDS, wordings.load()), WORDS)


@pytest.fixture
def model() -> BartForConditionalGeneration:
    """Tiny and random, and so without dropout the same each time."""
    torch.manual_seed(5)
    shape = BartConfig(
        vocab_size=len(WORDS) + len(AUXILIARY),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=64,
        init_std=0.8,
        dropout=0.0,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
    )
    return BartForConditionalGeneration(shape)
