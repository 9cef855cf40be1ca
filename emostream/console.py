"""Standard output for people, by rich."""

from rich import console


class Console(console.Console):
    """rich's, but that a pipe which was closed is left to `main`, as `| head` is no error.

    rich ends the process with status 1, even in the middle of an event loop.
    """

    def on_broken_pipe(self) -> None:
        """Let it be known.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError
