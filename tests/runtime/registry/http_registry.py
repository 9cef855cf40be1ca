"""A schema registry on a socket of this machine, with Confluent's API, that can fail."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID, uuid5

from aiohttp import web

from runtime.settings.registry import Registry
from tests.http_server import Handler, serving

Fault = Literal["", "503", "hang", "401", "wrong_path", "html"]
_SPACE = UUID(int=7)


class HttpRegistry:
    """Keeps schemas in memory. Compatible is what has no field more or less than the latest."""

    def __init__(self) -> None:
        self.url = ""
        self.fault: Fault = ""
        self.says: str | None = None
        """What each question is answered with, with status 200."""
        self.released = asyncio.Event()
        """Ends a `hang`."""
        self.asked: Counter[str] = Counter()
        """Requests by method and path."""
        self.credentials: set[str] = set()
        self.by_id: dict[int, dict[str, Any]] = {}
        self.subjects: dict[str, list[int]] = {}
        self.knows_guids = True
        self.refuses = False
        """Whether no schema is compatible with one before it."""

    def settings(self, **more: Any) -> Registry:
        given: dict[str, Any] = {"urls": (self.url,), "timeout_s": 2.0} | more
        return Registry(**given)

    def add(self, subject: str, schema: object, kind: str = "AVRO", **more: Any) -> int:
        """Register a schema; give its id."""
        wanted = {"schema": json.dumps(schema), "schemaType": kind, **more}
        known = next((number for number, one in self.by_id.items() if one == wanted), None)
        number = known if known is not None else len(self.by_id) + 1
        self.by_id[number] = wanted
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def guid(self, number: int) -> str:
        return str(uuid5(_SPACE, str(number)))

    def total(self) -> int:
        return sum(self.asked.values())

    # ---- the API

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/subjects", self._guarded(self._list)),
            ("POST", "/subjects/{subject}", self._guarded(self._look_up)),
            ("POST", "/subjects/{subject}/versions", self._guarded(self._register)),
            ("GET", "/subjects/{subject}/versions/{version}", self._guarded(self._version)),
            ("GET", "/schemas/ids/{id}", self._guarded(self._by_id)),
            ("GET", "/schemas/guids/{guid}", self._guarded(self._by_guid)),
            (
                "POST",
                "/compatibility/subjects/{subject}/versions/{version}",
                self._guarded(self._compatible),
            ),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.asked[f"{request.method} {request.path}"] += 1
            if (sent := request.headers.get("Authorization")) is not None:
                scheme, _, secret = sent.partition(" ")
                plain = base64.b64decode(secret).decode() if scheme == "Basic" else secret
                self.credentials.add(plain)
            if self.says is not None:
                return web.Response(text=self.says, content_type="application/json")
            match self.fault:
                case "503":
                    return _error(503, 50301, "a secret of the server")
                case "hang":
                    await self.released.wait()
                case "401":
                    return _error(401, 401, "Unauthorized")
                case "wrong_path":
                    return web.Response(status=404, text="<html>Not here</html>")
                case "html":
                    return web.Response(status=200, text="<html>Sign in</html>")
            return await handler(request)

        return answer

    async def _list(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(sorted(self.subjects))

    async def _look_up(self, request: web.Request) -> web.StreamResponse:
        subject = request.match_info["subject"]
        wanted = await _schema_of(request)
        for version, number in enumerate(self.subjects.get(subject, ()), 1):
            if _same(self.by_id[number], wanted):
                return web.json_response(self._registered(subject, version, number))
        if subject not in self.subjects:
            return _error(404, 40401, "Subject not found")
        return _error(404, 40403, "Schema not found")

    async def _register(self, request: web.Request) -> web.StreamResponse:
        subject = request.match_info["subject"]
        wanted = await _schema_of(request)
        if self.refuses and self.subjects.get(subject):
            return _error(409, 409, "Schema being registered is incompatible")
        number = self.add(subject, json.loads(wanted["schema"]), wanted["schemaType"])
        return web.json_response({"id": number})  # and no more, as Apicurio 3.3

    async def _version(self, request: web.Request) -> web.StreamResponse:
        subject, version = request.match_info["subject"], request.match_info["version"]
        versions = self.subjects.get(subject, [])
        if not versions:
            return _error(404, 40401, "Subject not found")
        at = len(versions) if version == "latest" else int(version)
        if at > len(versions):
            return _error(404, 40402, "Version not found")
        return web.json_response(self._registered(subject, at, versions[at - 1]))

    async def _by_id(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["id"])
        if number not in self.by_id:
            return _error(404, 40403, f"Schema {number} not found")
        return web.json_response({**self.by_id[number], "guid": self.guid(number)})

    async def _by_guid(self, request: web.Request) -> web.StreamResponse:
        if not self.knows_guids:
            return web.Response(status=404)
        for number, schema in self.by_id.items():
            if self.guid(number) == request.match_info["guid"]:
                return web.json_response({**schema, "guid": self.guid(number)})
        return _error(404, 40403, "Schema not found")

    async def _compatible(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"is_compatible": not self.refuses})

    def _registered(self, subject: str, version: int, number: int) -> dict[str, Any]:
        return {
            "subject": subject,
            "version": version,
            "id": number,
            "guid": self.guid(number),
            **self.by_id[number],
        }


@asynccontextmanager
async def http_registry() -> AsyncIterator[HttpRegistry]:
    """One registry, empty and well."""
    made = HttpRegistry()
    async with serving(*made.routes()) as url:
        made.url = url
        try:
            yield made
        finally:
            made.released.set()


async def _schema_of(request: web.Request) -> dict[str, Any]:
    body = await request.json()
    return {"schema": body["schema"], "schemaType": body.get("schemaType", "AVRO")}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["schemaType"] == other["schemaType"] and bool(
        json.loads(one["schema"]) == json.loads(other["schema"])
    )


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"error_code": code, "message": message}, status=status)
