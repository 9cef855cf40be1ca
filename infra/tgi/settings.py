"""The server's settings, named as the flags of TGI's launcher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from infra.tgi.engine import EngineInfo
from infra.tgi.errors import StartError

#: TGI's launcher caps what it takes from a model's config at this: beyond, a few long prompts
#: hold the whole machine. A flag may ask for more.
_LONGEST_BY_DEFAULT = 4096

#: Half of the 1,024 files that a process may have open by default.
_LEAST_CONNECTIONS = 512

_NotNegative = Parameter(validator=validators.Number(gte=0))
_Some = Parameter(validator=validators.Number(gte=1))
_Seconds = Parameter(validator=validators.Number(gt=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How to serve.

    Each field is the flag of the same name (`max_input_tokens` is `--max-input-tokens`); token
    limits of None are taken from the model.
    """

    model_id: Annotated[str | None, Parameter(name=("--model-id", "--model"))] = None
    """A folder, or a name on the Hugging Face hub; None or `small` is the small model that
    ships."""
    replay: tuple[Path, ...] = ()
    """A file of recorded answers to answer from, instead of a model: JSON lines, gzipped or not,
    each with `instruction` and `pred` (answer by model). May be given several times."""
    replay_model: str | None = None
    """Whose recorded answers, where the files hold those of several models."""
    revision: str | None = None
    """The hub's revision: a commit, a branch or a tag."""
    engine: Literal["auto", "light", "torch"] = "auto"
    """`auto` takes the light engine where the folder has ct2/, else torch."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights of the torch engine; `auto` is bfloat16 where the processor has it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is CUDA where there is a card. Only the torch engine uses one."""
    hostname: Annotated[str, Parameter(name=("--hostname", "--host"))] = "127.0.0.1"
    """The address to listen on. TGI's default is all of them; here the machine itself, because
    nothing should be open to a network unasked."""
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65_535))] = 3000
    """The port to listen on; 0 takes a free one."""
    max_concurrent_requests: Annotated[int, _Some] = 128
    """Sequences in work or waiting; one more is answered 429 at once."""
    max_input_tokens: Annotated[int | None, _Some] = None
    """The longest prompt, in tokens."""
    max_total_tokens: Annotated[int | None, _Some] = None
    """Prompt and answer together, in tokens."""
    max_client_batch_size: Annotated[int, _Some] = 4
    """Prompts in one /v1/completions request."""
    max_best_of: Annotated[int, _Some] = 2
    """The most `best_of` may ask for."""
    max_stop_sequences: Annotated[int, _NotNegative] = 4
    """The most stop strings a request may have."""
    max_top_n_tokens: Annotated[int, _NotNegative] = 5
    """The most `top_n_tokens` may ask for."""
    max_batch_prefill_tokens: Annotated[int, _Some] = 8192
    """Padded prompt tokens in one pass: bounds its memory and its time."""
    max_batch_size: Annotated[int | None, _Some] = None
    """Prompts in one pass; None takes what fills the machine."""
    validation_workers: Annotated[int, _Some] = 2
    """Threads that tokenize texts too large to do among the others."""
    api_key: Annotated[str | None, Parameter(env_var="TGI_API_KEY")] = None
    """The POST routes then want `Authorization: Bearer KEY`. On the command line every user of the
    machine can read it: prefer the variable, or --api-key-file."""
    api_key_file: Path | None = None
    """A file that holds the API key."""
    cors_allow_origin: tuple[str, ...] = ()
    """A web origin whose pages may read the answers; may be given several times. Any, if none."""
    disable_grammar_support: bool = False
    """Grammars are then refused (422)."""
    max_connections: Annotated[int | None, _Some] = None
    """Open connections; one more is answered 503 and closed. None is twice
    --max-concurrent-requests, but at least 512: half of the files that a process may have open."""
    header_seconds: Annotated[float, _Seconds] = 10.0
    """Seconds that a request's head may take; then its connection is closed."""
    body_seconds: Annotated[float, _Seconds] = 30.0
    """Seconds that a request's body may take; then it is answered 408."""
    idle_seconds: Annotated[float, _Seconds] = 300.0
    """Seconds that a connection may be open without a request."""
    threads: Annotated[int, _NotNegative] = 0
    """CPU threads of the light engine; 0 is one a core."""
    shutdown_seconds: Annotated[float, _NotNegative] = 25.0
    """Seconds that requests in flight may take after SIGTERM. Kubernetes kills after 30."""

    def __repr__(self) -> str:
        """Without the key."""
        return (
            f"ServerSettings(model_id={self.model_id!r}, engine={self.engine!r}, port={self.port})"
        )


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """The limits that hold: from the flags, else from the model."""

    max_input_tokens: int
    max_total_tokens: int


def token_limits(settings: ServerSettings, info: EngineInfo) -> TokenLimits:
    """The token limits of a server. Raises `StartError` when they contradict each other."""
    total = settings.max_total_tokens
    longest = settings.max_input_tokens
    if total is None:
        capped = min(info.max_total_tokens, _LONGEST_BY_DEFAULT)
        total = capped if longest is None or longest < capped else longest + 1024
    if longest is None:
        longest = min(info.max_input_tokens, total - 1)
    if longest >= total:
        raise StartError(
            f"--max-input-tokens ({longest}) must be below --max-total-tokens ({total})"
        )
    return TokenLimits(longest, total)


def read_api_key(settings: ServerSettings) -> str | None:
    """The API key, from the settings or from its file. Raises `StartError`."""
    file = settings.api_key_file
    if file is None:
        if settings.api_key is not None and not settings.api_key.strip():
            raise StartError("the API key is empty: leave --api-key and TGI_API_KEY out for none")
        return settings.api_key
    if settings.api_key is not None:
        raise StartError(
            "two API keys: give --api-key-file, or TGI_API_KEY or --api-key, but not both"
        )
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"can't read the API key from {file}: {error}") from error
    if not key:
        raise StartError(f"{file} holds no API key")
    return key


def connection_limit(settings: ServerSettings) -> int:
    """How many connections may be open."""
    if settings.max_connections is not None:
        return settings.max_connections
    return max(_LEAST_CONNECTIONS, 2 * settings.max_concurrent_requests)
