"""`emostream`: the subcommands, and what happens to errors and Ctrl-C on the way out."""

import io
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from cyclopts import App, CycloptsError, CycloptsPanel, Parameter, UnusedCliTokensError

from emostream.exits import INTERRUPTED, WRONG_USAGE, explain
from emostream.interrupt import end_at_once_on_another

_ROOMS = Path(__file__).with_name("_rooms")
"""In an installed wheel: the checkout's other folders, put there by hatch_build.py."""

_COMMANDS = {
    "demo:demo": "Run the whole pipeline on this machine, with real posts.",
    "consume:consume": "Consume posts, ask the model, publish affect events.",
    "ask:ask": "Ask the model about one text.",
    "monitor:app": "Watch the events: windows, alerts and the live page.",
    "events:app": "Print what was read in the posts, or write it as Parquet files.",
    "alerts:app": "Alerts: print them, acknowledge, note, mute, report a false alarm.",
    "doctor:doctor": "Check everything that the consumer needs; say what to change.",
    "topics:app": "Make emostream's topics, with sensible settings.",
    "offsets:app": "Get the consumer group past a batch that can't be read.",
    "dlq:app": "Dead letters: list them, look at one, send them back.",
    "produce:app": "Write posts into Kafka: live ones, a file's, made-up ones.",
    "serve:serve": "Serve an EmoLLM, or the small model, over TGI's HTTP contract.",
    "broker:broker": "Run a real Apache Kafka on this machine, without Docker or Java.",
    "predict:predict": "Ask the model about every row of a file.",
    "evaluate:evaluate": "Score a model's readings against people's, beside the paper's rows.",
    "plan:plan": "Estimate GPUs, consumers, partitions and cost of a load.",
    "train:app": "Fine-tune a model on instructions; build the data for it.",
    "models:app": "List the EmoLLMs, and which server can serve each.",
    "schemas:app": "The contracts as JSON Schema, Avro and AsyncAPI; in a registry.",
}


def _shown_default(value: object) -> str | None:
    """What help says of a default: nothing of a flag that is off, nor of what is empty."""
    if value is None or value is False or value in {"", ()}:
        return None
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _error_panel(error: CycloptsError) -> object:
    """A mistake in the words of the command line, as it is printed."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        word = error.unused_tokens[0]
        what_to_do = f"write --config {word}" if word.endswith(".toml") else "see --help"
        return CycloptsPanel(f'"{word}" is one word too many: {what_to_do}.')
    return CycloptsPanel(error)


def make_app(*, overview: bool) -> App:
    """Make the command line. Subcommands are imported when called: the overview answers at once.

    The overview has a line of help for each; a subcommand's own help is its docstring.
    """
    app = App(
        name="emostream",
        help="Watch how people feel on social media, live. New here? Try `emostream demo`.",
        version=lambda: version("emostream"),
        help_format="markdown",
        default_parameter=Parameter(negative=(), show_default=_shown_default),
        result_action="return_value",
        error_formatter=_error_panel,
    )
    for target, line in _COMMANDS.items():
        name = target.split(":")[0]
        more = {"help": line} if overview else {}
        app.command(f"emostream.commands.{target}", name=name, **more)
    app.register_install_completion_command(
        help="Let the shell complete commands and options: bash, zsh or fish."
    )
    return app


def _find_rooms() -> None:
    """Make `consumer`, `schemas` and the others ours, before any of that name elsewhere.

    Here and nowhere else: a program that only imports `emostream` keeps its path as it was.
    """
    if _ROOMS.is_dir():
        sys.path.insert(0, str(_ROOMS))


def _discard_stdout() -> None:
    from runtime.telemetry.lossy_stream import discard

    discard(sys.stdout)


def _open_standard_streams() -> None:
    """Have standard streams that were closed (`<&-`, as some supervisors do) lead to nowhere.

    Else a socket takes such a number, and uvloop aborts the process when it is closed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            stream = os.fdopen(number, "w" if number else "r", closefd=False)
            setattr(sys, name, stream)


def _write_any_text() -> None:
    """Have what is printed never fail on a letter: posts come in all of them.

    A file or a pipe gets UTF-8 whatever the locale, as JSON must be; a terminal that shows less,
    question marks.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            if stream.isatty() or "PYTHONIOENCODING" in os.environ:
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def main(on_begin: Callable[[], object] = lambda: None) -> NoReturn:
    """Run one subcommand and exit with its status; `on_begin` is called before it begins.

    Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 stopped by the fuse, the
    canary or refused credentials, 130 interrupted, 143 (as the first process) terminated.
    """
    _open_standard_streams()
    _write_any_text()
    _find_rooms()
    app = make_app(overview=not any(word.isalpha() for word in sys.argv[1:2]))
    status: object = 0
    try:
        command, words, _ = app.parse_args(sys.argv[1:], exit_on_error=False)  # imports it
        on_begin()
        status = command(*words.args, **words.kwargs)
        sys.stdout.flush()  # here, where a full disk is still an error of the command
    except CycloptsError:  # already printed, with the usage
        sys.exit(WRONG_USAGE)
    except KeyboardInterrupt:
        end_at_once_on_another()
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `emostream dlq list | head`
        sys.stderr.close()
        _discard_stdout()
    except Exception as error:
        code, message = explain(error)
        if message is None:  # a bug of ours: the traceback is worth more than a sentence
            raise
        sys.stderr.write(f"emostream: {message}\n")
        if isinstance(error, OSError):
            _discard_stdout()
        sys.exit(code)
    sys.exit(status if isinstance(status, int) else 0)
