"""From a post and what was found in it to the event, encoded and ready to publish."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from consumer.analysis.decoder import Decoded
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.reading import Findings
from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.records import Emit, Outcome, Record
from runtime.registry.errors import Unencodable
from runtime.registry.values import Encoded
from schemas import AffectEvent, ModelRef, ModelUse
from schemas.headers import JSON_CONTENT, EventHeaders, event_headers


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """What events call the model."""

    id: str
    revision: str | None


Opinion = Literal["both", "first", "second"]
"""Whose values an event has, where two models are asked."""


class TwoReadings(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says of the two models, where a second one is configured."""

    opinion: Opinion
    models: dict[str, ModelUse]


class EventBuilder:
    """Builds the outcome of a post that was read."""

    def __init__(
        self,
        *,
        ids: EventIds,
        identifiers: Identifiers,
        include_text: bool,
        frame: Callable[[AffectEvent], Encoded] | None = None,
        content_type: bytes = JSON_CONTENT,
    ) -> None:
        """`frame` makes the value by a schema registry; without it events are plain JSON."""
        self._frame = frame
        self._content_type = content_type
        self._ids = ids
        self._identifiers = identifiers
        self._include_text = include_text
        self._encode = msgspec.json.Encoder().encode
        self._refs: dict[tuple[ModelName, str | None], ModelRef] = {}

    def build(
        self,
        record: Record,
        decoded: Decoded,
        found: Findings,
        *,
        model: ModelName,
        server: str | None,
        prompts: int,
        truncated: bool,
        now: datetime,
        two: TwoReadings | None = None,
    ) -> Outcome:
        """Give the event, or the dead letter of a post about which nothing could be said.

        The id is `EventIds`': a redelivery overwrites. The key is the record's own, or the post's
        id where it has none.
        """
        if not found.answered:
            return _nothing_said(record, found, model, prompts)
        assert decoded.post.created_at is not None  # set by the decoder
        id_ = self._ids.of(record.topic, record.partition, record.offset, record.value)
        post = self._identifiers.post(decoded.post, id_)
        event = AffectEvent(
            version=1,
            id=id_,
            post_id=post.id,
            source=post.source,
            author=self._identifiers.author(post.source, post.author),
            created_at=decoded.post.created_at,
            created_at_from="record" if decoded.time_from_record else None,
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
            opinion=None if two is None else two.opinion,
            models={} if two is None else two.models,
            processed_at=now,
            cached=prompts == 0,
            prompts=prompts,
        )
        framing: EventHeaders = ()
        try:
            if self._frame is None:
                value = self._encode(event)
            else:
                value, framing = self._frame(event)
        except RecursionError:
            message = "meta is nested too deep to be written"
            return make_dead_letter(record, Stage.PUBLISH, Reason.TOO_DEEP, message, model=model.id)
        except Unencodable as error:
            return make_dead_letter(
                record, Stage.PUBLISH, Reason.UNENCODABLE, str(error), model=model.id
            )
        except (ValueError, TypeError) as error:
            message = f"the event can't be written: {type(error).__name__}"
            return make_dead_letter(
                record, Stage.PUBLISH, Reason.UNENCODABLE, message, model=model.id
            )
        return Emit(
            key=self._identifiers.key(record.key, post.id),
            value=value,
            headers=event_headers(
                id=event.id,
                subject=post.id,
                time=now,
                record_headers=record.headers,
                content_type=self._content_type,
            )
            + framing,
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
