"""From a post and what was found in it to the event, encoded and ready to publish."""

import hashlib
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

import msgspec

from consumer.analysis.reading import Findings
from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.records import Emit, Outcome, Record
from schemas import AffectEvent, ModelRef, Post
from schemas.headers import event_headers

_NAMESPACE = hashlib.sha1(
    uuid5(NAMESPACE_URL, "urn:emostream:affect-event").bytes, usedforsecurity=False
)


def event_id(name: str) -> str:
    """UUIDv5 of the name in emostream's namespace: RFC 9562, a third of `uuid.uuid5`'s time."""
    digest = _NAMESPACE.copy()
    digest.update(name.encode())
    value = bytearray(digest.digest()[:16])
    value[6] = value[6] & 0x0F | 0x50  # version 5
    value[8] = value[8] & 0x3F | 0x80  # variant of RFC 9562
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Pseudonyms:
    """Authors as keyed hashes: the same author gets the same one, nobody gets the author back.

    BLAKE2b, keyed, 128 bits, over source and author: a handle on two networks may be two persons.
    """

    def __init__(self, key: str) -> None:
        """`key` is the configured secret; empty means that authors are dropped."""
        # BLAKE2b takes at most 64 bytes of key.
        self._key = hashlib.blake2b(key.encode(), digest_size=32).digest() if key else None

    def __repr__(self) -> str:
        return "Pseudonyms()"

    def of(self, source: str | None, author: str | None) -> str | None:
        """Pseudonym of an author: 32 hexadecimal digits; None without a key or an author."""
        if self._key is None or author is None:
            return None
        name = f"{source or ''}\0{author}".encode()
        return hashlib.blake2b(name, digest_size=16, key=self._key).hexdigest()


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """What events call the model."""

    id: str
    revision: str | None


class EventBuilder:
    """Builds the outcome of a post that was read."""

    def __init__(self, *, signature: str, pseudonyms: Pseudonyms, include_text: bool) -> None:
        """`signature` is the plan's: the task set is part of every event's id."""
        self._signature = signature
        self._pseudonyms = pseudonyms
        self._include_text = include_text
        self._encode = msgspec.json.Encoder().encode
        self._refs: dict[tuple[ModelName, str | None], ModelRef] = {}

    def build(
        self,
        record: Record,
        post: Post,
        found: Findings,
        *,
        model: ModelName,
        server: str | None,
        prompts: int,
        truncated: bool,
        now: datetime,
    ) -> Outcome:
        """Give the event, or the dead letter of a post about which nothing could be said.

        The id is the same whenever the same record is analysed by the same model and task set, so
        a redelivery overwrites. The key is the record's own, or the post's id where it has none.
        """
        if not found.answered:
            return _nothing_said(record, found, model, prompts)
        assert post.created_at is not None  # set by the decoder
        position = f"{record.topic}/{record.partition}/{record.offset}"
        event = AffectEvent(
            version=1,
            id=event_id(f"{position}|{model.id}|{model.revision or ''}|{self._signature}"),
            post_id=post.id,
            source=post.source,
            author=self._pseudonyms.of(post.source, post.author),
            created_at=post.created_at,
            lang=post.lang,
            url=post.url,
            topics=post.topics,
            meta=post.meta,
            text=post.text if self._include_text else None,
            text_truncated=truncated,
            sentiment=found.sentiment,
            emotions=found.emotions,
            intensity=found.intensity,
            intensity_class=found.intensity_class,
            custom=found.custom,
            derived=tuple(found.derived),
            unanswered=found.unanswered,
            model=self._ref(model, server),
            processed_at=now,
            cached=prompts == 0,
            prompts=prompts,
        )
        try:
            value = self._encode(event)
        except RecursionError:
            message = "meta is nested too deep to be written"
            return make_dead_letter(record, Stage.PUBLISH, Reason.TOO_DEEP, message, model=model.id)
        except (ValueError, TypeError) as error:
            message = f"the event can't be written: {type(error).__name__}"
            return make_dead_letter(
                record, Stage.PUBLISH, Reason.UNENCODABLE, message, model=model.id
            )
        return Emit(
            key=record.key if record.key is not None else post.id.encode(),
            value=value,
            headers=event_headers(
                id=event.id, subject=post.id, time=now, record_headers=record.headers
            ),
        )

    def _ref(self, model: ModelName, server: str | None) -> ModelRef:
        """One object for each server: they are few, and events many."""
        ref = self._refs.get((model, server))
        if ref is None:
            if len(self._refs) > 1_000:  # servers come and go under one process
                self._refs.clear()
            ref = ModelRef(id=model.id, revision=model.revision, server=server)
            self._refs[model, server] = ref
        return ref


def _nothing_said(record: Record, found: Findings, model: ModelName, prompts: int) -> Outcome:
    if found.refusal is not None and found.refused == len(found.unanswered):
        stage, class_name = Stage.INFER, type(found.refusal).__name__
        message = str(found.refusal)
    else:
        stage, class_name = Stage.READ, str(Reason.UNANSWERED)
        message = "; ".join(f"{name}: {reason}" for name, reason in found.unanswered.items())
    return make_dead_letter(
        record, stage, class_name, message[:500], attempts=max(1, prompts), model=model.id
    )
