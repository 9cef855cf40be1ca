"""`emostream`: the subcommands, and what happens to errors and Ctrl-C on the way out."""

import sys
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App, CycloptsError

from emostream.exits import INTERRUPTED, WRONG_USAGE, explain

app = App(
    name="emostream",
    help="Watch how people feel on social media, live.",
    version=lambda: version("emostream"),
    help_format="rich",
    result_action="return_value",
)

# Imported only when called: `emostream --help` answers at once, and `consume` needs no Java.
app.command("emostream.commands.demo:demo", name="demo")
app.command("emostream.commands.consume:consume", name="consume")
app.command("emostream.commands.produce:app", name="produce")
app.command("emostream.commands.serve:serve", name="serve")
app.command("emostream.commands.broker:broker", name="broker")
app.command("emostream.commands.topics:app", name="topics")
app.command("emostream.commands.dlq:app", name="dlq")
app.command("emostream.commands.doctor:doctor", name="doctor")
app.command("emostream.commands.models:models", name="models")
app.command("emostream.commands.schemas:app", name="schemas")


def main() -> NoReturn:
    """Run one subcommand and exit with its status.

    Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 stopped by the fuse, the
    canary or refused credentials, 130 interrupted.
    """
    try:
        status = app(exit_on_error=False)
    except CycloptsError:  # already printed, with the usage
        sys.exit(WRONG_USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `emostream dlq list | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        code, message = explain(error)
        if message is None:  # a bug of ours: the traceback is worth more than a sentence
            raise
        sys.stderr.write(f"emostream: {message}\n")
        sys.exit(code)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
