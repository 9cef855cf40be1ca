"""Why a fine-tuning can't begin or can't go on."""

from runtime.errors import QuotableError


class FinetuneError(QuotableError):
    """The message says what to change; it never holds a record's text."""
