"""How a pool ends: what its pending and later `ask` calls raise."""

from emollm.errors import ModelError


class PoolClosed(RuntimeError):  # noqa: N818 - what happened
    """The pool was closed while it was asked, or before."""


def fresh(error: BaseException) -> BaseException:
    """Copy what ended the pool: one object raised in many tasks would collect their tracebacks."""
    if isinstance(error, ModelError):
        return type(error)(str(error), server=error.server, status=error.status)
    return PoolClosed(str(error)) if isinstance(error, PoolClosed) else error
