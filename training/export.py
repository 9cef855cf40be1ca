"""The shipped folder: float16 weights for transformers, int8 ones for CTranslate2, the tokenizer.

Every file is written beside its place and then renamed, so that a server that reads the folder
never finds half of one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BartForConditionalGeneration, GenerationConfig

from training import convert, vocabulary
from training.tokenizer import MAX_PROMPT_TOKENS

_LONGEST_ANSWER: Final = 16
"""New tokens enough for every answer: eleven labels, the full stop and the end."""

_LOADER_NEEDS: Final = {
    "normalize_before": False,
    "normalize_embedding": True,
    "add_final_layer_norm": False,
    "add_bias_logits": False,
    "static_position_embeddings": False,
}
"""What CTranslate2's loader asks of a BART's config.json and transformers 5 doesn't write."""


def assemble(
    words: Sequence[str], weights: Mapping[str, Tensor], leanings: Mapping[str, float]
) -> BartForConditionalGeneration:
    """The model to ship out of trained weights: without the auxiliary entries, answers only.

    `leanings` are added to the logits of some answers.
    """
    model = BartForConditionalGeneration(convert.config(words))
    table = "model.shared.weight"
    kept = {name: tensor for name, tensor in weights.items() if "embed_tokens" not in name}
    kept[table] = kept[table][: len(words)]
    missing, unexpected = model.load_state_dict(
        {name: tensor for name, tensor in kept.items() if name != "lm_head.weight"}, strict=False
    )
    tied = {
        "model.encoder.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
        "lm_head.weight",
        "final_logits_bias",
    }
    if unexpected or set(missing) - tied:
        raise ValueError(f"the weights don't fit: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    model.final_logits_bias.copy_(convert.answer_bias(words, leanings))
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers' own
        num_beams=1,
        do_sample=False,
        max_new_tokens=_LONGEST_ANSWER,
        pad_token_id=model.config.pad_token_id,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        decoder_start_token_id=model.config.decoder_start_token_id,
    )
    model.train(mode=False)
    return model


def mean(several: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several runs' weights, name by name."""
    return {
        name: torch.stack([weights[name].float() for weights in several]).mean(0)
        for name in several[0]
    }


def _tokenizer_files(tokenizer: Tokenizer, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_PROMPT_TOKENS,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        # A post that says [SEP] says it in words.
        "split_special_tokens": True,
        "bos_token": "[CLS]",
        "cls_token": "[CLS]",
        "eos_token": "[SEP]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _light(folder: Path) -> None:
    """Convert the folder's model to int8 for CTranslate2, into its `ct2/`."""
    mapping = folder / "answers.vmap"
    answers = " ".join(vocabulary.answer_token(answer) for answer in vocabulary.ANSWERS)
    # An empty n-gram's candidates are always candidates: with `use_vmap`, only the answers' rows
    # of the output layer are computed, 138 of 31,000.
    mapping.write_text(f"\t{answers} [SEP]\n", encoding="utf-8")
    converter = TransformersConverter(str(folder))
    converter.convert(str(folder / "ct2"), vmap=str(mapping), quantization="int8_float32")
    mapping.unlink()


def write(model: BartForConditionalGeneration, tokenizer: Tokenizer, target: Path) -> None:
    """Write the whole folder `target`; other files in it (the model card) stay."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as name:
        folder = Path(name)
        model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
        _tokenizer_files(tokenizer, folder)
        config = json.loads((folder / "config.json").read_text())
        config.update(_LOADER_NEEDS)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        _light(folder)
        (target / "ct2").mkdir(exist_ok=True)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                path.chmod(0o644)
                shutil.move(path, target / path.relative_to(folder))
