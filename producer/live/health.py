"""Whether the live sources work, and why not: what `/livez` and `/readyz` say."""

from producer.live.meter import Meter


class Health:
    """Told by the service; asked by the health server, on the same event loop."""

    def __init__(self, meter: Meter, sources: list[str]) -> None:
        self._meter = meter
        self._sources = sources
        self.kafka = False
        """Whether the producer is connected."""

    def not_alive(self) -> list[str]:
        """Nothing: every wait of a source and of Kafka has its own deadline, and ends in a try.

        A loop that hangs doesn't answer at all.
        """
        return []

    def not_ready(self) -> list[str]:
        """Why posts don't come through."""
        problems = [] if self.kafka else ["Kafka is not connected"]
        away = [source for source in self._sources if source not in self._meter.hosts]
        if len(away) == len(self._sources):
            problems.append("no source is connected")
        return problems

    def warnings(self) -> list[str]:
        """Sources that are away while others work."""
        return [f"{one} is not connected" for one in self._sources if one not in self._meter.hosts]
