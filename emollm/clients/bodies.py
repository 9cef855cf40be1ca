"""Request bodies: what surrounds the prompt is written once, not for each prompt."""

from collections.abc import Callable

import msgspec

from emollm.errors import Refused
from emollm.protocol import GenerateParams

REQUEST_LIMIT = 2_000_000
"""TGI's body limit in bytes. What is longer is refused here: over there it costs a connection."""
_PARAMS_KEPT = 256
"""Different parameters whose bytes are kept: one for each task, so a handful."""

_encode = msgspec.json.encode


class Bodies:
    """The bodies of one client. `write` gives the bytes before and after the prompt's JSON."""

    def __init__(self, write: Callable[[GenerateParams], tuple[bytes, bytes]]) -> None:
        self._write = write
        self._around: dict[GenerateParams, tuple[bytes, bytes]] = {}

    def body(self, prompt: str, params: GenerateParams, *, server: str) -> bytes | Refused:
        """The whole body; or Refused for a prompt that is too long or no Unicode text."""
        around = self._around.get(params)
        if around is None:
            around = self._write(params)
            if len(self._around) < _PARAMS_KEPT:
                self._around[params] = around
        try:
            body = _encode(prompt).join(around)
        except UnicodeEncodeError:
            return Refused("the prompt holds a lone surrogate", server=server)
        if len(body) > REQUEST_LIMIT:
            return Refused(f"the request is over {REQUEST_LIMIT} bytes", server=server)
        return body

    def forget(self) -> None:
        """Write them again: what `write` gives has changed."""
        self._around.clear()
