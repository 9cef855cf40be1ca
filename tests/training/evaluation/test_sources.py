"""Reading labels and predictions in each format; all files are made up."""

import gzip
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from emollm.readers import Unreadable
from emollm.tasks import E_C, EI_OC, V_REG
from training.evaluation.errors import DataError
from training.evaluation.sources import gold, holds_events, own_predictions, predictions

DAMAGED = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff"
"""Gzip's head, and a block of a kind that doesn't exist."""
CUT_OFF = gzip.compress(b'{"text": "a", "V-reg": 0.5}\n', mtime=0)[:-6]
EVENT = {
    "version": 1,
    "id": "0",
    "post_id": "7",
    "created_at": "2026-01-01T00:00:00Z",
    "processed_at": "2026-01-01T00:00:00Z",
    "text": "What a day",
    "sentiment": {"valence": 0.8, "class": 3},
    "emotions": [],
    "intensity": {"joy": 0.7},
    "intensity_class": {"joy": 3},
    "unanswered": {"EI-reg:fear": "not a number"},
    "model": {"id": "Emollama-chat-7b"},
}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(whole) + "\n", encoding="utf-8")
    return path


def semeval(folder: Path) -> Path:
    """A folder as the organisers' archive has it, with two parts and their names of files."""
    head = "ID\tTweet\tAffect Dimension\tIntensity"
    write(
        folder / "EI-reg" / "development" / "2018-EI-reg-En-fear-dev.txt",
        head,
        '2018-En-1\t"quoted\tfear\t0.25',
    )
    write(
        folder / "V-oc" / "2018-Valence-oc-En-dev.txt",
        head,
        "2018-En-2\tso\tvalence\t-2: moderately negative emotional state can be inferred",
    )
    flags = "\t".join("01000000001")
    write(folder / "E-c" / "2018-E-c-En-dev.txt", "ID\tTweet\t…", f"2018-En-3\twell\t{flags}")
    write(
        folder / "V-reg" / "2018-Valence-reg-En-test-gold.txt",
        head,
        "2018-En-4\tx\tvalence\t0.5",
        "2018-mystery-05\tx\tmystery\t0.5",
        "2018-En-6\tx\tvalence\tNONE",
    )
    return folder


def test_a_semeval_folder_is_read_in_the_organisers_names(tmp_path: Path) -> None:
    found = {one.question: one for one in gold(semeval(tmp_path), part="dev")}
    assert found["EI-reg:fear"].value == 0.25
    assert found["EI-reg:fear"].text == '"quoted'
    assert found["V-oc"].value == -2
    assert found["E-c"].value == ("anticipation", "trust")
    assert found["E-c"].id == "2018-En-3"


