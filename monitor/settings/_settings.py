"""All sections that the monitor reads, and the combinations between them that are refused."""

from typing import ClassVar, Self

from pydantic import model_validator

from monitor.settings._monitor import Monitor, TopicName
from runtime.settings import Document, Kafka, Log, PartOfSection, Registry


class Input(PartOfSection):
    """The consumer's `[input]`: whose lag the page shows."""

    topics: tuple[str, ...] = ("posts",)
    pattern: str = ""
    group_id: str = "emostream"


class Output(PartOfSection):
    """The consumer's `[output]`: what the monitor reads."""

    events_topic: TopicName = "affect.events"
    dlq_topic: TopicName = "affect.dlq"
    include_text: bool = True


class Settings(Document):
    """The monitor's configuration, out of the file that the consumer reads, too."""

    others: ClassVar[frozenset[str]] = frozenset(
        {
            *("model", "tasks", "batch", "in_flight", "cache"),
            *("delivery", "drain", "fuse", "http", "tracing"),
        }
    )

    kafka: Kafka = Kafka()
    registry: Registry = Registry()
    input: Input = Input()
    output: Output = Output()
    monitor: Monitor = Monitor()
    log: Log = Log()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        monitor, output = self.monitor, self.output
        for name in ("windows_topic", "alerts_topic", "mutes_topic", "baselines_topic"):
            if getattr(monitor, name) in {output.events_topic, output.dlq_topic}:
                raise ValueError(
                    f"monitor.{name} is one of the consumer's output topics: name another"
                )
        if monitor.group_id == self.input.group_id:
            raise ValueError(
                f"monitor.group_id is the consumer's group {monitor.group_id!r}: give the monitor"
                " a group of its own"
            )
        if not output.include_text:
            keywords = [track.name for track in monitor.tracks if track.keywords]
            if keywords:
                raise ValueError(
                    f"monitor.tracks: {keywords[0]!r} looks for keywords, and events carry no text"
                    " (output.include_text = false): take it out, or let events carry it"
                )
        return self
