"""Which model answers, what it is asked, and what is remembered of it."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from consumer.settings._section import Section


class Model(Section):
    """The model servers: all of them serve the same model."""

    servers: Annotated[tuple[str, ...], Field(min_length=1)] = ("http://localhost:8080",)
    """Base URLs of the model servers; they share the load."""
    dialect: Literal["auto", "tgi", "openai"] = "auto"
    """What the servers speak: TGI's `/generate` or OpenAI's `/v1/completions`; auto asks them."""
    name: str = ""
    """The model's name where the server's own does not tell its family, e.g. `Emollama-chat-7b`."""
    revision: str = ""
    """The model's revision where the server does not tell it; part of every event's id."""
    token: SecretStr = SecretStr("")
    """Bearer token for the model servers."""
    token_file: str = ""
    """File to read `token` from."""
    ca_file: str = ""
    """PEM file of the certificate authority of `https` servers; empty means the machine's own."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Seconds one prompt may take, queueing on the server included."""
    max_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Prompts in flight to one server at most; the limit adapts below it and below `/info`'s."""
    grammar: bool = False
    """Send each task's answer grammar to the server. TGI compiles each once, which blocks it."""
    max_text_chars: Annotated[int, Field(ge=100, le=100_000)] = 4_000
    """Characters of a post that the model sees; what is longer is cut at a word from the end."""

    @model_validator(mode="after")
    def _usable_urls(self) -> Self:
        for url in self.servers:
            parts = urlsplit(url)
            if parts.username or parts.password:
                raise ValueError("servers: a URL carries credentials: use token or token_file")
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"servers: {url!r} is no http:// or https:// URL")
        if len({url.rstrip("/") for url in self.servers}) < len(self.servers):
            raise ValueError("servers: one is named twice")
        return self


class Tasks(Section):
    """What the model is asked about a post. The defaults are the whole profile at least cost."""

    v_reg: bool = True
    """Ask for valence, 0 to 1 (`sentiment.valence`)."""
    v_oc: Literal["derive", "ask", "off"] = "derive"
    """Valence class, -3 to 3 (`sentiment.class`): derived from valence, or asked for."""
    e_c: bool = True
    """Ask which emotions are present (`emotions`)."""
    ei_reg: bool = True
    """Ask for the intensity of anger, fear, joy and sadness, 0 to 1 (`intensity`)."""
    ei_oc: Literal["derive", "ask", "off"] = "derive"
    """Intensity class, 0 to 3 (`intensity_class`): derived from intensity, or asked for."""
    ei_emotions: Literal["cascade", "all"] = "cascade"
    """Intensity of the emotions that E-c found only, or of all four."""
    custom: tuple[dict[str, Any], ...] = ()
    """Tasks of your own: each a table `[[tasks.custom]]`, see docs/tasks.md."""

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.v_oc == "derive" and not self.v_reg:
            raise ValueError('v_oc = "derive" needs v_reg = true; or set v_oc to "ask" or "off"')
        if self.ei_oc == "derive" and not self.ei_reg:
            raise ValueError('ei_oc = "derive" needs ei_reg = true; or set ei_oc to "ask" or "off"')
        intensity = self.ei_reg or self.ei_oc == "ask"
        if intensity and self.ei_emotions == "cascade" and not self.e_c:
            raise ValueError(
                'ei_emotions = "cascade" needs e_c = true; or set ei_emotions = "all", or'
                ' ei_reg = false and ei_oc = "off"'
            )
        asked = self.v_reg or self.v_oc == "ask" or self.e_c or intensity or self.custom
        if not asked:
            raise ValueError("no task is on: the model would be asked nothing")
        return self


class Cache(Section):
    """Answers that are remembered: the same text is asked once."""

    max_entries: Annotated[int, Field(ge=0)] = 200_000
    """Answers kept at most; 0 turns the cache off (texts in flight are still asked once)."""
    max_bytes: Annotated[int, Field(ge=0)] = 67_108_864
    """Bytes of memory that the kept answers may take."""
    ttl_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds an answer is kept; 0 means until it is displaced. Answers do not age: greedy."""
