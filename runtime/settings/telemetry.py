"""What a program tells its operator: health and metrics over HTTP, and log lines."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from runtime.settings.section import Section


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