def test_its_files_may_be_gzipped(tmp_path: Path) -> None:
    plain = gold(semeval(tmp_path), part="dev")
    for path in list(tmp_path.rglob("*.txt")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert gold(tmp_path, part="dev") == plain
    (file,) = tmp_path.rglob("*fear-dev.txt.gz")
    assert [one.value for one in gold(file)] == [0.25]
    file.write_bytes(CUT_OFF)
    with pytest.raises(DataError, match="it can't be unpacked"):
        gold(file)


def test_sentences_without_gold_labels_are_left_out(tmp_path: Path) -> None:
    (only,) = gold(semeval(tmp_path), part="test")
    assert (only.task, only.value) == ("V-reg", 0.5)


def test_a_folder_with_several_parts_wants_one_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it has dev, test: choose one with --part"):
        gold(semeval(tmp_path))
    with pytest.raises(DataError, match="it has no train"):
        gold(tmp_path, part="train")


def test_a_copy_of_a_file_in_a_subfolder_counts_once_and_is_named(tmp_path: Path) -> None:
    head, row = "ID\tTweet\tAffect Dimension\tIntensity", "2018-En-1\ta\tfear\t0.25"
    write(tmp_path / "EI-reg-En-fear-dev.txt", head, row, "2018-En-2\tb\tfear\t0.5")
    copy = write(tmp_path / "x" / "2018-EI-reg-En-fear-dev.txt", head, row)
    told: list[str] = []
    assert [one.id for one in gold(tmp_path, note=told.append)] == ["2018-En-1", "2018-En-2"]
    ((*mine,),) = predictions([tmp_path], note=told.append).values()
    assert [one.value for one in mine] == [0.25, 0.5]
    sentence = "x/2018-EI-reg-En-fear-dev.txt repeats EI-reg-En-fear-dev.txt: it counts once"
    assert told == [sentence] * 2
    write(copy, head, row.replace("0.25", "0.75"))
    for read in (gold, lambda path: predictions([path])):
        with pytest.raises(
            DataError, match=r"fear-dev.txt differ in EI-reg of the post '2018-En-1': remove one"
        ):
            read(tmp_path)


def test_files_of_one_name_are_models_of_their_own(tmp_path: Path) -> None:
    """Two runs, each in its folder: the second one's predictions were left out."""
    files = [
        write(tmp_path / run / "a.csv", "id,V-reg", f"1,{value}")
        for run, value in (("one", 0.1), ("two", 0.2))
    ]
    found = predictions(files)
    assert {name: one.value for name, (one,) in found.items()} == {
        str(files[0]): 0.1,
        str(files[1]): 0.2,
    }
    assert set(predictions(files[:1])) == {"a.csv"}


def test_files_that_differ_about_one_model_are_refused(tmp_path: Path) -> None:
    line = {"id": 1, "text": "x", "model": "m", "values": {"V-reg": 0.5}}
    one, same = write(tmp_path / "a.jsonl", line), write(tmp_path / "b.jsonl", line)
    assert [reading.value for reading in predictions([one, same])["m"]] == [0.5, 0.5]
    other = write(tmp_path / "c.jsonl", line | {"values": {"V-reg": 0.25}})
    with pytest.raises(DataError, match=r"a\.jsonl has another V-reg of m for the post 1: score"):
        predictions([one, other])


def test_the_part_is_that_of_a_predictions_folder_too(tmp_path: Path) -> None:
    folder = semeval(tmp_path)
    (mine,) = predictions([folder], part="test").values()
    assert [one.task for one in mine] == ["V-reg"]
    with pytest.raises(DataError, match="it has dev, test: choose one with --part"):
        predictions([folder])
    with pytest.raises(DataError, match="it has no train, but dev, test"):
        predictions([folder], part="train")


def test_a_submission_beside_gold_files_is_what_is_predicted(tmp_path: Path) -> None:
    """The gold files as predictions would score a Pearson of 1."""
    folder = semeval(tmp_path)
    write(folder / "V-reg_en_pred.txt", "h", "2018-En-4\tx\tvalence\t0.125")
    for part in ("test", "dev", None):
        ((one,),) = predictions([folder], part=part).values()
        assert one.value == 0.125


def test_a_submission_may_hold_what_is_no_value(tmp_path: Path) -> None:
    file = write(tmp_path / "EI-oc_en_fear_pred.txt", "h", "1\tx\tfear\t4: severe", "2\tx\tfear\t2")
    first, second = predictions([file])["EI-oc_en_fear_pred.txt"]
    assert isinstance(first.value, Unreadable)
    assert second.value == 2


def test_the_emollms_lines_have_gold_and_the_answers_of_models(tmp_path: Path) -> None:
    instruction = EI_OC.instruction("I shake.", "fear", 3)
    file = tmp_path / "aeb.jsonl.gz"
    line = {
        "instruction": instruction,
        "input": "",
        "output": EI_OC.write(2, "fear"),
        "pred": {"a": "2: moderate amount of fear can be inferred", "b": "48: disgust"},
    }
    file.write_bytes(gzip.compress(json.dumps(line).encode()))
    (label,) = gold(file)
    assert (label.question, label.value, label.text) == ("EI-oc:fear", 2, "I shake.")
    assert label.instruction == instruction
    found = own_predictions(file)
    assert found["a"][0].value == 2
    assert isinstance(found["b"][0].value, Unreadable)


def test_what_the_emollms_own_script_writes_is_read(tmp_path: Path) -> None:
    """It decodes the prompt with the answer, sampled, so that some go on with a prompt."""
    said = f"Human: \n{V_REG.instruction('So Human: what.')}\n\nAssistant:\n"
    lines = [{"output": said + answer} for answer in ("0.5", " 0.25", f"high\n\n{said}0.7")]
    file = write(tmp_path / "predict.json", *lines)
    ((name, found),) = predictions([file]).items()
    assert name == "predict.json"
    assert [one.value for one in found[:2]] == [0.5, 0.25]
    assert isinstance(found[2].value, Unreadable)
    assert {(one.question, one.text) for one in found} == {("V-reg", "So Human: what.")}


def test_an_instruction_in_the_models_wrapper_is_the_same(tmp_path: Path) -> None:
    wrapped = f"Human: \n{V_REG.instruction('So.')}\n\nAssistant:\n"
    (label,) = gold(write(tmp_path / "a.jsonl", {"instruction": wrapped, "output": "0.5"}))
    assert label.instruction == V_REG.instruction("So.")


def test_a_csv_of_ones_own_has_a_column_for_each_question(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.csv",
        "id,message,v-reg,EI-reg:joy,E-c,V-T,other",
        '1,"a, b",0.5,,"joy, love",-2,x',
        "2,c,,0.25,neutral or no emotion,4,x",
    )
    found = gold(file, text_column="message")
    assert [(one.id, one.text, one.question, one.value) for one in found] == [
        ("1", "a, b", "V-reg", 0.5),
        ("1", "a, b", "E-c", ("joy", "love")),
        ("1", "a, b", "V-T", -2.0),
        ("2", "c", "EI-reg:joy", 0.25),
        ("2", "c", "E-c", ()),
        ("2", "c", "V-T", 4.0),
    ]


@pytest.mark.parametrize("content", ['a,0.5\n"b,0.1\nc,0.7', '"a,0.5\nb,0.1'])
def test_a_quote_that_is_never_closed_loses_no_label_in_silence(
    tmp_path: Path, content: str
) -> None:
    path = write(tmp_path / "a.csv", "text,V-reg", content)
    with pytest.raises(DataError, match="a quote is never closed in the row that begins in line"):
        gold(path)
    with pytest.raises(DataError, match="never closed"):
        predictions([path])


def test_quotes_that_begin_texts_lose_no_label_in_silence(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tsv", "text\tV-reg", '"a\t0.5', "b\t0.1", '"c"\t0.7', '"d\t0.2')
    found = [(one.text, one.value) for one in gold(file)]
    assert found == [('"a', 0.5), ("b", 0.1), ("c", 0.7), ('"d', 0.2)]
    file = write(tmp_path / "a.csv", "V-reg,text", '0.5,"a', '0.1,"b', "0.7,c")
    with pytest.raises(DataError, match="lines 2 to 3: text after a closing quote"):
        gold(file)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EI-reg", "EI-reg:anger or EI-reg:fear or EI-reg:joy or EI-reg:sadness"),
        ("EI-oc", "EI-oc:anger or"),  # spelt like E-c, which isn't meant
        ("EI-reg:angr", "EI-reg:anger or"),
        ("e-c:joy", "E-c"),
    ],
)
def test_a_name_of_half_a_question_is_not_left_out_in_silence(
    tmp_path: Path, name: str, meant: str
) -> None:
    said = f"'{name}' names a task and no question of it: must be {meant}"
    with pytest.raises(DataError, match=f"the column {said}"):
        gold(write(tmp_path / "a.csv", f"text,V-reg,{name}", "a,0.5,0.1"))
    with pytest.raises(DataError, match=f"line 1: the key {said}"):
        gold(write(tmp_path / "a.jsonl", {"text": "a", "V-reg": 0.5, name: 0.1}))


