"""`emostream monitor backtest`: the knob is set on evidence."""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, Self

import msgspec
from cyclopts import Parameter, validators

from emostream.connection import Connection
from emostream.exits import WRONG_USAGE, CommandError
from emostream.logs import quiet_logs

if TYPE_CHECKING:
    from monitor.backtest import Tally
    from monitor.backtest.picture import Mood
    from monitor.settings import Settings
    from schemas.alert import Alert


_FILES = {".csv", ".jsonl", ".json", ".ndjson", ".tsv", ".txt", ".gz", ".parquet"}
"""What ends like this is no topic."""
_MUCH = 0.1
"""Share of events that count nowhere from which on it is told: usually one in a hundred."""
_GZIP = b"\x1f\x8b"


def backtest(
    file: Path,
    *,
    connection: Connection = Connection(),
    by: Literal["topics", "source", "lang"] | None = None,
    false_alarms: Annotated[
        float | None, Parameter(validator=validators.Number(gt=0, lte=100))
    ] = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    scores: Path | None = None,
) -> None:
    """Print the alerts that the live monitor would have raised on a file or a topic.

    It judges by the configuration's `[monitor]`, as the live monitor does. A file needs no Kafka.

    FILE.jsonl has affect events, one a line in order of arrival, as `emostream events --json`
    writes them. FILE.csv has `timestamp,value`: a series of volumes.

    **Examples**

    ```
    emostream monitor backtest events.jsonl
    emostream monitor backtest events.jsonl --by source --false-alarms 0.1 --json
    emostream monitor backtest affect.events --bootstrap localhost:9092
    emostream monitor backtest volumes.csv --scores scored.csv
    ```

    Args:
        file: Events as .jsonl, volumes as .csv, or the name of a topic of events.
        by: What makes the tracks. [default: what the configuration says: its tracks, or `topics`]
        false_alarms: The knob: false alarms to be expected per track and week. [default: what the
            configuration says, or 0.5]
        json_: One JSON object a line for each transition.
        scores: Of a .csv: write `timestamp,value,anomaly_score` (0 to 1) for each row.
    """
    settings = _settings(connection, by, false_alarms)
    if not file.exists():
        if file.suffix.lower() in _FILES or len(file.parts) > 1:
            raise CommandError(f"{file} doesn't exist", status=WRONG_USAGE)
        if scores is not None:
            raise CommandError("--scores goes with a .csv of volumes", status=WRONG_USAGE)
        from emostream.topic_file import topic_file

        quiet_logs()
        with topic_file(connection, str(file)) as copy:
            _events(copy, settings, name=str(file), as_json=json_)
        return
    if file.is_dir():
        raise CommandError(f"{file} is a folder, not a file", status=WRONG_USAGE)
    if file.suffix.lower() == ".csv":
        _volumes(file, scores, settings.monitor.false_alarms, as_json=json_)
        return
    if scores is not None:
        raise CommandError("--scores goes with a .csv of volumes", status=WRONG_USAGE)
    _events(file, settings, name=str(file), as_json=json_)


def _settings(
    connection: Connection,
    by: Literal["topics", "source", "lang"] | None,
    false_alarms: float | None,
) -> "Settings":
    """Return the monitor's configuration, with what the command line says in its place."""
    settings = connection.monitor_settings()
    chosen: dict[str, object] = {} if by is None else {"by": by, "tracks": ()}
    if false_alarms is not None:
        chosen["false_alarms"] = false_alarms
    return settings.model_copy(update={"monitor": settings.monitor.model_copy(update=chosen)})


def _events(file: Path, settings: "Settings", *, name: str, as_json: bool) -> None:
    """Print a file's alerts. `name` is what the user called it, for what is said of it."""
    from monitor.backtest import EventFileError, Tally, as_row
    from monitor.backtest import backtest as run
    from monitor.backtest.picture import Mood
    from monitor.configured import detection, make_matcher
    from schemas.alert import Alert
    from schemas.window import PaneSums

    try:
        matcher = make_matcher(settings)
    except ValueError as error:
        raise CommandError(f"monitor.tracks: {error}", status=WRONG_USAGE) from None
    moods: dict[str, Mood] = {}
    tally = Tally()

    def on_pane(track: str, sums: PaneSums) -> None:
        moods.setdefault(track, Mood()).add(sums.at, sums.scored, sums.soft)

    def on_no_text() -> None:
        names = ", ".join(track.name for track in settings.monitor.tracks if track.keywords)
        sys.stderr.write(
            f"emostream: {name}: events carry no text, so tracks of keywords find nothing: {names};"
            " let the consumer write texts (output.include_text)\n"
        )

    alerts: list[Alert] = []
    encode = msgspec.json.Encoder().encode
    # Posts live for an hour of event time: the collector would look at each of them many times.
    gc.set_threshold(100_000, 20, 100)
    try:
        with _open(file) as lines, _Bar(file.stat().st_size) as bar:
            for alert in run(
                lines,
                matcher,
                detection(settings),
                texts=settings.output.include_text,
                future_s=settings.monitor.future_s,
                out_of_order_s=settings.monitor.out_of_order_s,
                progress=bar.update,
                on_pane=None if as_json else on_pane,
                on_no_text=on_no_text,
                tally=tally,
            ):
                if as_json:
                    sys.stdout.write(encode(as_row(alert)).decode() + "\n")
                    sys.stdout.flush()  # there are few, and whoever reads need not wait
                else:
                    alerts.append(alert)
    except EventFileError as error:
        raise CommandError(f"{name}: {error}", status=WRONG_USAGE) from None
    if tally.unreadable:
        sys.stderr.write(f"emostream: {name}: {tally.unreadable:,} left out: {tally.first}\n")
    _tell_of_disorder(name, tally)
    if not as_json:
        _show(alerts, moods, tally, settings.monitor.false_alarms)


def _tell_of_disorder(name: str, tally: "Tally") -> None:
    """Say on stderr where so many events count nowhere that the rest says little."""
    from monitor.windows import Fate

    events = sum(tally.fates.values())
    why = {
        Fate.LATE: "came late: lines have to be in order of arrival",
        Fate.FUTURE: "lie ahead of the time at which they were made (monitor.future_s)",
    }
    for fate, what in why.items():
        if (number := tally.fates.get(fate, 0)) > _MUCH * events:
            told = f"{number:,} of {events:,} events count nowhere, as they {what}"
            sys.stderr.write(f"emostream: {name}: {told}\n")


def _show(
    alerts: "list[Alert]", moods: "dict[str, Mood]", tally: "Tally", false_alarms: float
) -> None:
    from emostream.console import Console
    from monitor.backtest.picture import alert_table, picture
    from monitor.windows import Fate

    fired = [a for a in alerts if a.transition == "firing" and a.fired_at == a.at]
    ended = {a.alert_id: a.at for a in alerts if a.transition == "resolved"}
    console = Console()
    console.print(picture(moods, fired, width=console.width))
    if fired:
        console.print(alert_table(fired, ended, width=console.width))
    days = sum(len(mood.hours) for mood in moods.values()) / 24
    console.print(
        f"{len(fired)} alert{'' if len(fired) == 1 else 's'} in {days / 7:.1f} track-weeks; "
        f"{false_alarms:g} false ones to be expected per track and week"
    )
    words = {Fate.LATE: "late", Fate.DUPLICATE: "twice", Fate.FUTURE: "ahead of their time"}
    left = [f"{number:,} {words[f]}" for f, number in tally.fates.items() if number and f in words]
    if left:
        console.print(f"counted nowhere: {', '.join(left)}", style="dim")
    for alert in alerts:
        if alert.kind != "spike":
            console.print(f"{alert.at:%d %b %H:%M} {alert.track}: {alert.note}", style="dim")


def _volumes(file: Path, scores: Path | None, false_alarms: float, *, as_json: bool) -> None:
    from monitor.backtest.volumes import VolumeFileError, read_series, score_series, write_scores

    if scores is not None and scores.exists() and scores.samefile(file):
        raise CommandError("--scores would overwrite the series itself", status=WRONG_USAGE)
    try:
        rows = read_series(file)
    except VolumeFileError as error:
        raise CommandError(f"{file}: {error}", status=WRONG_USAGE) from None
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", status=WRONG_USAGE) from None
    scored = score_series(rows, false_alarms=false_alarms)
    if scores is not None:
        try:
            write_scores(scores, scored)
        except OSError as error:
            message = f"{scores} can't be written: {error.strerror}"
            raise CommandError(message, status=WRONG_USAGE) from None
    high = [row for row in scored if row.fires]
    for row in high:
        if as_json:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        else:
            sys.stdout.write(f"{row.timestamp}  {row.value:g}  {row.anomaly_score:.3f}\n")
    if not as_json:
        sys.stdout.write(f"{len(high)} alarms in {len(scored):,} rows\n")


def _open(file: Path) -> BinaryIO:
    try:
        lines = file.open("rb")
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}", status=WRONG_USAGE) from None
    if lines.peek(2)[:2] == _GZIP:  # JSON never begins so
        lines.close()
        raise CommandError(
            f"{file} is compressed: gunzip -c {file} > events.jsonl, and give that",
            status=WRONG_USAGE,
        )
    return lines


class _Bar:
    """A progress bar on standard error, on a terminal only."""

    def __init__(self, size: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=size)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, events: int, read: int) -> None:
        """Show how many events and bytes were read."""
        self._bar.update(self._task, completed=read, description=f"{events:,} events")
