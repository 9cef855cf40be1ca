"""The configuration is read from a file and the environment, or refused with what to change."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from consumer.settings import Settings, load, to_example_toml, to_markdown
from runtime.kafka.security import client_security
from runtime.settings import ConfigError

SECRET = "hunter2-hunter2-hunter2"


def problems(tmp_path: Path, toml: str, env: dict[str, str] | None = None) -> str:
    path = tmp_path / "emostream.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    return str(caught.value)


def loaded(tmp_path: Path, toml: str, env: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "emostream.toml"
    path.write_text(toml)
    return load(path, env or {})


REFUSED = {
    "unknown key": ('[kafka]\nbootstap = "a:1"', "kafka.bootstap: unknown key; did you mean boots"),
    "unknown section": ("[kafak]", "kafak: unknown key; did you mean kafka?"),
    "wrong type": ('[http]\nport = "x"', "http.port"),
    "section as a scalar": ("kafka = 3", "kafka"),
    "not TOML": ("[kafka", "is not valid TOML"),
    "a URL for a broker": (
        '[kafka]\nbootstrap = "a:1, PLAINTEXT://b:9092"',
        "bootstrap takes no PLAINTEXT://: write b:9092",
    ),
    "no port": ('[kafka]\nbootstrap = "broker"', "host:port"),
    "both topics and pattern": ('[input]\ntopics = ["a"]\npattern = "a.*"', "either topics or"),
    "no topics": ("[input]\ntopics = []", "nothing to consume"),
    "bad topic": ('[input]\ntopics = ["a b"]', "is no topic's name"),
    "bad pattern": ('[input]\npattern = "("', "no regular expression"),
    "bad path": ('[input.fields]\ntext = "a..b"', "input.fields.text"),
    "no text path": ('[input.fields]\ntext = ""', "input.fields.text"),
    "bad virtual id": ('[input.fields]\nid = "@offset"', "@key or @position"),
    "events read back": ('[input]\ntopics = ["affect.events"]', "read back as posts, without end"),
    "dead letters read back": ('[input]\npattern = "affect.d.*"', "output.dlq_topic"),
    "one topic for both": ('[output]\ndlq_topic = "affect.events"', "are the same"),
    "short key": ('[output]\nauthor_key = "short"', "openssl rand -hex 32"),
    "PLAIN in the clear": (
        '[kafka.sasl]\nmechanism = "PLAIN"\nusername = "u"\npassword = "p"',
        "tls.enabled = true",
    ),
    "SASL without password": ('[kafka.sasl]\nmechanism = "SCRAM-SHA-256"', "needs username and"),
    "credentials, no mechanism": ('[kafka.sasl]\nusername = "u"', "set mechanism"),
    "OAUTHBEARER without a source": (
        '[kafka.sasl]\nmechanism = "OAUTHBEARER"\n[kafka.tls]\nenabled = true',
        "token_file",
    ),
    "OAUTHBEARER without a secret": (
        '[kafka.sasl]\nmechanism = "OAUTHBEARER"\ntoken_url = "https://x"',
        "client_id and client_secret",
    ),
    "client secret in the clear": (
        (
            '[kafka.sasl]\nmechanism = "OAUTHBEARER"\ntoken_url = "http://idp/token"\n'
            'client_id = "me"\nclient_secret = "s"\n[kafka.tls]\nenabled = true'
        ),
        "name an https:// address",
    ),
    "TLS files without TLS": ('[kafka.tls]\nca_file = "ca.pem"', "set enabled = true"),
    "half of mutual TLS": ('[kafka.tls]\nenabled = true\ncert_file = "c.pem"', "key_file"),
    "secret twice": ('[model]\ntoken = "a"\ntoken_file = "b"', "either token or token_file"),
    "secret file missing": ('[model]\ntoken_file = "/no/such"', "can't be read"),
    "password in a URL": ('[model]\nservers = ["http://u:p@h"]', "use token"),
    "token in the clear": (
        '[model]\nservers = ["http://gpu:80"]\ntoken = "a"',
        "model.allow_plain_token = true",
    ),
    "the second's token in the clear": (
        '[model.second]\nservers = ["http://gpu:80"]\ntoken = "a"',
        "model.second.allow_plain_token = true",
    ),
    "no URL": ('[model]\nservers = ["h:80"]', "must begin with http://"),
    "no servers": ("[model]\nservers = []", "model.servers"),
    "a server twice": ('[model]\nservers = ["http://h", "http://h/"]', "twice"),
    "derive without valence": ("[tasks]\nv_reg = false", "needs v_reg = true"),
    "derive without intensity": ("[tasks]\nei_reg = false", "needs ei_reg = true"),
    "cascade without E-c": ("[tasks]\ne_c = false", "needs e_c = true"),
    "nothing asked": (
        '[tasks]\nv_reg = false\nv_oc = "off"\ne_c = false\nei_reg = false\nei_oc = "off"',
        "no task is on",
    ),
    "custom task of no kind": (
        '[[tasks.custom]]\nname = "stance"\nwordings = ["Which stance?"]',
        "give either `grammar` or `choices`",
    ),
    "custom task with an unknown key": (
        '[[tasks.custom]]\nname = "stance"\nwording = "Which?"\nwordings = ["W?"]',
        "custom task 'stance'",
    ),
    "custom tasks of one name": (
        '[[tasks.custom]]\npreset = "SST5"\n[[tasks.custom]]\npreset = "SST5"',
        "two tasks have the same name",
    ),
    "unknown preset": ('[[tasks.custom]]\npreset = "X"', "preset must be one of V-T"),
    "half a model of one's own": ('[model]\nfamily = "t5"', "set wrapper beside family"),
    "drain over the rebalance timeout": ("[drain]\nrevoke_s = 55", "must be above drain.revoke_s"),
    "a transaction shorter than a drain": (
        '[delivery]\nguarantee = "exactly-once"\ntransaction_timeout_s = 25',
        "delivery.transaction_timeout_s (25) must be above drain.revoke_s",
    ),
    "transactional ids without transactions": (
        '[delivery]\ntransactional_id_prefix = "shop"',
        'set guarantee = "exactly-once", or leave it out',
    ),
    "stuck before slow": ("[http]\nstuck_after_s = 60", "must be above twice model.timeout_s"),
    "stuck in a rebalance": (
        "[kafka]\nrebalance_timeout_s = 120",
        "must be above kafka.rebalance_timeout_s",
    ),
    "in flight below a batch": ("[in_flight]\nmax_posts = 10", "no batch would fill"),
}


@pytest.mark.parametrize(("toml", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_unsafe_settings_are_refused_with_what_to_change(
    tmp_path: Path, toml: str, words: str
) -> None:
    message = problems(tmp_path, toml)
    assert words in message
    assert "emostream.toml" in message


REMOVED = {
    "kafka.max_poll_interval_s": "kafka.rebalance_timeout_s",
    "batch.max_bytes": "in_flight.max_bytes",
    "batch.max_concurrent": "use batch.max_concurrent_posts",
    "cache.max_bytes": "use cache.max_entries",
    "cache.ttl_s": "answers don't age",
    "fuse.window": "fuse.share",
    "http.enabled": "http.port = 0",
}


@pytest.mark.parametrize(("key", "says"), REMOVED.items(), ids=REMOVED.keys())
def test_a_removed_key_is_refused_with_its_successor(tmp_path: Path, key: str, says: str) -> None:
    section, name = key.split(".")
    message = problems(tmp_path, f"[{section}]\n{name} = 1")
    assert f"{key}: is gone" in message
    assert says in message
    variable = f"EMOSTREAM_{section}__{name}".upper()
    message = problems(tmp_path, "", {variable: "1"})
    assert message.startswith(f"{variable}: is gone")
    assert says in message


def test_every_removed_key_is_in_the_changelog() -> None:
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    removed = {
        f"{name}.{key}"
        for name, section in sections.items()
        if section is not None
        for key in section.removed
    }
    assert removed == set(REMOVED)
    assert not {key for key in removed if f"`{key}`" not in changelog}


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    message = problems(tmp_path, "[http]\nport = 99999\n[log]\nlevel = 'loud'")
    assert len(message.splitlines()) == 2


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '[kafka]\nbootstrap = "file:1"\nclient_id = "file"',
        {
            "EMOSTREAM_KAFKA__BOOTSTRAP": "env:2",
            "EMOSTREAM_INPUT__TOPICS": "a, b",
            "EMOSTREAM_MODEL__SERVERS": '["http://a", "http://b"]',
            "EMOSTREAM_INPUT__FIELDS__TEXT": "body",
            "EMOSTREAM_MODEL__GRAMMAR": "true",
            "PATH": "/bin",
        },
    )
    assert settings.kafka.bootstrap == "env:2"
    assert settings.kafka.client_id == "file"
    assert settings.input.topics == ("a", "b")
    assert settings.model.servers == ("http://a", "http://b")
    assert settings.input.fields.text == "body"
    assert settings.model.grammar is True


def test_a_bad_variable_is_named_by_its_own_name(tmp_path: Path) -> None:
    message = problems(tmp_path, "", {"EMOSTREAM_HTTP__PORT": "x"})
    assert message.startswith("EMOSTREAM_HTTP__PORT: http.port:")


def test_what_a_section_refuses_is_told_with_all_places_that_it_was_set_in(tmp_path: Path) -> None:
    env = {"EMOSTREAM_KAFKA__BOOTSTRAP": "localhost"}
    with pytest.raises(ConfigError, match=r"^EMOSTREAM_KAFKA__BOOTSTRAP: kafka: bootstrap must be"):
        load(None, env)
    message = problems(tmp_path, '[kafka]\nclient_id = "a"', env)
    assert message.startswith(f"{tmp_path}/emostream.toml and EMOSTREAM_KAFKA__BOOTSTRAP: kafka: b")
    with pytest.raises(ConfigError, match=r"^--bootstrap: kafka: bootstrap must be"):
        load(None, env, {"EMOSTREAM_KAFKA__BOOTSTRAP": "--bootstrap"})


def test_many_variables_are_told_as_such() -> None:
    names = ("BOOTSTRAP", "CLIENT_ID", "CLUSTER_ID", "TLS__CHECK_HOSTNAME")
    with pytest.raises(ConfigError, match=r"^EMOSTREAM_… variables: kafka: bootstrap must be"):
        load(None, {f"EMOSTREAM_KAFKA__{name}": "0" for name in names})


def test_a_file_may_begin_with_a_byte_order_mark_and_have_line_ends_of_windows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "emostream.toml"
    path.write_bytes(b'\xef\xbb\xbf[kafka]\r\nbootstrap = "a:1"\r\n')
    assert load(path, {}).kafka.bootstrap == "a:1"


@pytest.mark.parametrize("name", ["EMOSTREAM_KAFKA_BOOTSTRAP", "EMOSTREAM_KAFKA__BOOTSTARP"])
def test_a_variable_that_sets_nothing_is_refused_with_the_right_name(
    tmp_path: Path, name: str
) -> None:
    assert "did you mean EMOSTREAM_KAFKA__BOOTSTRAP?" in problems(tmp_path, "", {name: "a:1"})


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    settings = load(None, {"EMOSTREAM_MODEL__TOKEN_FILE": str(tmp_path / "token")})
    assert settings.model.token == SecretStr(SECRET)


def test_a_relative_path_is_told_with_the_folder_that_it_begins_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"token_file {tmp_path}/token can't be read: No such"):
        load(None, {"EMOSTREAM_MODEL__TOKEN_FILE": "token"})
    tls = {"EMOSTREAM_KAFKA__TLS__ENABLED": "true", "EMOSTREAM_KAFKA__TLS__CA_FILE": "ca.pem"}
    with pytest.raises(ConfigError, match=f"ca_file: {tmp_path}/ca.pem can't be used: No such"):
        client_security(load(None, tls).kafka)


def test_no_secret_shows_in_a_repr_or_an_error(tmp_path: Path) -> None:
    env = {
        "EMOSTREAM_MODEL__TOKEN": SECRET,
        "EMOSTREAM_OUTPUT__AUTHOR_KEY": SECRET,
        "EMOSTREAM_KAFKA__SASL__PASSWORD": SECRET,
        "EMOSTREAM_KAFKA__SASL__USERNAME": "u",
        "EMOSTREAM_KAFKA__SASL__MECHANISM": "SCRAM-SHA-512",
    }
    settings = load(None, env)
    assert settings.kafka.sasl.password.get_secret_value() == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())
    key = f'author_key = {{ a = "{SECRET}" }}'
    toml = f'[model]\ntoken = ["{SECRET}"]\nx = "{SECRET}"\n[output]\n{key}'
    assert SECRET not in problems(tmp_path, toml)
    assert SECRET not in problems(tmp_path, "", env | {"EMOSTREAM_KAFKA__SASL__MECHANISM": SECRET})


def test_custom_tasks_are_made_from_tables_and_presets(tmp_path: Path) -> None:
    toml = """
        [[tasks.custom]]
        name = "stance"
        wordings = ["Which stance has the writer?"]
        choices = ["for", "against"]

        [[tasks.custom]]
        preset = "SST5"
    """
    found = loaded(tmp_path, toml).tasks.custom_tasks()
    assert [task.name for task in found] == ["stance", "SST5"]


def test_a_pattern_replaces_the_default_topics(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[input]\npattern = "posts\\\\..*"')
    assert settings.input.topics == ()
    assert settings.input.reads("posts.mastodon")
    assert not settings.input.reads("my.posts.mastodon")


def test_the_example_file_is_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, to_example_toml()) == load(None, {})
    # and so it is with every comment taken out, but for what can't be set beside the defaults
    whole = "\n".join(
        line.removeprefix("#") if line.startswith("#") and line[1] != " " else line
        for line in to_example_toml().splitlines()
    )
    assert loaded(tmp_path, whole) == load(None, {})
    assert tomllib.loads(whole).keys() == Settings.model_fields.keys()


def test_every_key_is_documented() -> None:
    page = to_markdown()
    assert page.count("| `") > 65
    for line in page.splitlines():
        if line.startswith("| `"):
            assert line.rstrip(" |").endswith("."), line


@pytest.mark.parametrize(
    ("tls", "mechanism", "protocol"),
    [
        (False, "", "PLAINTEXT"),
        (True, "", "SSL"),
        (False, "SCRAM-SHA-256", "SASL_PLAINTEXT"),
        (True, "SCRAM-SHA-256", "SASL_SSL"),
    ],
)
def test_the_security_protocol_follows_from_tls_and_sasl(
    tls: bool, mechanism: str, protocol: str
) -> None:
    sasl = {"mechanism": mechanism, "username": "u", "password": "p"} if mechanism else {}
    settings = Settings(kafka={"tls": {"enabled": tls}, "sasl": sasl})  # type: ignore[arg-type]
    assert settings.kafka.security_protocol == protocol


def test_variables_of_the_embedded_parts_are_no_unknown_keys() -> None:
    """`emostream demo` hands its environment on to the consumer."""
    load(None, {"EMOSTREAM_CACHE_DIR": "/cache", "EMOSTREAM_MAVEN_URL": "https://mirror"})


def test_paths_of_rules_may_be_quoted_or_written_as_toml_cuts_them(tmp_path: Path) -> None:
    quoted = loaded(tmp_path, '[input]\nwhere = { "a.b" = ["x", 1], c = true }')
    cut = loaded(tmp_path, '[input]\nwhere.a.b = ["x", 1]\nwhere.c = true')
    env = load(None, {"EMOSTREAM_INPUT__WHERE": '{"a.b": ["x", 1], "c": true}'})
    assert quoted.input.where == cut.input.where == env.input.where == {"a.b": ["x", 1], "c": True}


def test_a_rule_takes_plain_values_only(tmp_path: Path) -> None:
    assert "a.b takes a text" in problems(tmp_path, '[input]\nwhere = { "a.b" = [[1]] }')
    assert "a takes a text" in problems(tmp_path, "[input]\nignore = { a = [] }")


def test_a_second_model_is_off_until_it_has_servers() -> None:
    second = Settings().model.second
    assert second.servers == ()
    assert (second.weight, second.second_tasks) == (0.3, ("E-c",))
    assert (second.on_outage, second.shed_above_age_s) == ("wait", 0.0)


@pytest.mark.parametrize(
    ("second", "tasks", "why"),
    [
        ({"servers": ["http://localhost:3000/"]}, {}, "is among model.servers"),
        ({"second_tasks": ["E-k"]}, {}, "is no task"),
        ({"second_tasks": ["V-reg", "E-c", "EI-reg"]}, {}, "would be asked nothing"),
        ({"weight": 0, "second_tasks": []}, {}, "would be asked nothing"),
        ({"weight": 1.0}, {}, "weight"),
        ({"on_outage": "stop"}, {}, "on_outage"),
        ({"servers": [], "on_outage": "second"}, {}, "second.on_outage needs a second model"),
        ({"servers": [], "shed_above_age_s": 60}, {}, "shed_above_age_s needs a second model"),
        ({"servers": ["http://LOCALHOST:3000"]}, {}, "is among model.servers"),
    ],
)
def test_a_second_model_that_makes_no_sense_is_refused_in_words(
    second: dict[str, Any], tasks: dict[str, Any], why: str
) -> None:
    model = {"second": {"servers": ["http://small:3000"], **second}}
    with pytest.raises(ValueError, match=why):
        Settings.model_validate({"model": model, "tasks": tasks})


def test_a_second_models_keys_come_from_variables_too() -> None:
    found = load(
        None,
        {
            "EMOSTREAM_MODEL__SECOND__SERVERS": "http://small:3000",
            "EMOSTREAM_MODEL__SECOND__SECOND_TASKS": "E-c,V-reg",
            "EMOSTREAM_MODEL__SECOND__ON_OUTAGE": "second",
        },
    )
    assert found.model.second.servers == ("http://small:3000",)
    assert found.model.second.second_tasks == ("E-c", "V-reg")
    assert found.model.second.on_outage == "second"


@pytest.mark.parametrize(
    ("tracing", "why"),
    [
        ({"endpoint": "collector:4318"}, "tracing: endpoint must be a URL"),
        ({"headers": "x=sekrit"}, "headers are given but no endpoint"),
        ({"endpoint": "http://far:4318", "headers": "x=sekrit"}, "would go to far unencrypted"),
        ({"endpoint": "https://far", "headers": "sekrit"}, "headers must be name=value"),
        ({"endpoint": "https://far", "sample_ratio": 1.5}, "must be at most 1"),
    ],
)
def test_tracing_that_can_not_work_or_is_unsafe_is_refused(
    tracing: dict[str, Any], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "emostream.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in tracing.items()]
    path.write_text("\n".join(["[tracing]", *lines]), encoding="utf-8")
    with pytest.raises(ConfigError, match=why) as error:
        load(path, {})
    assert "sekrit" not in str(error.value)
