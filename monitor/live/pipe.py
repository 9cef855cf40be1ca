"""How the whole pipe is doing, asked of the brokers every few seconds."""

import asyncio
import re
from collections import deque
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from monitor.live.board import Board
from monitor.live.gauges import TrackGauges
from monitor.live.intake import Intake
from monitor.live.telling import Telling
from monitor.live.term import Term
from monitor.page.data import Pipe
from monitor.settings import Settings
from monitor.telemetry import log_events
from monitor.telemetry import metrics as m
from monitor.telemetry.health import Health
from runtime.clock import Clock, sleep
from runtime.kafka import unclosed
from runtime.kafka.connection import Broker, unreachable
from runtime.kafka.errors import KafkaFault
from runtime.kafka.topic_log import KafkaTopicLog, kafka_topic_log
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.metric import Counts
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("monitor")

_EVERY_S = 5.0
_ASK_S = 10.0
_MINUTE_S, _HOUR_S = 60.0, 3_600.0
_LOOK_EVERY = 12
"""Rounds, a minute: looks at what of the events' topic has expired, and lines about progress."""
_ASK_EVERY = 3
"""Rounds between questions to the brokers about others' topics."""
TESTED_LANGS = frozenset({"en"})
"""What the EmoLLMs' papers tested: English tweets."""


