"""One file configures the consumer and the monitor."""

from pathlib import Path

import pytest

from consumer.settings import load as load_consumer
from monitor.settings import load
from runtime.settings import ConfigError

FILE = """
[kafka]
bootstrap = "127.0.0.1:9092"
[input]
topics = ["posts"]
[output]
events_topic = "moods"
[model]
servers = ["http://127.0.0.1:8080"]
[monitor]
by = "source"
false_alarms = 0.1
[[monitor.tracks]]
name = "rail"
keywords = ["late train", "#delayed"]
"""


def test_both_read_the_same_file_and_each_takes_its_own(tmp_path: Path) -> None:
    config = tmp_path / "emostream.toml"
    config.write_text(FILE)
    assert load_consumer(config, {}).output.events_topic == "moods"
    monitor = load(config, {})
    assert monitor.output.events_topic == "moods"
    assert monitor.monitor.tracks[0].keywords == ("late train", "#delayed")
    assert monitor.monitor.false_alarms == 0.1


def test_a_misspelt_key_of_the_monitor_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "emostream.toml"
    config.write_text(FILE.replace("false_alarms", "false_alarm"))
    with pytest.raises(ConfigError, match="false_alarm"):
        load(config, {})
