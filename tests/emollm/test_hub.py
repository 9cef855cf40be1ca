"""A model's name on the hub: asked once, and one sentence where it isn't there."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

pytest.importorskip("huggingface_hub", reason="of the extra torch")

from huggingface_hub import constants

from emollm.hub import OnHub, find_on_hub
from emollm.model_folder import ModelFolderError
from tests.http_server import serving
from tests.refusing import refusing_port


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


async def asked(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str = "",
    *,
    name: str = "someone/model",
    revision: str | None = None,
) -> OnHub:
    """What is found on a hub that answers so, by one request."""
    requests = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        headers = {"X-Error-Code": code} if code else {"ETag": '"1"', "X-Repo-Commit": "c"}
        return web.Response(status=status, headers=headers)

    async with serving(("HEAD", "/{path:.*}", answer)) as url:
        at(monkeypatch, url)
        try:
            found = await asyncio.to_thread(find_on_hub, name, revision)
        finally:
            assert requests <= 1
    return found


def at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", url)


def in_the_cache(cache: Path) -> None:
    folder = cache / "models--someone--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("sha")
    (folder / "snapshots" / "sha").mkdir(parents=True)
    (folder / "snapshots" / "sha" / "config.json").write_text("{}")


async def test_a_model_that_the_hub_has_is_loaded_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await asked(monkeypatch, 200) == OnHub("c", cached=False)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_hub_in_a_bad_moment_is_left_to_the_loading(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    assert await asked(monkeypatch, status) == OnHub(None, cached=False)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "RepoNotFound", "someone/model is no folder here, and the hub .* has no model"),
        (403, "GatedRepo", "given to those only who ask for it at .*/someone/model"),
        (404, "RevisionNotFound", "someone/model has no revision v9 on the hub"),
        (404, "EntryNotFound", r"nothing that transformers loads: it has no config\.json"),
    ],
)
async def test_what_the_hub_does_not_give_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, words: str
) -> None:
    with pytest.raises(ModelFolderError, match=words):
        await asked(monkeypatch, status, code, revision="v9")


async def test_a_mistyped_name_gets_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFolderError, match="did you mean lzw1008/Emollama-chat-7b"):
        await asked(monkeypatch, 404, "RepoNotFound", name="lzw1008/Emolama-chat-7b")
    with pytest.raises(ModelFolderError, match="can't be a name on the hub"):
        find_on_hub("a/b/c")


async def test_without_a_hub_only_what_is_in_the_cache_is_loaded(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    with refusing_port() as port:
        at(monkeypatch, f"http://127.0.0.1:{port}")
        with pytest.raises(ModelFolderError, match=r"can't be reached \(.*no such model"):
            await asyncio.to_thread(find_on_hub, "someone/model")
        in_the_cache(cache)
        found = await asyncio.to_thread(find_on_hub, "someone/model")
        assert found == OnHub("sha", cached=True)
        with pytest.raises(ModelFolderError, match="has no revision v9"):
            await asyncio.to_thread(find_on_hub, "someone/model", "v9")
