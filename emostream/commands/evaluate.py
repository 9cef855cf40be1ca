"""`emostream evaluate`: how well a model's readings agree with people's."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from emostream.connection import Connection, refuse_two_models
from emostream.exits import WRONG_USAGE, CommandError, wrong_usage
from emostream.interrupt import run
from emostream.logs import quiet_logs
from emostream.plain import visible

if TYPE_CHECKING:
    from training.evaluation.readings import Predictions, Reading
    from training.evaluation.scores import TaskScores


def evaluate(
    *files: Path,
    gold: Path | None = None,
    part: Literal["train", "dev", "test"] | None = None,
    text_column: str = "text",
    gold_scale: str | None = None,
    unreadable: Literal["leave-out", "middle"] = "leave-out",
    server: str | None = None,
    model_id: str | None = None,
    config: Path | None = None,
    wording: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    bias: bool = False,
    report: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Score predictions against gold labels, beside what the EmoLLMs' paper published.

    With --gold, FILES are predictions already made. Without, FILES is one file of gold labels:
    the predictions beside them are scored (`pred` of EmoLLMs' lines), else the model is asked.

    Gold labels: a folder or a file of SemEval-2018 task 1; the EmoLLMs' JSON lines (`instruction`,
    `output`); a CSV, TSV or JSON lines of your own with a text and a column named as each question
    (`V-reg`, `EI-reg:anger`, `E-c`, `V-T`, …). Predictions: all of these, what `emostream predict`
    or the EmoLLMs' `inference.py` writes, and events as `emostream events --json` prints them.
    Files may be gzipped. A row of a TSV is one line; quotes around a whole cell of it are taken
    off, any other quote is text.

    With --bias and no files, the model reads sentences that differ only in whom they are about
    (women and men, names typical of groups); what differs by more than luck is reported.

    **Examples**

    ```
    emostream evaluate answers.jsonl.gz
    emostream evaluate SemEval2018-Task1/ --part dev --server http://localhost:3000
    emostream evaluate labels.csv --model-id small --json
    emostream evaluate events.jsonl --gold labels.csv
    emostream evaluate --bias --model-id small --report bias.md
    ```

    Args:
        files: Predictions, or one file or folder of gold labels.
        gold: Gold labels that FILES are scored against.
        part: Of SemEval folders that have several parts, of labels or of predictions.
        text_column: Column or key of the text, in files of your own.
        gold_scale: LOW:HIGH, what the gold scores are on where that isn't the task's own scale;
            they are brought to the task's, as the models' answers are.
        unreadable: Unreadable answers are left out (and counted), or count as the middle of their
            scale, as SemEval's own script has it.
        server: Base URL of the model server to ask. [default: the configuration's]
        model_id: A model's folder, its name on the hub, or `small`, to be run by this command.
        config: Configuration (TOML), as for `emostream consume`.
        wording: Which of a task's wordings to ask in, from 0, starting over after the last; lines
            with an instruction keep theirs.
        bias: Compare how sentences about different people are read, instead of scoring.
        report: With --bias: a file to write the report to (Markdown, for a model card).
        json_: One JSON object: models, tasks, metrics, counts, and the published rows; with --bias
            the whole report.
    """
    quiet_logs("error")
    from training.evaluation import sources
    from training.evaluation.readings import matched
    from training.evaluation.scores import score

    if bias != (not files) or (report is not None and not bias):
        raise CommandError(
            "give files to be scored, or --bias (with --report, if you like) and no files",
            status=WRONG_USAGE,
        )
    if report is not None and (report.is_dir() or not report.parent.is_dir()):
        raise CommandError(
            f"--report {report}: must be a file in a folder that exists", status=WRONG_USAGE
        )
    refuse_two_models(server, model_id)
    if (
        ignored := _ignored(files, gold, part, bias=bias, asks=bool(server or model_id))
    ) is not None:
        raise CommandError(ignored, status=WRONG_USAGE)
    if bias:
        _bias(server, model_id, config, report, as_json=json_)
        return 0
    if gold is None and len(files) > 1:
        raise CommandError(
            "give one file or folder of gold labels, or predictions and --gold FILE",
            status=WRONG_USAGE,
        )
    if gold is None and sources.holds_events(files[0]):
        raise CommandError(
            "events have no gold labels: name a file that has them with --gold", status=WRONG_USAGE
        )
    with wrong_usage():
        scale = _scale(gold_scale)
    labels = sources.gold(
        gold or files[0], part=part, text_column=text_column, scale=scale, note=_note
    )
    _tell_shared_ids(gold or files[0], labels)
    if gold is not None:
        predicted = sources.predictions(files, part=part, text_column=text_column, note=_note)
        _require_same_posts(gold, labels, predicted)
    else:
        asked = server is not None or model_id is not None
        predicted = {} if asked else sources.own_predictions(files[0])
        if not predicted:
            predicted = _ask(labels, server, model_id, config, wording)
    scores = {
        model: score(matched(labels, readings), unreadable=unreadable)
        for model, readings in predicted.items()
    }
    if not any(one.scored for of_model in scores.values() for one in of_model.values()):
        raise CommandError(
            "nothing could be scored: no prediction belongs to a post with a gold label (they are"
            " matched by id, else by text), or none can be read"
        )
    _print(scores, as_json=json_)
    return 0


