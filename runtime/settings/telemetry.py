"""What a program tells its operator: health and metrics over HTTP, log lines, traces."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from runtime.settings.section import Section, is_set
from runtime.telemetry.collector import read_headers, refuse_plain_headers, traces_url


class Http(Section):
    """Health and metrics: `/livez`, `/readyz`, `/metrics`."""

    removed: ClassVar[Mapping[str, str]] = {
        "enabled": "health and metrics are always served; http.port = 0 takes any free port",
    }

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a container."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Port to listen on; 0 takes a free one."""
    stuck_after_s: Annotated[float, Field(gt=0)] = 120.0
    """Seconds without any progress, work being there, after which `/livez` says 503."""


class Log(Section):
    """What is written to standard error."""

    format: Literal["auto", "json", "console"] = "auto"
    """Lines of JSON, or for humans; auto: for humans on a terminal."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity written."""


class Tracing(Section):
    """Traces to an OpenTelemetry collector (docs/tracing.md). No endpoint, no tracing."""

    endpoint: str = ""
    """Base URL of the collector's OTLP over HTTP, e.g. `http://localhost:4318`; empty: off."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the batches that are recorded, each with its requests to model servers."""
    follow_producers: bool = True
    """Also record what is done for posts whose producer's trace is sampled."""
    headers: SecretStr = SecretStr("")
    """Headers for the collector, e.g. a token: `name=value`, several separated by commas."""
    headers_file: str = ""
    """File to read `headers` from."""
    allow_plain_headers: bool = False
    """Send the headers to another machine over plain http, where the network itself encrypts."""
    ca_file: str = ""
    """PEM file of the certificate authority of an `https` collector; empty: the usual ones."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        read_headers(self.headers.get_secret_value())
        if self.endpoint:
            traces_url(self.endpoint)
            if is_set(self.headers):
                refuse_plain_headers(self.endpoint, allowed=self.allow_plain_headers)
        elif is_set(self.headers):
            raise ValueError("headers are given but no endpoint: set endpoint, or leave them out")
        return self
