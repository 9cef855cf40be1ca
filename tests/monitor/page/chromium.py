"""A real headless Chromium, driven over the DevTools protocol: just what these tests need."""

import asyncio
import base64
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import aiohttp
import msgspec

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_START_S = 60
_ANSWER_S = 60


class BrowserError(Exception):
    """The browser didn't do what it was asked to."""


def find() -> str | None:
    """The browser of this machine; None where there is none."""
    named = os.environ.get("EMOSTREAM_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page in a profile of its own."""

    def __init__(self, browser: "Chromium", session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        self.events: list[dict[str, Any]] = []
        """Everything the browser reported about this page, in order."""
        self._forgiven: tuple[str, ...] | None = ()

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools command of this page."""
        return await self._browser.send(method, params, self._session)

    async def open(self, url: str) -> None:
        """Go there and wait for `load`."""
        loaded = self._browser.expect(self._session, lambda e: e["method"] == "Page.loadEventFired")
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(loaded, _ANSWER_S)

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for.

        Raises:
            BrowserError: it threw.
        """
        answer = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    async def run_first(self, script: str) -> None:
        """Before any script of each page that is opened from now on."""
        await self.send("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def until(self, condition: str) -> Any:
        """The first true value of an expression, looked at whenever the document changes."""
        return await self.run(f"__until(() => {condition})")

    async def size(self, width: int, height: int, *, phone: bool = False, scale: float = 1) -> None:
        """Another screen."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )

    async def prefer(self, scheme: str) -> None:
        """`dark` or `light`, as the system would say."""
        await self.send(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},  # nothing is half way
            ],
        )

    async def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        box = await self.run(
            f"(() => {{ const e = document.querySelector({selector!r});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        await self.click_at(*box)

    async def click_at(self, x: float, y: float) -> None:
        """A real click."""
        for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            await self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="none" if kind == "mouseMoved" else "left",
                buttons=buttons,
                clickCount=1,
            )

    async def press(self, key: str, code: int, text: str = "") -> None:
        """A key, by its name and its old key code."""
        for kind in ("keyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    async def type(self, text: str) -> None:
        """Into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def picture(self) -> bytes:
        """What is on the screen, as PNG."""
        answer = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])

    def complaints(self) -> list[str]:
        """Errors of scripts, violations of the policy, requests that failed or left the server."""
        found = []
        for event in self.events:
            params = event["params"]
            match event["method"]:
                case "Runtime.exceptionThrown":
                    details = params["exceptionDetails"]
                    found.append(details.get("exception", {}).get("description", details["text"]))
                case "Runtime.consoleAPICalled" if params["type"] in {"error", "assert"}:
                    found.append(str(params["args"]))
                case "Log.entryAdded" if params["entry"]["level"] == "error":
                    found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
                case "Audits.issueAdded" if "Policy" in params["issue"]["code"]:
                    found.append(str(params["issue"]))
        return found

    def forgive(self, *parts: str) -> None:
        """Complaints with one of these words are what the test brought about; all, without any."""
        self._forgiven = parts or None

    async def blame(self) -> list[str]:
        """Complaints and violations of the policy that no test brought about."""
        if self._forgiven is None:
            return []
        found = [*self.complaints(), *await self.run("__violations")]
        return [one for one in found if not any(part in one for part in self._forgiven)]

    def requests(self) -> list[str]:
        """Every address that was asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    async def close(self) -> None:
        """Close it and forget its profile."""
        await self._browser.send(
            "Target.disposeBrowserContext", {"browserContextId": self._context}
        )


# Looks at a condition whenever something was drawn or changed; no timer.
_HELPERS = """
globalThis.__until = (condition) => new Promise((resolve) => {
  const look = () => {
    const value = condition();
    if (value) resolve(value);
    else requestAnimationFrame(look);
  };
  look();
});
globalThis.__violations = [];
addEventListener('securitypolicyviolation', (e) => __violations.push(
  e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile));
globalThis.__shift = 0;  // but for the list of alerts, where a new one makes room for itself
const inAlerts = (node) => (node?.parentElement ?? node)?.closest?.('.alerts');
new PerformanceObserver((list) => { for (const e of list.getEntries())
  if (!e.hadRecentInput && !e.sources.every((one) => inAlerts(one.node))) __shift += e.value;
}).observe({type: 'layout-shift', buffered: true});
"""


class Chromium:
    """The browser process, within `async with Chromium.start(path)`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._expected: list[
            tuple[str, Callable[[dict[str, Any]], bool], asyncio.Future[dict[str, Any]]]
        ] = []

    @classmethod
    @asynccontextmanager
    async def start(cls, path: str) -> AsyncIterator[Self]:
        """Start it on a free port, with a profile that is thrown away."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            process = await asyncio.create_subprocess_exec(
                path,
                "--headless=new",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "--no-sandbox",  # tests run as root in containers; only our own page is opened
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--no-default-browser-check",
                "--hide-scrollbars",
                "--lang=en-GB",
                "about:blank",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "TZ": "UTC", "LANG": "en_GB.UTF-8", "HOME": profile},
                start_new_session=True,
            )
            assert process.stderr is not None
            try:
                url = await asyncio.wait_for(_address(process.stderr), _START_S)
                drain = asyncio.create_task(_drain(process.stderr))
                async with aiohttp.ClientSession() as http:
                    socket = await http.ws_connect(url, max_msg_size=0, heartbeat=None)
                    browser = cls(socket)
                    reader = asyncio.create_task(browser._read())
                    try:
                        yield browser
                    finally:
                        with suppress(Exception):
                            await browser.send("Browser.close", {})
                        await socket.close()
                        await asyncio.gather(reader, return_exceptions=True)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 10)
                drain.cancel()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
                process._transport.close()  # type: ignore[attr-defined]

    async def tab(self) -> Tab:
        """A page in a fresh profile, its events switched on."""
        context = (await self.send("Target.createBrowserContext", {}))["browserContextId"]
        target = (
            await self.send(
                "Target.createTarget", {"url": "about:blank", "browserContextId": context}
            )
        )["targetId"]
        session = (await self.send("Target.attachToTarget", {"targetId": target, "flatten": True}))[
            "sessionId"
        ]
        tab = self._tabs[session] = Tab(self, session, context)
        for domain in ("Page", "Runtime", "Log", "Network", "Audits", "Accessibility"):
            await tab.send(f"{domain}.enable")
        await tab.run_first(_HELPERS)
        await tab.send("Emulation.setTimezoneOverride", timezoneId="UTC")
        return tab

    async def send(
        self, method: str, params: dict[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        """A DevTools command.

        Raises:
            BrowserError: refused.
        """
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        await self._socket.send_str(msgspec.json.encode(message).decode())
        try:
            found = await asyncio.wait_for(answer, _ANSWER_S)
        except TimeoutError:
            raise BrowserError(f"no answer to {method} {params}") from None
        if "error" in found:
            raise BrowserError(f"{method}: {found['error']['message']}")
        result: dict[str, Any] = found["result"]
        return result

    def expect(
        self, session: str, condition: Callable[[dict[str, Any]], bool]
    ) -> asyncio.Future[dict[str, Any]]:
        """The first event of a page that fits, from now on."""
        found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._expected.append((session, condition, found))
        return found

    async def _read(self) -> None:
        async for message in self._socket:
            content: dict[str, Any] = msgspec.json.decode(message.data)
            if "id" in content:
                answer = self._answers.pop(content["id"], None)
                if answer is not None and not answer.done():
                    answer.set_result(content)
                continue
            session = content.get("sessionId", "")
            if session in self._tabs:
                self._tabs[session].events.append(content)
            for one in list(self._expected):
                if one[0] == session and not one[2].done() and one[1](content):
                    one[2].set_result(content)
                    self._expected.remove(one)


async def _address(stderr: asyncio.StreamReader) -> str:
    """Where it listens, as it says on standard error."""
    output = b""
    while line := await stderr.readline():
        output += line
        if b"DevTools listening on " in line:
            return line.partition(b"DevTools listening on ")[2].strip().decode()
    raise BrowserError(f"Chromium did not start: {output.decode(errors='replace')[-2000:]}")


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.read(65_536):
        pass