def _note(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _tell_shared_ids(gold: Path, labels: "list[Reading]") -> None:
    from training.evaluation.readings import shared_ids

    if shared := sorted({post for _, post in shared_ids(labels)}):
        more = f" and {len(shared) - 1:,} more" if shared[1:] else ""
        _note(
            f"{gold}: an id that stands for several texts counts for nothing:"
            f" {visible(shared[0])}{more}"
        )


def _ignored(
    files: tuple[Path, ...], gold: Path | None, part: str | None, *, bias: bool, asks: bool
) -> str | None:
    """What was given and would do nothing; None where all of it counts."""
    if bias:
        if gold is None and part is None:
            return None
        return "--bias asks about sentences of its own: leave --gold and --part out"
    if gold is not None and asks:
        return (
            "with --gold, predictions already made are scored and no model is asked: leave --server"
            " and --model-id out, or give the gold labels alone"
        )
    folders = [path for path in (*files, gold) if path is not None and path.is_dir()]
    if part is not None and not folders:
        return f"--part {part} chooses among the files of a SemEval-2018 folder: give a folder"
    return None


def _require_same_posts(gold: Path, labels: "list[Reading]", predicted: "Predictions") -> None:
    from training.evaluation.readings import strangers

    for readings in predicted.values():
        if found := strangers(labels, readings):
            raise CommandError(
                f"{len(found):,} posts have the same id in both and different texts,"
                f" {visible(found[0])} among them: {gold} holds labels of other posts",
                status=WRONG_USAGE,
            )


def _scale(words: str | None) -> tuple[float, float] | None:
    if words is None:
        return None
    low, _, high = words.partition(":")
    try:
        scale = float(low), float(high)
    except ValueError:
        raise ValueError(f"--gold-scale {words}: must be LOW:HIGH, as 1:5 or -4:4") from None
    if not scale[0] < scale[1]:
        raise ValueError(f"--gold-scale {words}: the first must be below the second")
    return scale


def _bias(
    server: str | None,
    model_id: str | None,
    config: Path | None,
    report: Path | None,
    *,
    as_json: bool,
) -> None:
    from emostream import bias_report
    from emostream.console import Console
    from training.evaluation.bias.comparison import compare, questions

    ((model, readings),) = _ask(questions(), server, model_id, config, 0).items()
    found = compare(readings)
    if found.unreadable == found.answers:
        raise CommandError(f"none of {model}'s answers can be read: check which model is served")
    if report is not None:
        _write(report, bias_report.markdown(model, found))
    if as_json:
        sys.stdout.write(json.dumps(bias_report.as_json(model, found)) + "\n")
        return
    console = Console(highlight=False)
    console.print(bias_report.summary(model, found))
    console.print(bias_report.table(found))


def _write(report: Path, text: str) -> None:
    try:
        report.write_text(text, encoding="utf-8")
    except OSError as error:  # what was measured took minutes: it is printed all the same
        sys.stderr.write(f"{report} can't be written ({error.strerror}); here it is:\n\n{text}\n")


def _ask(
    gold: "list[Reading]",
    server: str | None,
    model_id: str | None,
    config: Path | None,
    wording: int,
) -> "Predictions":
    from emostream.bar import Bar
    from emostream.batch.gold import ask_gold, asked_task, can_be_asked
    from emostream.batch.model import open_batch_model

    if not any(map(can_be_asked, gold)):
        raise CommandError(
            "no label has a text that the model could be asked about: name its column with"
            " --text-column",
            status=WRONG_USAGE,
        )
    settings = Connection(config=config).settings_asking(server)
    tasks = list(dict.fromkeys(map(asked_task, gold)))

    async def ask() -> "Predictions":
        async with open_batch_model(settings, tasks, model_id=model_id) as model:
            with Bar("answers", len(gold)) as bar:
                found = await ask_gold(
                    model,
                    gold,
                    wording=wording,
                    progress=lambda done: bar.update(done, done),
                    note=_note,
                )
            return {model.name: found}

    return run(ask())


def _print(scores: "dict[str, dict[str, TaskScores]]", *, as_json: bool) -> None:
    from emostream import scoring

    if as_json:
        sys.stdout.write(json.dumps(scoring.as_json(scores)) + "\n")
        return
    from emostream.console import Console

    console = Console(highlight=False)
    if (benchmark := scoring.benchmark_table(scores)) is not None:
        console.print(benchmark)
    for model, of_model in scores.items():
        for table in scoring.detail_tables(model, of_model):
            console.print(table)
