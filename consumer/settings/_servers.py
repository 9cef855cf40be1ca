"""The model servers that one model is asked on: whose, how, and with what credentials."""

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from emollm.clients import ServerOptions
from emollm.clients.address import refuse_plain_token
from runtime.settings.section import Section


class ModelServers(Section):
    """Servers of one model."""

    section: ClassVar[str] = "model"
    """Where these keys are in the configuration: advice names the key to change."""

    servers: tuple[str, ...] = ()
    """Base URLs of the model servers; they share the load."""
    dialect: Literal["auto", "tgi", "openai", "vllm", "sglang", "llamacpp"] = "auto"
    """What the servers speak: TGI's `/generate` or OpenAI's `/v1/completions`; auto asks them."""
    name: str = ""
    """The model's name, e.g. `Emollama-chat-7b`. Name and revision are part of event ids if set."""
    served_name: str = ""
    """What `/v1/completions` is asked for; empty takes the server's first model."""
    family: Literal["", "llama", "opt", "bloom", "t5", "bart"] = ""
    """Architecture of a model that is not in the table of models; empty means a decoder alone, or
    what its server tells."""
    wrapper: Literal["", "human", "bare"] = ""
    """Prompts of a model that is not in the table: instructions between `Human:` and `Assistant:`,
    or with nothing around."""
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
    length_buckets: Literal["auto", "on", "off"] = "auto"
    """Send prompts of similar length together: a server that pads a batch then pads less. auto
    does so where the table of models says that the server pads (docs/models.md)."""
    grammar: bool = False
    """Send each task's answer grammar to the server. TGI compiles each once, which blocks it."""

    @model_validator(mode="after")
    def _usable_urls(self) -> Self:
        for url in self.servers:
            parts = urlsplit(url)
            if parts.username or parts.password:
                raise ValueError("servers: a URL carries credentials: use token or token_file")
            ServerOptions(url=url)  # refuses what is no base URL
            if self.token.get_secret_value() or self.token_file:
                refuse_plain_token(url, allowed=self.allow_plain_token, section=self.section)
        if len(self.places()) < len(self.servers):
            raise ValueError("servers: one is named twice")
        if self.family and not self.wrapper:
            raise ValueError("a model of your own needs its wrapper: set wrapper beside family")
        return self

    def places(self) -> set[str]:
        """Where the servers are: the same for one server, however its URL is written."""
        return {ServerOptions(url=url).shown for url in self.servers}
