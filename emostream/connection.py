"""How a command reaches Kafka: an address, or the consumer's own configuration file."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from emostream.exits import WRONG_USAGE, CommandError

if TYPE_CHECKING:
    from consumer.settings import Settings
    from monitor.settings import Settings as MonitorSettings
    from producer import Broker

_BOOTSTRAP = "EMOSTREAM_KAFKA__BOOTSTRAP"


def config_file(chosen: Path | None) -> Path | None:
    """Give the chosen configuration file, else what `EMOSTREAM_CONFIG` names, else None."""
    named = os.environ.get("EMOSTREAM_CONFIG")
    return chosen or (Path(named) if named else None)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where Kafka is. TLS and SASL come from the configuration, never from the command line."""

    bootstrap: str | None = None
    """Brokers, `host:port`, several with commas. [default: what the configuration says]"""
    config: Path | None = None
    """Configuration file (TOML). [default: EMOSTREAM_CONFIG's, where that is set]"""

    @property
    def file(self) -> Path | None:
        """The configuration file: `--config`, else what `EMOSTREAM_CONFIG` names."""
        return config_file(self.config)

    def settings(self, more: Mapping[str, str] | None = None) -> "Settings":
        """The configuration: the file, `EMOSTREAM_…` variables over it, `--bootstrap` over both.

        `more` are variables that win over the environment's.

        Raises:
            ConfigError: something in it has to be corrected.
        """
        from consumer.settings import load

        return load(self.file, {**self._environment(), **(more or {})}, self._flags(more or {}))

    def settings_asking(self, server: str | None) -> "Settings":
        """The configuration, with this model server in place of its own where one is named.

        The second model's servers are left out then: one of them may be the one to ask.

        Raises:
            ConfigError: something in it has to be corrected.
        """
        if server is None:
            return self.settings()
        return self.settings(
            {"EMOSTREAM_MODEL__SERVERS": server, "EMOSTREAM_MODEL__SECOND__SERVERS": ""}
        )

    def monitor_settings(self) -> "MonitorSettings":
        """What the monitor reads of the same configuration.

        Raises:
            ConfigError: something in it is refused; the message says what to change.
        """
        from monitor.settings import load

        return load(self.file, self._environment(), self._flags())

    def _environment(self) -> Mapping[str, str]:
        if self.bootstrap is None:
            return os.environ
        return {**os.environ, _BOOTSTRAP: self.bootstrap}

    def _flags(self, more: Collection[str] = ()) -> Mapping[str, str]:
        """What was typed, by the variable that it is laid over: an error names what was typed."""
        server = dict.fromkeys(more, "--server")
        return server if self.bootstrap is None else {**server, _BOOTSTRAP: "--bootstrap"}

    def client_options(self, settings: "Settings | None" = None) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client; `settings` where they are read already."""
        from runtime.kafka.security import client_security

        settings = settings or self.settings()
        return {
            "bootstrap_servers": settings.kafka.bootstrap,
            **client_security(settings.kafka),
        }

    def broker(
        self, settings: "Settings | None" = None, *, reading: Collection[str] = ()
    ) -> "Broker":
        """The same, as producers take it.

        `reading` are topics of ours that are read through it, framed by a schema registry or not.
        """
        from producer import Broker

        settings = settings or self.settings()
        values = None
        if reading and settings.registry.urls:
            from monitor.registry import value_reader

            values = value_reader(settings.registry, reading)
        options = self.client_options(settings)
        return Broker(bootstrap=options.pop("bootstrap_servers"), security=options, values=values)


def refuse_two_models(server: str | None, model_id: str | None) -> None:
    """Refuse what names a server to ask and a model to run: one of them would be ignored.

    Raises:
        CommandError: both are named.
    """
    if server is not None and model_id is not None:
        raise CommandError(
            "--server asks a model server, --model-id runs a model in this command: give one of"
            " them",
            status=WRONG_USAGE,
        )