def test_a_gzipped_csv_is_the_same(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "A.CSV.GZ"):
        (tmp_path / name).write_bytes(gzip.compress(b"text,V-reg\na,0.5\n"))
        assert [(one.text, one.value) for one in gold(tmp_path / name)] == [("a", 0.5)]
        assert not own_predictions(tmp_path / name)
        assert not holds_events(tmp_path / name)


def test_numbers_in_a_csv_are_read_as_programs_write_them(tmp_path: Path) -> None:
    """Pandas writes 2.0 for a whole number in a column with gaps, and 1e-05; others .5 and -0."""
    file = write(
        tmp_path / "a.csv",
        "text,V-reg,V-oc,EI-oc:joy,V-T",
        "a,1e-05,-2.0,3.0,1e-3",
        "b,.5,+1,,-4.",
        "c,-0.0,2,0,2",
    )
    assert [one.value for one in gold(file)] == [1e-05, -2, 3, 0.001, 0.5, 1, -4.0, 0.0, 2, 0, 2.0]
    for wrong in ("a,-0.1,,,", "a,,1.5,,", "a,,,1e999,"):
        with pytest.raises(DataError, match="can't be read"):
            gold(write(file, "text,V-reg,V-oc,EI-oc:joy,V-T", wrong))


def test_json_lines_of_ones_own_have_numbers_and_lists(tmp_path: Path) -> None:
    line = {"id": 9, "text": "a", "V-oc": -3.0, "E-c": ["joy"], "EI-reg:joy": 1e-05}
    found = gold(write(tmp_path / "a.jsonl", line))
    assert [(one.question, one.value) for one in found] == [
        ("V-oc", -3),
        ("E-c", ("joy",)),
        ("EI-reg:joy", 1e-05),
    ]


