"""Which model answers, what it is asked, and what is remembered of it."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, SecretStr, model_validator

from emollm.clients import ServerOptions
from emollm.clients.address import refuse_plain_token
from emollm.custom import PRESETS, CustomTask
from emollm.tasks import Task
from runtime.settings.section import Section
from runtime.settings.wording import plain_msgspec


class Model(Section):
    """The model servers: all of them serve the same model."""

    servers: Annotated[tuple[str, ...], Field(min_length=1)] = ("http://localhost:3000",)
    """Base URLs of the model servers; they share the load."""
    dialect: Literal["auto", "tgi", "openai", "vllm", "sglang", "llamacpp"] = "auto"
    """What the servers speak: TGI's `/generate` or OpenAI's `/v1/completions`; auto asks them."""
    name: str = ""
    """The model's name, e.g. `Emollama-chat-7b`. Name and revision are part of event ids if set."""
    served_name: str = ""
    """What `/v1/completions` is asked for; empty takes the server's first model."""
    family: Literal["", "llama", "opt", "bloom", "t5", "bart"] = ""
    """Architecture of a model that is not in the table of models; wants `wrapper` too."""
    wrapper: Literal["", "human", "bare"] = ""
    """Its prompts: instructions between `Human:` and `Assistant:`, or with nothing around."""
    max_input_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens a prompt may have; 0 means what model and server allow. Longer posts are cut."""
    revision: str = ""
    """The model's revision where the server does not tell it."""
    token: SecretStr = SecretStr("")
    """Bearer token for the model servers."""
    token_file: str = ""
    """File to read `token` from."""
    allow_plain_token: bool = False
    """Send the token to another machine over plain http, where the network itself encrypts."""
    ca_file: str = ""
    """PEM file of the certificate authority of `https` servers; empty means the machine's own."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Seconds one prompt may take, queueing on the server included."""
    max_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Prompts in flight to one server at most; the limit adapts below it and below `/info`'s."""
    grammar: bool = False
    """Send each task's answer grammar to the server. TGI compiles each once, which blocks it."""
    wait_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds to wait at start for a first server to answer; 0 means without end."""

    @model_validator(mode="after")
    def _usable_urls(self) -> Self:
        for url in self.servers:
            parts = urlsplit(url)
            if parts.username or parts.password:
                raise ValueError("servers: a URL carries credentials: use token or token_file")
            ServerOptions(url=url)  # refuses what is no base URL
            if self.token.get_secret_value() or self.token_file:
                refuse_plain_token(url, allowed=self.allow_plain_token)
        if len({url.rstrip("/") for url in self.servers}) < len(self.servers):
            raise ValueError("servers: one is named twice")
        if bool(self.family) != bool(self.wrapper):
            raise ValueError("a model of your own needs both family and wrapper")
        if self.family and not self.name:
            raise ValueError("a model of your own needs a name, for the events")
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
    """Tasks of your own, tables `[[tasks.custom]]`: name, wordings, and choices or grammar."""

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
        names = [task.name.lower() for task in self.custom_tasks()]
        if len(set(names)) < len(names):
            raise ValueError("custom: two tasks have the same name")
        return self

    def custom_tasks(self) -> tuple[Task, ...]:
        """Make the custom tasks; `{preset = "V-T"}` names one of the paper's zero-shot tasks."""
        return tuple(_custom_task(table) for table in self.custom)


def _custom_task(table: dict[str, Any]) -> Task:
    if set(table) == {"preset"}:
        preset = PRESETS.get(str(table["preset"]))
        if preset is None:
            raise ValueError(f"custom: preset must be one of {', '.join(PRESETS)}")
        return preset.task()
    try:
        return msgspec.convert(table, CustomTask).task()
    except msgspec.ValidationError as error:
        why = plain_msgspec(str(error), CustomTask.__struct_fields__)
        raise ValueError(f"custom task {table.get('name', '')!r}: {why}") from None


class Cache(Section):
    """Answers that are remembered: the same text is asked once."""

    removed: ClassVar[Mapping[str, str]] = {
        "max_bytes": "use cache.max_entries; an answer takes about 350 bytes",
        "ttl_s": "answers don't age, decoding is greedy; a restart empties the cache",
    }

    max_entries: Annotated[int, Field(ge=0)] = 100_000
    """Answers kept at most, about 35 MB for 100,000; 0 turns the cache off (texts in flight are
    still asked once)."""
