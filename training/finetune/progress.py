"""What a fine-tuning tells of itself while it runs."""


class Progress:
    """Takes it; this one says nothing of it to anybody."""

    def began(self, text: str) -> None:
        """What begins now, in a few words."""

    def tokenized(self, done: int, whole: int) -> None:
        """So many of the records are in tokens."""

    def updated(self, done: int, whole: int) -> None:
        """So many updates of the weights were made."""

    def stopping(self) -> None:
        """A signal came: the run ends after the update in work."""
