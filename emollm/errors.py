"""Everything that can go wrong between a prompt and its answer, by what to do about it.

    ModelError
    ├── Retry      try again, later or elsewhere; nothing is wrong with the prompt
    │   ├── Overloaded     429: lower the concurrency
    │   ├── GenerationFailed   424, 500: a batch failed on the server; innocents among it
    │   ├── Unavailable    refused, reset, 502, 503, 504, garbage instead of JSON
    │   └── TimedOut       no answer within the deadline
    ├── Poison     this prompt can't be served, here or anywhere
    │   ├── Refused        400, 413, 422 of validation: too long, empty, …
    │   └── FailedAlone    failed though asked alone, on a server that answers others
    └── Stop       no prompt can be served until a human changes something
        ├── Unauthorized   401, 403
        ├── WrongRequest   404, 405, 415, 422 of deserialization: wrong URL, or our bug
        └── WrongModel     the canary's answers are unreadable or implausible

These are data: `generate` returns them in the place of an answer, `Stop` may be raised.

Raised by a pool, and no error of a prompt: PoolClosed, and PoolBroken, which ends the program.
"""

from runtime.errors import Broken, QuotableError


class ModelError(QuotableError):
    """A prompt that has no answer. Messages never hold a prompt's text or a secret."""

    def __init__(
        self, message: str, *, server: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.server = server
        """Base URL of the server that answered so, without credentials."""
        self.status = status
        """HTTP status, where there was one."""


class Retry(ModelError):  # noqa: N818 - a verb: what to do about it
    """Try again, later or on another server."""


class Overloaded(Retry):
    """The server refused the request to protect itself (429)."""


class GenerationFailed(Retry):
    """The server took the request and failed on it (424, 500)."""


class Unavailable(Retry):
    """No usable HTTP answer: connection refused or reset, 502 to 504, a body that isn't JSON."""

    def __init__(
        self,
        message: str,
        *,
        server: str | None = None,
        status: int | None = None,
        unsent: bool = False,
        lost: bool = False,
    ) -> None:
        super().__init__(message, server=server, status=status)
        self.unsent = unsent
        """There was no connection, so the server never saw the prompt."""
        self.lost = lost
        """The connection was lost while the server had the prompt: the server may have died."""


class TimedOut(Retry):
    """No answer within the deadline."""


class Poison(ModelError):  # noqa: N818
    """This prompt can't be served, now or later."""


class Refused(Poison):
    """The server's validation refused this prompt (400, 413, 422)."""


class FailedAlone(Poison):
    """It failed again and again, at last with no other prompt beside it on the server.

    Its message begins with the class of the last failure: GenerationFailed, TimedOut, ….
    """


class Stop(ModelError):  # noqa: N818
    """No prompt can be served until a human changes something."""


class Unauthorized(Stop):
    """Credentials missing or wrong (401, 403)."""


class WrongRequest(Stop):
    """The server doesn't know this route or this shape of request (404, 405, 415, 422)."""


class WrongModel(Stop):
    """The server answers, but not as the configured EmoLLM would."""


class PoolClosed(RuntimeError):  # noqa: N818 - what happened
    """The pool was closed while it was asked, or before."""


class PoolBroken(Broken):
    """A background task of the pool ended by a bug: no prompt is answered any more.

    The message names the class of the exception and where it was raised, never its words.
    """