class PipeWatch:
    """Looks after lag, rates and shares; tells the board and the gauges."""

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        *,
        board: Board,
        counts: Counts,
        clock: Clock,
        telling: Telling,
        intake: Intake,
        gauges: TrackGauges,
        health: Health,
        log: KafkaTopicLog,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._board = board
        self._counts = counts
        self._clock = clock
        self._telling = telling
        self._intake = intake
        self._gauges = gauges
        self._health = health
        self._told = (0, 0.0)
        """Events and windows at the last line about progress."""
        self._log = log
        self._expired: dict[int, int] = {}
        self._tallied_at = clock.monotonic()
        self._rates: deque[tuple[float, int, int]] = deque()
        self._posts_lag: int | None = None
        self._dead: int | None = None
        self._quiet_since: float | None = None
        self._lost = Waiting(shared_events.KAFKA_UNREACHABLE, clock)

    def quiet_since(self) -> float | None:
        """Since when (monotonic) the consumer has had nothing to read; None while it has."""
        return self._quiet_since

    async def run(self, term: Term) -> None:
        """Go on until cancelled; return when the events' topic has more partitions than before."""
        rounds = 0
        while True:
            if rounds % _ASK_EVERY == 0:
                await self._ask()
            if rounds % _LOOK_EVERY == 1:
                await self._look_for_expired()
            # Each round: what comes to a new partition meanwhile waits, and must not become late.
            if await self._grown():
                return
            rounds += 1
            self._tell(term)
            if rounds % _LOOK_EVERY == 0:
                self._say_progress(term)
            await sleep(self._clock, _EVERY_S)

    def _tell(self, term: Term) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._rates.append((now, term.events, term.unanswered))
        while now - self._rates[0][0] > _HOUR_S:
            self._rates.popleft()
        _, events, unanswered = self._rates[0]
        read = term.events - events
        began, before, _ = next(one for one in self._rates if now - one[0] <= _MINUTE_S)
        rate = (term.events - before) / (now - began) if now > began else None
        if now - self._tallied_at > _HOUR_S:
            self._tallied_at = now
            term.by_lang.clear()
            term.by_model.clear()
        self._gauges.put()
        lag = term.lag
        for partition, behind in lag.items():
            self._counts.put(m.LAG, str(partition), value=behind)
        known = term.watermark > 0
        if known:
            self._counts.put(m.WATERMARK_AGE, value=wall - term.watermark)
        langs, posts = term.by_lang, sum(term.by_lang.values())
        untested = sum(n for lang, n in langs.items() if not _tested(lang))
        self._board.pipe_is(
            Pipe(
                at=datetime.fromtimestamp(wall, UTC),
                watermark=datetime.fromtimestamp(term.watermark, UTC) if known else None,
                posts_lag=self._posts_lag,
                events_lag=sum(lag.values()),
                events_per_s=rate,
                dead_letters=self._dead,
                unanswered_share=(term.unanswered - unanswered) / read if read else None,
                untested_lang_share=untested / posts if posts else None,
                models={name: n / posts for name, n in term.by_model.items()} if posts else {},
                late=term.late,
                undelivered=self._telling.undelivered,
                problems=tuple(self._telling.problems),
            )
        )

    async def _look_for_expired(self) -> None:
        """Count what retention took from the events' topic before it was read."""
        try:
            async with asyncio.timeout(_ASK_S):
                held = await self._log.held()
        except (KafkaFault, KafkaError, TimeoutError, OSError):
            return
        for partition, position in self._intake.positions().items():
            lost = held[partition].start - max(position, self._expired.get(partition, 0))
            if lost > 0:
                self._expired[partition] = held[partition].start
                self._counts.add(m.LOST, by=lost)
                _log.error(log_events.OFFSETS_GONE, partition=partition, events=lost)

    async def _grown(self) -> bool:
        """Whether the events' topic has more partitions than are read."""
        try:
            async with asyncio.timeout(_ASK_S):
                partitions = await self._log.partitions()
        except (KafkaFault, KafkaError, TimeoutError, OSError) as error:
            reason = str(await unreachable(self._broker, error))
            self._lost.still(bootstrap=self._broker.bootstrap, reason=reason)
            self._health.kafka_answers(answers=False)
            return False
        self._health.kafka_answers(answers=True)
        if self._lost.over():
            _log.info(shared_events.KAFKA_REACHABLE, bootstrap=self._broker.bootstrap)
        read = len(self._intake.positions())
        if partitions > read:
            _log.warning(log_events.PARTITIONS_GROWN, partitions=partitions, before=read)
        return partitions > read

    def _say_progress(self, term: Term) -> None:
        events, windows = self._told
        self._told = term.events, self._counts.value(m.WINDOWS)
        age = self._clock.wall() - term.watermark
        _log.info(
            log_events.PROGRESS,
            events=term.events - events,
            windows=round(self._counts.value(m.WINDOWS) - windows),
            lag=sum(term.lag.values()),
            late=term.late,
            event_time_age_s=round(age) if term.watermark > 0 else None,
            tracks=round(self._counts.value(m.TRACKS)),
            open_alerts=self._board.open_alerts,
        )

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                self._posts_lag = await self._consumer_lag()
                self._dead = await self._dead_letters()
        except (KafkaFault, KafkaError, TimeoutError, OSError):
            self._posts_lag = self._dead = None
        if self._posts_lag != 0:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = self._clock.monotonic()

    async def _consumer_lag(self) -> int | None:
        """Posts that the consumer's group has not settled; None where that isn't known."""
        source = self._settings.input
        topics = source.topics
        unclosed.install()
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._broker.bootstrap, **self._broker.security
        )
        try:
            await admin.start()
            committed = await admin.list_consumer_group_offsets(source.group_id)
            if source.pattern:
                there = await admin.list_topics()
                topics = tuple(one for one in there if re.fullmatch(source.pattern, one))
        finally:
            await admin.close()
        if not topics:
            return None
        lag = 0
        for topic in topics:
            async with kafka_topic_log(topic, self._broker) as log:
                for number, span in (await log.spans()).items():
                    done = [at.offset for tp, at in committed.items() if tp == (topic, number)]
                    lag += max(0, span.end - max(span.start, *done, 0))
        return lag

    async def _dead_letters(self) -> int:
        """Dead letters of the last hour."""
        hour = datetime.fromtimestamp(self._clock.wall(), UTC) - timedelta(hours=1)
        async with kafka_topic_log(self._settings.output.dlq_topic, self._broker) as log:
            spans = await log.spans(since=hour)
        return sum(span.end - span.start for span in spans.values())


def _tested(lang: str | None) -> bool:
    return lang is not None and lang.lower().split("-")[0] in TESTED_LANGS
