"""The page's own files, read once at start, compressed once; nothing else can be asked for."""

import gzip
from hashlib import sha256
from pathlib import Path

from aiohttp import hdrs, web

FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    "": "text/plain",
}


class StaticFile:
    """One file as it is sent."""

    def __init__(self, path: Path) -> None:
        self._raw = path.read_bytes()
        self._gzipped = gzip.compress(self._raw, 9, mtime=0)
        self._type = _TYPES[path.suffix]
        self._etag = f'"{sha256(self._raw).hexdigest()[:32]}"'

    async def answer(self, request: web.Request) -> web.Response:
        """The file, or 304 where the browser has it: it asks each time, a new version shows."""
        headers = {
            hdrs.ETAG: self._etag,
            hdrs.CACHE_CONTROL: "no-cache",
            hdrs.VARY: "Accept-Encoding",
        }
        if self._etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return web.Response(status=304, headers=headers)
        body = self._raw
        if accepts_gzip(request):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            body = self._gzipped
        return web.Response(body=body, headers=headers, content_type=self._type, charset="utf-8")


def static_files(folder: Path | None = None) -> dict[str, StaticFile]:
    """Path on the server to file; `/` is index.html."""
    folder = FOLDER if folder is None else folder
    found = {
        f"/static/{path.relative_to(folder).as_posix()}": StaticFile(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES and not path.name.startswith(".")
    }
    found["/"] = found.pop("/static/index.html")
    return found


def accepts_gzip(request: web.Request) -> bool:
    """Whether the browser takes gzip."""
    return "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