def test_null_is_no_label_as_an_empty_cell_is_none(tmp_path: Path) -> None:
    rows = ({"text": "a", "V-reg": None, "E-c": None}, {"text": "b", "V-reg": 0.5, "E-c": None})
    assert [one.text for one in gold(write(tmp_path / "a.jsonl", *rows))] == ["b"]


def test_scores_of_another_scale_are_brought_to_0_to_1(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", "text,V-reg,V-oc", "a,-1,-1", "b,1,3")
    found = gold(file, scale=(-1, 1))
    assert [one.value for one in found] == [0.0, -1, 1.0, 3]
    with pytest.raises(DataError, match=r"line 3: .*outside -1 to 0\.5"):
        gold(file, scale=(-1, 0.5))


def test_scores_of_a_set_with_a_scale_of_its_own_are_brought_there(tmp_path: Path) -> None:
    """To where its predictions are: a perfect model has no mean error."""
    file = write(tmp_path / "a.jsonl", *({"text": "a", name: 0.75} for name in ("V-T", "SST")))
    assert [one.value for one in gold(file, scale=(0, 1))] == [2.0, 0.75]


def test_events_are_read_with_what_they_could_not_answer(tmp_path: Path) -> None:
    file = write(tmp_path / "events.jsonl", EVENT)
    assert holds_events(file)
    (readings,) = predictions([file]).values()
    found = {one.question: one for one in readings}
    assert {name: one.value for name, one in found.items() if name != "EI-reg:fear"} == {
        "V-reg": 0.8,
        "V-oc": 3,
        "E-c": (),
        "EI-reg:joy": 0.7,
        "EI-oc:joy": 3,
    }
    assert found["EI-reg:fear"].value == Unreadable("not a number")
    assert found["V-reg"].id == "7"
    assert found["V-reg"].text == "What a day"


def test_events_of_two_models_are_told_apart_by_who_read_them(tmp_path: Path) -> None:
    small = {"id": "emostream-small"}
    models = {"first": EVENT["model"], "second": small}
    file = write(
        tmp_path / "events.jsonl",
        EVENT | {"opinion": "both", "models": models},
        EVENT | {"post_id": "8", "opinion": "first", "models": models},
        EVENT | {"post_id": "9", "opinion": "second", "models": models, "model": small},
    )
    assert {name: found[0].id for name, found in predictions([file]).items()} == {
        "Emollama-chat-7b + emostream-small": "7",
        "Emollama-chat-7b": "8",
        "emostream-small": "9",
    }


def test_a_cell_that_no_reader_takes_is_an_unreadable_prediction(tmp_path: Path) -> None:
    """As in a submission to SemEval: one odd answer doesn't keep the others from being scored."""
    file = write(tmp_path / "mine.csv", "id,V-reg", "1,0.8", "2,48: disgust", "3,nan", "4,")
    (readings,) = predictions([file]).values()
    assert [(one.id, isinstance(one.value, Unreadable)) for one in readings] == [
        ("1", False),
        ("2", True),
        ("3", True),
    ]


@pytest.mark.parametrize("name", ["id", "post_id", "ID"])
def test_ids_are_found_in_predictions_as_in_labels_and_may_be_0(tmp_path: Path, name: str) -> None:
    line = {name: 0, "text": "x", "model": "m", "values": {"V-reg": 0.5}}
    (readings,) = predictions([write(tmp_path / "a.jsonl", line)]).values()
    own = gold(write(tmp_path / "b.jsonl", {name: 0, "text": "x", "V-reg": 0.5}))
    instruction = V_REG.instruction("x")
    asked = gold(write(tmp_path / "c.jsonl", {name: 0, "instruction": instruction, "output": "0"}))
    assert [one.id for one in (*readings, *own, *asked)] == ["0"] * 3


def test_what_predict_writes_of_posts_is_read(tmp_path: Path) -> None:
    line = {"text": "x", "model": "m", "values": {"V-reg": 0.5}, "unreadable": {"E-c": "empty"}}
    (readings,) = predictions([write(tmp_path / "a.jsonl", line)]).values()
    assert [(one.question, one.value) for one in readings] == [
        ("V-reg", 0.5),
        ("E-c", Unreadable("empty")),
    ]


@pytest.mark.parametrize("instruction", [None, "", " "])
def test_a_post_beside_an_empty_instruction_is_a_post(tmp_path: Path, instruction: Any) -> None:
    line = {"instruction": instruction, "text": "x", "V-reg": 0.4}
    said = {**line, "model": "m", "values": {"V-reg": 0.5}}
    path = write(tmp_path / "a.jsonl", said)
    assert [one.value for one in gold(path)] == [0.4]
    assert [one.value for one in predictions([path])["m"]] == [0.5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "{", "line 1: no JSON object"),
        ("a.jsonl", '{"instruction": "Say something."}', "line 1: an instruction of none of the"),
        ("a.jsonl", '{"text": "a"}', "line 1: neither an instruction nor a key"),
        ("a.jsonl", json.dumps({"instruction": E_C.instruction("a")}), "gold `output` can't be"),
        ("a.jsonl.gz", "\x1f\x8bno", "can't be unpacked"),
        ("a.jsonl.gz", CUT_OFF.decode("latin-1"), "can't be unpacked"),
        ("a.jsonl.gz", DAMAGED.decode("latin-1"), "can't be unpacked"),
        ("a.jsonl", '[{"text": "a"}]', "line 1: a JSON list, and not an object on each line: jq"),
        ("a.jsonl", '{"text": ' + "[" * 100_000, "line 1: no JSON object"),
        ("a.jsonl", "\xff\xfe{\0", "it is UTF-16: save it again as UTF-8"),
        ("a.csv", "V-reg,text\n0.9,Well, yes\n", "line 2: 3 cells, the header has 2"),
        ("a.csv", "text,score\na,1\n", "no column is named as a question: one of EI-reg:anger"),
        ("a.csv", "text;V-reg\na;1\n", "its cells are separated by “;”"),
        ("a.csv", "post,V-reg\na,1\n", "no column 'text': name the text's with --text-column"),
        ("a.csv", "text,V-reg\na,2\n", "line 2: the label in 'V-reg' can't be read"),
        ("a.csv", "text,V-reg\na,2\n", "outside 0 to 1; with --gold-scale LOW:HIGH it may be"),
        ("a.csv", "text,V-reg\na,\n", "holds no labels"),
        ("a.csv", "text,V-reg,text\na,1,b\n", "it has the column 'text' twice: rename one"),
        ("a.csv", "text,V-reg,v-reg\na,1,0\n", "it has the column 'v-reg' twice: rename one"),
        ("a.parquet", "", "of a format that isn't known"),
        ("EI-reg-En-joy-dev.txt", "h\n1\ttext\n", "line 2: too few columns"),
        ("EI-reg-En-joy-dev.txt", "h\n1\ttext\tjoy\t7\n", "EI-reg of the post '1' can't be read"),
    ],
)
def test_a_file_that_cant_be_scored_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        gold(file)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b'{"text": "a", "V-reg": 0.5}\r\n'), ("a.csv", b"text,V-reg\r\na,0.5\r\n")],
)
def test_a_byte_order_mark_and_windows_line_ends_make_no_difference(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
    assert [(one.text, one.value) for one in gold(tmp_path / name)] == [("a", 0.5)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "EI-reg-En-joy-dev.txt"])
def test_a_file_that_cant_be_opened_is_a_sentence(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("")
    with (
        patch.object(Path, "open", side_effect=PermissionError(13, "Permission denied")),
        pytest.raises(DataError, match="it can't be read: Permission denied"),
    ):
        gold(file)


@pytest.mark.parametrize(
    "line",
    [
        {"text": "a", "model": "m", "values": [0.4]},
        {"text": "a", "model": "m", "values": {}, "unreadable": "E-c"},
        {"version": 1, "post_id": "a", "processed_at": "now", "model": "m"},
        {"version": 1, "post_id": "a", "processed_at": "now", "model": {"id": 1}, "sentiment": 3},
    ],
)
def test_lines_of_another_tool_hold_no_predictions(tmp_path: Path, line: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="it holds no predictions"):
        predictions([write(tmp_path / "theirs.jsonl", line)])


def test_a_file_that_is_not_there_or_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="doesn't exist"):
        gold(tmp_path / "no.csv")
    with pytest.raises(DataError, match="no English file of SemEval"):
        gold(tmp_path)
    line = {"instruction": V_REG.instruction("a"), "output": "0.5"}
    with pytest.raises(DataError, match="holds no predictions"):
        predictions([write(tmp_path / "a.jsonl", line)])
