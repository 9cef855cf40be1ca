"""Names that feeds and their redirects lead to: only to the public internet."""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from producer.live.feed.address import is_local, is_public


class PrivateAddress(Exception):  # noqa: N818 - what it is, not that it is an error
    """A name has none but addresses of this machine or of a private network.

    No OSError: aiohttp would take it for a name that can't be resolved.
    """


class PublicResolver(AbstractResolver):
    """Leaves out what isn't public; the connection is made to what is left, and asks no more.

    So a name whose address changes between the look and the connection gains nothing. `localhost`
    is let through: who writes it means it, and no redirect from elsewhere leads to it.
    """

    def __init__(self, resolver: AbstractResolver) -> None:
        """`resolver` looks the names up."""
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name.

        Raises:
            PrivateAddress: there is nothing public behind it.
            OSError: it can't be resolved.
        """
        found = await self._resolver.resolve(host, port, family)
        if is_local(host):
            return found
        public = [one for one in found if is_public(one["host"])]
        if found and not public:
            raise PrivateAddress
        return public

    async def close(self) -> None:
        """Let go of what the resolver holds."""
        await self._resolver.close()
