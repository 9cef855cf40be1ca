"""Each model family's tokenizer, in the layout that its model was published with.

No hub is asked: the vocabularies are learnt here, from the project's own words. What decides
whether a post can reach the prompt's structure is not the vocabulary but the layout, and that is
theirs: model type, normalizer, pre-tokenizer, special tokens and whether these are found in text
(they are: TGI and transformers look for every added token before anything else).
"""

import io
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

import infra.tgi
from emollm.prompts import Wrapper
from emollm.wordings import WORDINGS

_ROOT = Path(__file__).parents[2]
_SPACE = "\u2581"
_BLOOM_WORDS = r" ?[^(\s|[.,!?…。，、।۔،])]+"
"""BLOOM's pre-tokenizer."""


class Layout(NamedTuple):
    """A tokenizer, and the prompts that its models take."""

    name: str
    models: str
    wrapper: Wrapper
    tokenizer: Tokenizer
    special: frozenset[int]
    """Ids that no text may yield: begin, end, padding, unused, and bytes that break a line."""


def corpus() -> list[str]:
    """What the vocabularies are learnt from: the wordings and this project's pages."""
    lines = [line for task in WORDINGS.values() for line in (*task.wordings, task.layout)]
    pages = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]
    for page in pages:
        lines += page.read_text(encoding="utf-8").splitlines()
    frames = "Human: \n\nAssistant:\n Human: Assistant: Emotion E: Intensity Score: Tweet: Text:"
    return [line for text in (*lines, *[frames] * 20) for line in text.splitlines() if line.strip()]


@cache
def layouts() -> tuple[Layout, ...]:
    """All six; made once, in about a second."""
    return (_llama(), _opt(), _bloom(), _t5(), _bart(), _small())


def _sentencepiece(**options: Any) -> tuple[sentencepiece.SentencePieceProcessor, bytes]:
    """Learn a vocabulary with the very program that LLaMA's and T5's were learnt with."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        minloglevel=2,
        num_threads=1,
        hard_vocab_limit=False,
        **options,
    )
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.getvalue())
    return processor, model.getvalue()


def _llama() -> Layout:
    """LLaMA 2: BPE over whole text, bytes for what is unknown, spaces written as U+2581."""
    learnt, _ = _sentencepiece(
        model_type="bpe",
        vocab_size=1_500,
        byte_fallback=True,
        normalization_rule_name="identity",
        split_digits=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
    )
    pieces = [learnt.id_to_piece(number) for number in range(learnt.get_piece_size())]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    scores = [learnt.get_score(number) for number in range(len(pieces))]
    tokenizer = Tokenizer(
        models.BPE(
            vocab,
            _merges(vocab, scores),
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]
    )
    tokenizer.post_processor = _begun_with("<s>", vocab)
    _add(tokenizer, "<unk>", "<s>", "</s>")
    # Emollama's trainers padded with a token that they added to the vocabulary's end.
    tokenizer.add_special_tokens([AddedToken("<pad>", normalized=False)])
    special = _ids(tokenizer, "<unk>", "<s>", "</s>", "<pad>", "<0x0A>", "<0x0D>")
    return Layout("LLaMA 2", "Emollama", Wrapper.HUMAN, tokenizer, special)


def _merges(vocab: dict[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """SentencePiece keeps no merges: those of a piece are all pairs that make it, best first."""
    found = [
        (-scores[number], vocab[piece[:cut]], vocab[piece[cut:]], piece[:cut], piece[cut:])
        for piece, number in vocab.items()
        for cut in range(1, len(piece))
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _byte_level(
    vocab_size: int, special: Iterable[str], *, bloom: bool = False, normalized: bool = False
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not bloom)
    split = pre_tokenizers.Split(Regex(_BLOOM_WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level]) if bloom else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(one, normalized=normalized) for one in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # With their line breaks, for which GPT-2 and BLOOM have tokens.
    tokenizer.train_from_iterator([*corpus(), *["Human: \n\n\nAssistant:\n"] * 20], trainer)
    return tokenizer


def _opt() -> Layout:
    """OPT: GPT-2's byte-level BPE; `</s>` begins and ends, and is looked for in normalized text."""
    tokenizer = _byte_level(1_500, ("<s>", "<pad>", "</s>", "<unk>"), normalized=True)
    tokenizer.post_processor = _begun_with("</s>", tokenizer.get_vocab())
    special = _ids(tokenizer, "<s>", "<pad>", "</s>", "<unk>", "Ċ", "čĊ", "ĊĊ", "č")
    return Layout("OPT", "Emoopt", Wrapper.HUMAN, tokenizer, special)


def _bloom() -> Layout:
    """BLOOM: byte-level BPE on words of its own kind; nothing is put before the prompt."""
    tokenizer = _byte_level(1_500, ("<unk>", "<s>", "</s>", "<pad>"), bloom=True)
    special = _ids(tokenizer, "<unk>", "<s>", "</s>", "<pad>", "Ċ", "čĊ", "ĊĊ", "č")
    return Layout("BLOOM", "Emobloom", Wrapper.HUMAN, tokenizer, special)


def _bart() -> Layout:
    """BART: GPT-2's byte-level BPE between `<s>` and `</s>`; `<mask>` takes the space before it."""
    tokenizer = _byte_level(1_500, ("<s>", "<pad>", "</s>", "<unk>"))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    vocab = tokenizer.get_vocab()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", vocab["</s>"]), ("<s>", vocab["<s>"]), add_prefix_space=False
    )
    special = _ids(tokenizer, "<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ċ", "ĊĊ", "č")
    return Layout("BART", "Emobart", Wrapper.BARE, tokenizer, special)


def _t5() -> Layout:
    """T5: Unigram, text folded by SentencePiece's `nmt_nfkc`, a hundred sentinels.

    The Unigram model of `tokenizers` finds its control pieces in text, too, once it is folded:
    fullwidth brackets around `/s` would be the end.
    """
    learnt, model = _sentencepiece(
        model_type="unigram", vocab_size=1_200, pad_id=0, eos_id=1, unk_id=2, bos_id=-1
    )
    vocab = [
        (learnt.id_to_piece(number), learnt.get_score(number))
        for number in range(learnt.get_piece_size())
    ]
    vocab += [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Precompiled(_charsmap(model))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    names = ("<pad>", "</s>", "<unk>", *(f"<extra_id_{number}>" for number in range(100)))
    _add(tokenizer, *names)
    # A sign that the vocabulary lacks is `<unk>` in any text: that one is no secret.
    special = _ids(tokenizer, *names) - _ids(tokenizer, "<unk>")
    return Layout("T5", "Emot5", Wrapper.BARE, tokenizer, special)


def _small() -> Layout:
    """The small model's, the very file that ships."""
    folder = Path(infra.tgi.__file__).parent / "models" / "emostream-small"
    tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # as both engines set it
    vocab = tokenizer.get_vocab()
    special = {number for piece, number in vocab.items() if any(map(_private, piece))}
    special |= _ids(tokenizer, "[CLS]", "[SEP]", "[MASK]", "[PAD]")
    return Layout(
        "ours (WordPiece)", "emostream-small", Wrapper.HUMAN, tokenizer, frozenset(special)
    )


def _private(character: str) -> bool:
    return "\ue000" <= character <= "\uf8ff"


def _begun_with(token: str, vocab: dict[str, int]) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=f"{token} $A", special_tokens=[(token, vocab[token])]
    )


def _add(tokenizer: Tokenizer, *tokens: str) -> None:
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in tokens])


def _ids(tokenizer: Tokenizer, *tokens: str) -> frozenset[int]:
    found = (tokenizer.token_to_id(token) for token in tokens)
    return frozenset(number for number in found if number is not None)


def _charsmap(model: bytes) -> bytes:
    """The compiled `nmt_nfkc`: field 2 of field 3 (NormalizerSpec) of a SentencePiece model."""
    spec = next(content for number, content in _fields(model) if number == 3)
    return next(content for number, content in _fields(spec) if number == 2)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a protobuf message that have a length; the others are skipped."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += 8 if kind == 1 else 4


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
