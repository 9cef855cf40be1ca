"""Texts to tokens and back, on the `tokenizers` library alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from infra.tgi.engine import Encoded
from infra.tgi.errors import StartError


class ModelTokenizer:
    """A model's vocabulary.

    A post that contains `</s>` or the like contains text: special tokens are only ever added,
    never read out of a text.
    """

    def __init__(self, tokenizer: Tokenizer, *, eos_ids: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self.eos_ids = frozenset(eos_ids)
        self.special_ids = frozenset(
            index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special
        )
        self._ids: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
        #: Tokens in the vocabulary, the added ones included.
        self.size = max(self._ids.values()) + 1
        self._texts = {index: text for text, index in self._ids.items()}

    @classmethod
    def load(
        cls, folder: Path, *, eos_token: str | None = None, eos_ids: Iterable[int] = ()
    ) -> ModelTokenizer:
        """Read tokenizer.json of a model folder. Raises `StartError` when there is none."""
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise StartError(f"{folder} has no tokenizer.json")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exception
            raise StartError(f"{file} can't be read: {error}") from error
        found = set(eos_ids)
        if eos_token is None and not found:
            named = read_json(folder / "tokenizer_config.json").get("eos_token")
            eos_token = named.get("content") if isinstance(named, dict) else named
        if eos_token is not None and (index := tokenizer.token_to_id(eos_token)) is not None:
            found.add(index)
        return cls(tokenizer, eos_ids=found)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
        """Tokenize texts; lets other threads run meanwhile."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=add_special_tokens)
        return [Encoded(one.ids, one.offsets) for one in encodings]

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The vocabulary's own writing of some tokens."""
        texts = self._texts
        return [texts[one] for one in ids]

    def ids(self, texts: Sequence[str]) -> list[int]:
        """The other way round."""
        ids = self._ids
        return [ids[one] for one in texts]

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """The text of some tokens."""
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special)

    def decode_plain(self, ids: Sequence[int]) -> str:
        """The text of some tokens without the special ones."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def decode_many(self, answers: Sequence[Sequence[int]]) -> list[str]:
        """The texts of several answers, without special tokens."""
        return self._tokenizer.decode_batch(
            [list(answer) for answer in answers], skip_special_tokens=True
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder; empty where the file isn't there.

    Raises:
        StartError: it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StartError(f"{path} is damaged ({error}): fetch the model again") from error
    if not isinstance(found, dict):
        raise StartError(f"{path} is damaged (no JSON object): fetch the model again")
    return found
