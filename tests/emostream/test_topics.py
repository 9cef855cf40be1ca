"""`emostream topics create`: what is there is told and left as it is."""

from pathlib import Path

from tests.emostream.command import run_command
from tests.topics import topic_names


def write_config(folder: Path, bootstrap: str) -> str:
    names = topic_names()
    path = folder / "emostream.toml"
    path.write_text(
        f"""
[kafka]
bootstrap = "{bootstrap}"
[input]
topics = ["{names.posts}"]
[output]
events_topic = "{names.events}"
dlq_topic = "{names.dead_letters}"
[monitor]
windows_topic = "{names.windows}"
alerts_topic = "{names.alerts}"
mutes_topic = "{names.mutes}"
baselines_topic = "{names.baselines}"
""",
        encoding="utf-8",
    )
    return str(path)


async def test_topics_that_were_made_otherwise_fail_it_unless_that_is_allowed(
    bootstrap: str, tmp_path: Path
) -> None:
    """Who starts it with each release must not be stopped by a retention that somebody raised."""
    config = write_config(tmp_path, bootstrap)
    create = ("topics", "create", "--config", config)
    assert (await run_command(*create, "--partitions", "2")).status == 0
    more = (*create, "--partitions", "3")
    refused, allowed = await run_command(*more), await run_command(*more, "--allow-differences")
    assert (refused.status, allowed.status) == (1, 0)
    assert "partitions is 2, not 3" in refused.out
    assert allowed.out == refused.out
