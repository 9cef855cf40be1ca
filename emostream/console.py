"""Standard output and error for people, by rich."""

from typing import Any

from rich import console


class Console(console.Console):
    """rich's, but that texts are texts, and a closed pipe is left to `main`: `| head` is no error.

    To rich `[/b]` in a file's name or a column's is markup, which it takes out or refuses; and a
    closed pipe it ends with status 1, even in the middle of an event loop.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Let it be known.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError
