"""What the page's server answers, without a browser."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.page import handlers, lookups
from monitor.page.data import (
    Change,
    MuteTrack,
    PipeChanged,
    Say,
    UnavailableError,
    UnmuteTrack,
)
from monitor.page.hub import Hub, Viewer
from monitor.page.table import file_name, guarded
from tests.monitor.page.conftest import WALL, Serve, Served, watching
from tests.monitor.page.made_up import END, MadeUp

TRACK = "kestrel air"
MINUTE = int(END.timestamp()) - 300


async def test_the_state_holds_all_that_is_shown_first(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get("/api/state") as answer:
        state = await answer.json()
    assert [track["track"] for track in state["tracks"]] == list(page.source.names)
    assert state["tracks"][0]["condition"] == "firing"
    assert state["alerts"][0]["alert"]["track"] == TRACK
    assert set(state["sparks"]) == set(page.source.names)
    assert len(state["sparks"][TRACK]["negative_share"]) == 96
    assert state["pipe"]["posts_lag"] == 184
    assert state["actions"] is True


async def test_a_minutes_quarter_of_an_hour_comes_with_it_once(serve: Serve) -> None:
    page: Served = await serve(MadeUp(tracks=2, hours=1))
    async with page.get("/api/state") as answer:
        state = await answer.json()
    async with watching(page, state["id"]) as stream:
        page.source.advance(20)
        quarters: dict[str, dict[int, float]] = {name: {} for name in page.source.names}
        missing = set(page.source.names)
        while missing:
            for change in json.loads((await stream.until("changes"))["data"]):
                if change["type"] == "quarter":
                    quarters[change["track"]][change["start"]] = change["negative_share"]
                elif change["type"] == "minutes":
                    columns = change["columns"]
                    if columns["start"] == page.source.end.timestamp() - 60:
                        missing.discard(columns["track"])
    async with page.get("/api/state") as answer:
        sparks = (await answer.json())["sparks"]
    for track, known in quarters.items():
        assert len(known) >= 2
        spark = sparks[track]
        for start, share in known.items():
            assert spark["negative_share"][(start - spark["start"]) // 900] == share


async def test_the_state_is_sent_compressed_and_says_the_same(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get("/api/state", Accept_Encoding="identity") as answer:
        assert "Content-Encoding" not in answer.headers
        raw = await answer.read()
    async with page.http.get(
        f"{page.url}/api/state", headers={"Accept-Encoding": "gzip"}
    ) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == raw


async def test_the_history_of_a_track_is_columns_of_one_length(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get(f"/api/history?track={TRACK}") as answer:
        columns = await answer.json()
    length = len(columns["posts"])
    assert length == 60
    assert columns["start"] == int(END.timestamp()) - 3_600
    assert len(columns["emotions"]["anger"]) == length
    assert {len(edge) for band in columns["bands"].values() for edge in band} == {length}
    assert max(share for share in columns["negative_share"] if share is not None) > 0.5


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/history?track=nobody", 404),
        ("/api/history", 400),
        (f"/api/posts?track={TRACK}&start=5&end=4", 400),
        (f"/api/posts?track={TRACK}&start=0&end=3601", 400),
        (f"/api/posts?track={TRACK}&start=0&end=9999999999999", 400),
        ("/api/posts?track=nobody&start=0&end=60", 404),
        ("/api/examples?alert=none", 404),
        (f"/api/chart.csv?track={TRACK}&chart=other&start=0&end=60", 400),
        ("/api/none", 404),
        ("/static/none.js", 404),
        ("/static/%2e%2e/server.py", 404),
    ],
)
async def test_what_does_not_exist_is_a_sentence(serve: Serve, path: str, status: int) -> None:
    page: Served = await serve()
    async with page.get(path) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]


async def test_the_page_and_its_files_are_asked_for_again_and_not_sent_twice(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get("/static/js/main.js") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/javascript")
        assert answer.headers["Cache-Control"] == "no-cache"
        tag = answer.headers["ETag"]
    async with page.get("/static/js/main.js", If_None_Match=tag) as answer:
        assert answer.status == 304


async def test_the_page_asks_no_one_else(serve: Serve) -> None:
    page: Served = await serve()
    async with page.get("/") as answer:
        text = await answer.text()
    assert "//" not in text.replace("</", "").replace("<!doctype", "")


# ---- live


async def state_id(page: Served) -> str:
    async with page.get("/api/state") as answer:
        found: str = (await answer.json())["id"]
        return found


async def test_a_closed_minute_goes_to_all_who_watch(serve: Serve) -> None:
    page: Served = await serve()
    since = await state_id(page)
    async with watching(page, since) as first, watching(page, since) as second:
        await first.until("beat")
        await second.until("beat")
        page.source.advance()
        one, other = await first.until("changes"), await second.until("changes")
    assert one == other
    changes = json.loads(one["data"])
    minutes = [change["columns"] for change in changes if change["type"] == "minutes"]
    assert {columns["track"] for columns in minutes} <= set(page.source.names)
    assert all(columns["start"] == int(END.timestamp()) for columns in minutes)
    assert all(len(columns["posts"]) == 1 for columns in minutes)


async def test_who_comes_back_gets_what_was_missed_and_nothing_twice(serve: Serve) -> None:
    page: Served = await serve()
    async with watching(page, await state_id(page)) as stream:
        await stream.until("beat")
        page.source.fire()
        seen = (await stream.until("changes"))["id"]
        page.source.delete("kestrel-1")
        missed = await stream.until("changes")
    async with watching(page, "anything", Last_Event_ID=seen) as again:
        assert await again.until("changes") == missed
        assert (await again.next())["event"] == "beat"


@pytest.mark.parametrize("last", ["", "other-3", "x", "-", "%s-99", "%s--1", "%s-1e3", "%s-²"])
async def test_who_comes_back_with_an_id_that_means_nothing_loads_everything(
    serve: Serve, last: str
) -> None:
    page: Served = await serve()
    run = (await state_id(page)).partition("-")[0]
    async with watching(page, last.replace("%s", run)) as stream:
        assert (await stream.next())["event"] == "reset"


async def test_the_state_after_a_change_shows_it_and_has_its_id(serve: Serve) -> None:
    page: Served = await serve()
    before = await state_id(page)
    async with watching(page, before) as stream:
        await stream.until("beat")
        page.source.calm_down()
        changed = await stream.until("changes")
    async with page.get("/api/state") as answer:
        state = await answer.json()
    assert state["id"] == changed["id"] != before
    assert state["tracks"][0]["condition"] == "calm"


async def test_a_head_of_the_live_stream_takes_no_viewers_place(serve: Serve) -> None:
    page: Served = await serve()
    async with page.http.head(f"{page.url}/api/live") as answer:
        assert answer.status == 405
    assert page.server.viewers == 0


async def test_viewers_are_capped(serve: Serve) -> None:
    page: Served = await serve(max_viewers=1)
    async with watching(page) as stream:
        await stream.next()
        async with page.get("/api/live") as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers


async def test_a_viewer_that_does_not_read_is_cut_off_and_the_others_are_not() -> None:
    cut: list[str] = []
    hub = Hub(MadeUp(tracks=1, hours=1), wall=lambda: WALL, actions=True, gather_s=0)
    slow = Viewer(abort=lambda: cut.append("slow"))
    quick = Viewer(abort=lambda: cut.append("quick"))
    hub.join(slow, hub.last_id)
    hub.join(quick, hub.last_id)
    for _ in range(100):
        hub.send_beat()
        assert await quick.next()
    assert cut == ["slow"]
    assert await slow.next() == b""
    assert hub.viewers == 1


async def test_streams_end_when_the_changes_end(serve: Serve) -> None:
    page: Served = await serve()
    async with watching(page) as stream:
        await stream.next()
        page.source.stop()
        assert await stream.next() == {}


class Broken(MadeUp):
    """Its changes end with an error."""

    async def changes(self) -> AsyncGenerator[Change, None]:
        yield PipeChanged(pipe=self.pipe())
        raise OSError("the disk is full")


async def test_an_error_of_the_source_is_raised_where_the_service_watches(serve: Serve) -> None:
    page: Served = await serve(Broken(tracks=1, hours=1))
    with pytest.raises(OSError, match="disk"):
        await page.server.watch()
    async with page.get("/api/state") as answer:
        assert answer.status == 200  # the last figures are still shown, and say how old they are


# ---- posts


async def posts(page: Served, query: str = "") -> Any:
    async with page.get(
        f"/api/posts?track={TRACK}&start={MINUTE}&end={MINUTE + 60}{query}"
    ) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_the_posts_behind_a_moment(serve: Serve) -> None:
    page: Served = await serve()
    found = await posts(page)
    assert found["total"] == len(found["posts"]) > 5
    assert found["posts"] == sorted(found["posts"], key=lambda post: post["created_at"])
    assert len(found["posts"][0]["author"]) == 10
    negative = await posts(page, "&negative=1")
    assert 0 < negative["total"] < found["total"]
    assert all(post["valence"] < 0.43 for post in negative["posts"])


async def test_a_tombstone_hides_its_post_everywhere(serve: Serve) -> None:
    page: Served = await serve()
    first = (await posts(page))["posts"][0]["id"]
    async with watching(page, await state_id(page)) as stream:
        await stream.until("beat")
        page.source.delete(first)
        change = json.loads((await stream.until("changes"))["data"])
    assert change == [{"type": "deleted", "events": [first]}]
    assert first not in {post["id"] for post in (await posts(page))["posts"]}


async def test_a_tombstone_that_comes_during_a_look_up_counts(serve: Serve) -> None:
    page: Served = await serve()
    found = await page.source.posts(
        TRACK, END - timedelta(minutes=5), END - timedelta(minutes=4), limit=9, negative=False
    )
    first = found.events[0].id
    hub = Hub(page.source, wall=lambda: WALL, actions=True, gather_s=0)

    async def late() -> Any:
        hub.take(page.source.deleted(first))
        return found

    shown = await lookups.Lookups(hub).run("viewer", late())
    assert first not in {post.id for post in shown.posts}
    assert shown.total == found.total - 1


async def test_a_link_that_no_browser_should_follow_is_left_out(serve: Serve) -> None:
    page: Served = await serve()
    page.source.hostile = True
    assert all("url" not in post for post in (await posts(page))["posts"])


async def test_look_ups_are_bounded_for_each_viewer(serve: Serve) -> None:
    page: Served = await serve()
    page.source.gate = asyncio.Event()
    waiting = [asyncio.create_task(posts(page)) for _ in range(2)]
    await page.source.asked(2)
    async with page.get(f"/api/posts?track={TRACK}&start=0&end=60") as answer:
        assert answer.status == 429
    page.source.gate.set()
    await asyncio.gather(*waiting)
    assert (await posts(page))["total"]


async def test_a_look_up_ends_with_its_browser(serve: Serve) -> None:
    page: Served = await serve()
    page.source.gate = asyncio.Event()
    task = asyncio.create_task(posts(page))
    await page.source.asked(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await page.source.cancelled.wait()


async def test_a_look_up_that_takes_too_long_is_given_up() -> None:
    hub = Hub(MadeUp(tracks=1, hours=1), wall=lambda: WALL, actions=True, gather_s=0)
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    bounded = lookups.Lookups(hub, timeout_s=0)
    with pytest.raises(UnavailableError, match="try again"):
        await bounded.run("viewer", never)


async def test_what_kafka_does_not_answer_is_an_error(serve: Serve) -> None:
    page: Served = await serve()
    page.source.fail = UnavailableError("no broker answers")
    async with page.get(f"/api/posts?track={TRACK}&start=0&end=60") as answer:
        assert answer.status == 503
        assert (await answer.json())["error"] == "no broker answers"


# ---- actions


def alert_id(page: Served) -> str:
    return page.source.alerts()[0].alert.alert_id


async def act(page: Served, body: Any, **headers: str) -> tuple[int, Any]:
    async with page.post("/api/actions", body, **headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("action", ["ack", "note", "false"])
async def test_what_someone_says_is_recorded_with_who(serve: Serve, action: str) -> None:
    page: Served = await serve()
    body = {"type": "say", "alert_id": alert_id(page), "action": action, "name": "Ana", "note": "x"}
    async with watching(page, await state_id(page)) as stream:
        await stream.until("beat")
        assert (await act(page, body))[0] == 200
        changes = json.loads((await stream.until("changes"))["data"])
    done = page.source.actions[0]
    assert isinstance(done, Say)
    assert (done.action, done.by, done.note) == (action, "Ana (unverified)", "x")
    assert changes[0]["alert"]["actions"][-1]["by"] == "Ana (unverified)"


async def test_a_name_that_a_proxy_vouches_for_is_taken_and_the_typed_one_is_not(
    serve: Serve,
) -> None:
    page: Served = await serve(user_header="X-User", trusted_proxies=("127.0.0.1",))
    body = {"type": "unmute", "track": TRACK, "name": "the boss"}
    assert (await act(page, body, X_User="ana@press.example"))[0] == 200
    assert page.source.actions == [UnmuteTrack(track=TRACK, by="ana@press.example")]


async def test_a_mute_until_a_time_and_one_each_week(serve: Serve) -> None:
    page: Served = await serve()
    until = {"type": "mute", "track": TRACK, "until": "2026-11-28T14:00:00Z"}
    weekly = {"type": "mute", "track": TRACK, "weekly": "sat 22:00-06:00", "zone": "Europe/Vienna"}
    assert (await act(page, until))[0] == (await act(page, weekly))[0] == 200
    first, second = page.source.actions
    assert isinstance(first, MuteTrack)
    assert isinstance(second, MuteTrack)
    assert first.until == END + timedelta(hours=2)
    assert (second.weekly, second.zone) == ("sat 22:00-06:00", "Europe/Vienna")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "say", "alert_id": "x", "action": "delete"},
        {"type": "say", "alert_id": "x", "action": "note", "note": " "},
        {"type": "say", "alert_id": "x", "action": "ack", "more": 1},
        {"type": "mute", "track": TRACK},
        {"type": "mute", "track": TRACK, "weekly": "sat 1:00-2:00"},
        {"type": "mute", "track": TRACK, "until": "2026-11-28T14:00:00"},
        {"type": "unmute", "track": "x" * 201},
        {"type": "unknown"},
        [],
        b"{",
        b"\xff",
    ],
)
async def test_an_action_that_cannot_be_read_is_refused(serve: Serve, body: Any) -> None:
    page: Served = await serve()
    status, answer = await act(page, body)
    assert status == 400
    assert answer["error"]
    assert page.source.actions == []


async def test_a_read_only_page_takes_no_action(serve: Serve) -> None:
    page: Served = await serve(actions=False)
    status, answer = await act(page, {"type": "unmute", "track": TRACK})
    assert status == 403
    assert "page.actions" in answer["error"]
    assert page.source.actions == []
    async with page.get("/api/state") as found:
        assert (await found.json())["actions"] is False


async def test_an_action_that_was_not_written_is_an_error(serve: Serve) -> None:
    page: Served = await serve()
    page.source.fail = UnavailableError("no broker answers")
    assert (await act(page, {"type": "unmute", "track": TRACK}))[0] == 503


async def test_an_action_is_finished_though_its_browser_leaves(serve: Serve) -> None:
    page: Served = await serve()
    page.source.gate = asyncio.Event()
    task = asyncio.create_task(act(page, {"type": "unmute", "track": TRACK}))
    await page.source.asked(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    page.source.gate.set()
    await page.source.acted.wait()
    assert page.source.actions == [UnmuteTrack(track=TRACK, by="someone (unverified)")]


# ---- CSV


async def test_a_charts_figures_as_csv(serve: Serve) -> None:
    page: Served = await serve()
    start = int(END.timestamp()) - 600
    query = f"track={TRACK}&chart=negative_share&start={start}&end={start + 600}"
    async with page.get(f"/api/chart.csv?{query}") as answer:
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert (
            'filename="emostream-kestrel-air-negative_share.csv"'
            in (answer.headers["Content-Disposition"])
        )
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert len(rows) == 10
    assert rows[0]["minute"] == "2026-11-28T11:50:00Z"
    assert {"track", "negative_share", "expected", "low", "high", "posts", "authors"} <= set(
        rows[0]
    )
    assert 0 <= float(rows[0]["negative_share"]) <= 1


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_a_strangers_word_is_no_formula_in_a_spreadsheet(start: str) -> None:
    assert guarded(start) == f"'{start}"


@settings(deadline=None)
@given(st.text())
def test_a_guarded_cell_never_begins_like_a_formula(text: str) -> None:
    assert guarded(text).lstrip(" ")[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert guarded(text).endswith(text)


@settings(deadline=None)
@given(st.text())
def test_a_file_name_has_no_sign_that_means_something(track: str) -> None:
    name = file_name(track, "valence")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert ".." not in name
    assert len(name) < 80


def test_gzip_of_the_first_payload_is_made_once() -> None:
    hub = Hub(MadeUp(tracks=2, hours=1), wall=lambda: WALL, actions=True, gather_s=0)
    state = hub.state()
    assert hub.state() is state
    assert gzip.decompress(state.gzipped) == state.raw
    history = hub.history(TRACK)
    assert hub.history(TRACK) is history
    assert handlers.MAX_BODY < 1 << 20
