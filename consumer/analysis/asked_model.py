"""One model as posts are read by it: its servers, its prompts, its answers, its name."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer
from consumer.analysis.event import ModelName
from consumer.analysis.inference import (
    DIGEST_BYTES,
    AnalysisObserver,
    Asking,
    Inference,
    OnFound,
)
from emollm.prompts import PreparedText, PromptBuilder
from emollm.protocol import ModelPool, ServerInfo

_UNKNOWN = "unknown"


class AvailablePool(ModelPool, Protocol):
    """A pool that tells when it can be asked again."""

    async def wait_available(self) -> None:
        """Return as soon as `available` is True."""

    def suspect_model(self) -> None:
        """Have every server pass the canary again; `available` is False until one has."""


class AskedModel:
    """A model and what is to be known of it before it is asked: `look` first."""

    def __init__(
        self,
        pool: AvailablePool,
        make_builder: Callable[[ServerInfo], PromptBuilder],
        cache: AnswerCache[Answer],
        *,
        observer: AnalysisObserver | None = None,
        name: str = "",
        revision: str = "",
        role: str = "",
    ) -> None:
        """`name` and `revision`, where given, count instead of what the servers say.

        `make_builder` raises ValueError where the model is unknown or leaves no room for a post.
        Models of two roles share one cache and never an answer.
        """
        self.pool = pool
        self.inference = Inference(pool, None, cache, observer)
        self._make_builder = make_builder
        self._builder: PromptBuilder
        self._configured_name, self._configured_revision = name, revision
        self._role = role
        self._info: ServerInfo | None = None
        self._person = b""
        self.model = ModelName(id=name or _UNKNOWN, revision=revision or None)
        """What events call it."""

    @property
    def known(self) -> bool:
        """Whether a server has told what it serves: nothing can be asked before."""
        return self._info is not None

    @property
    def named(self) -> bool:
        """Whether `model` has a name, configured or told."""
        return self.model.id != _UNKNOWN

    def look(self) -> bool:
        """Note what the servers say of the model; False while none has told.

        Answers of another model, or revision, are other answers.
        """
        try:
            info = self.pool.info
        except RuntimeError:  # no server has told yet
            return False
        if info is self._info:
            return True
        self._builder = self._make_builder(info)
        self.inference.build = self._builder.build
        self._info = info
        self.model = ModelName(
            id=self._configured_name or info.model_id,
            revision=self._configured_revision or info.model_revision,
        )
        name = f"{self.model.id}\0{self.model.revision or ''}".encode()
        if self._role:
            name += b"\0" + self._role.encode()
        self._person = hashlib.blake2b(name, digest_size=16).digest()
        return True

    def prepare(self, text: str) -> tuple[PreparedText, bytes]:
        """Make a text ready for this model's prompts; with its key under this model."""
        prepared = self._builder.prepare(text)
        digest = hashlib.blake2b(
            prepared.text.encode(),
            digest_size=DIGEST_BYTES,
            person=self._person,
            usedforsecurity=False,
        ).digest()
        return prepared, digest

    def begin(self, on_found: OnFound, *, turn: int = 0) -> Asking:
        """Ask a batch's questions, from within a `with`; lower turns are served first."""
        return self.inference.begin(on_found, turn=turn)


async def first_of(*waits: Coroutine[Any, Any, None]) -> None:
    """Return when one of them has, or raise what one raises; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
