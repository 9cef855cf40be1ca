"""Event ids: the same whenever the same record is analysed in the same way, and no other's."""

import hashlib
from uuid import NAMESPACE_URL, uuid5

_NAMESPACE = hashlib.sha1(
    uuid5(NAMESPACE_URL, "urn:emostream:affect-event").bytes, usedforsecurity=False
)
_DIGEST_BYTES = 16
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""RFC 9562's variant, two bits, in the digit that has them."""


def uuid5_of(name: str) -> str:
    """UUIDv5 of the name in emostream's namespace: RFC 9562, a third of `uuid.uuid5`'s time."""
    digest = _NAMESPACE.copy()
    digest.update(name.encode())
    text = digest.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


class EventIds:
    """Names events by where their record is, what it holds, and how it is analysed.

    The value's digest is part of it, since offsets begin again when a topic is created again, and
    the cluster's id, since two clusters have topics of one name. The model is part of it as far as
    it is configured, and a second one likewise: else it would depend on which server answered
    first. Which of two models read a post is no part of it: a redelivery may be read by the other.
    """

    def __init__(
        self,
        signature: str,
        *,
        cluster_id: str = "",
        model: str = "",
        revision: str = "",
        second: tuple[str, str] = ("", ""),
    ) -> None:
        """`signature` is the plan's: the task set in words. `second`: its name and revision."""
        self._before = f"{cluster_id}/"
        self._after = f"|{model}|{revision}|{signature}"
        if any(second):
            self._after += f"|{second[0]}|{second[1]}"

    def of(self, topic: str, partition: int, offset: int, value: bytes | None) -> str:
        """UUIDv5 of cluster, topic, partition, offset, value, configured model and task set."""
        digest = hashlib.blake2b(
            value or b"", digest_size=_DIGEST_BYTES, usedforsecurity=False
        ).hexdigest()
        return uuid5_of(f"{self._before}{topic}/{partition}/{offset}/{digest}{self._after}")
