"""Fine-tuning from a base model's folder to one that is served."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from emollm.prompts import Wrapper
from emollm.tasks import V_REG
from infra.tgi.engine import Generation, Job
from infra.tgi.engines.torch_engine import TorchEngine
from tests.training.finetune import tiny
from training.finetune import base as bases
from training.finetune.data import Data
from training.finetune.errors import FinetuneError
from training.finetune.history import Measured
from training.finetune.plan import Plan
from training.finetune.progress import Progress
from training.finetune.run import train
from training.finetune.trainer import Interrupted, last_checkpoint

DATA = Data(list(tiny.task(24)), list(tiny.task(6, seed=9)))
FEW = Plan(batch=4, device_batch=2, learning_rate=1e-3, max_steps=6, evaluations=2, device="cpu")
DROPOUT = Plan(
    method="lora",
    batch=4,
    device_batch=2,
    learning_rate=1e-2,
    max_steps=6,
    evaluations=2,
    lora_dropout=0.3,
    device="cpu",
)
"""Dropout and several parts a batch: what a resumed run gets wrong first."""


class At(Progress):
    """Does something after some update."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self._step, self._act = step, act
        self.said: list[str] = []

    def began(self, text: str) -> None:
        self.said.append(text)

    def updated(self, done: int, whole: int) -> None:
        if done == self._step:
            self._act()


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def served(folder: Path, instruction: str, wrapper: Wrapper) -> str:
    """What `emostream serve`'s torch engine answers."""
    engine = TorchEngine.load(str(folder), model_id="m", dtype="float32", device="cpu")
    before, after = wrapper.value
    (encoded,) = engine.encode([f"{before}{instruction}{after}"])
    answers: list[Any] = []
    engine.generate([Job(encoded.ids, 16)], lambda _, answer: answers.append(answer))
    assert isinstance(answers[0], Generation), answers
    return answers[0].text


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_each_architecture_is_trained_saved_and_served(
    kind: str, method: Any, tmp_path: Path
) -> None:
    base = tiny.save(tmp_path / "base", kind)
    plan = Plan(
        method=method, batch=4, learning_rate=1e-3, max_steps=3, evaluations=1, device="cpu"
    )
    result = train(str(base), DATA, plan, tmp_path / "out")
    encoder_decoder = kind in {"t5", "bart"}
    assert (result.family, result.steps) == (kind, 3)
    assert result.wrapper == ("bare" if encoder_decoder else "human")
    assert result.dev_loss is not None
    assert tiny.settings_of(tmp_path / "out") == {
        "family": kind,
        "wrapper": result.wrapper,
        "base": str(base),
    }
    before, after = tiny.weights(base), tiny.weights(tmp_path / "out")
    assert before.keys() == after.keys()  # adapters are merged: any server loads it
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (result.trained_parameters < result.parameters / 2) == (method == "lora")
    assert (tmp_path / "out" / "adapters").is_dir() == (method == "lora")
    served(tmp_path / "out", V_REG.instruction("a sea."), Wrapper.named(result.wrapper))
    assert not (tmp_path / "out.work").exists()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21
def test_adapters_change_the_answers_as_their_merged_weights_do(tmp_path: Path) -> None:
    """What was measured in training is what is served."""
    base = tiny.save(tmp_path / "base", "llama")
    train(str(base), DATA, DROPOUT, tmp_path / "out")
    from peft import PeftModel  # noqa: PLC0415 - slow to import
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - likewise

    ids = torch.arange(4, 40).unsqueeze(0)
    loader: Any = AutoModelForCausalLM
    plain = loader.from_pretrained(base)
    adapted = PeftModel.from_pretrained(plain, str(tmp_path / "out" / "adapters"))
    merged = loader.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        ours = merged.eval()(input_ids=ids).logits
        theirs = adapted.eval()(input_ids=ids).logits
        assert torch.allclose(ours, theirs, atol=1e-4)
        with adapted.disable_adapter():
            assert not torch.allclose(ours, adapted(input_ids=ids).logits, atol=1e-3)


@pytest.mark.parametrize(("kind", "plan"), [("opt", DROPOUT), ("bart", FEW)])
def test_a_run_that_was_interrupted_gives_the_weights_of_one_that_was_not(
    kind: str, plan: Plan, tmp_path: Path
) -> None:
    """At an update with a look at dev, and at one without; dropout's draws go on, too."""
    base = str(tiny.save(tmp_path / "base", kind))
    whole = train(base, DATA, plan, tmp_path / "whole")
    for step in (2, 3):
        at = At(step, interrupt)
        with pytest.raises(Interrupted):
            train(base, DATA, plan, tmp_path / "cut", progress=at)
        assert not (tmp_path / "cut").exists()
        kept = last_checkpoint(tmp_path / "cut.work")
        assert kept is not None
        assert kept.name == f"checkpoint-{step}"
    at = At(0, interrupt)
    cut = train(base, DATA, plan, tmp_path / "cut", progress=at)
    assert any(line.startswith("going on from") for line in at.said)
    one, other = tiny.weights(tmp_path / "whole"), tiny.weights(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole.best_step, whole.dev_loss) == (cut.best_step, cut.dev_loss)


def test_after_a_kill_in_the_middle_of_a_checkpoint_the_one_before_counts(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "opt"))
    train(base, DATA, FEW, tmp_path / "whole", keep_checkpoints=True)
    shutil.copytree(tmp_path / "whole.work", tmp_path / "cut.work")
    last = last_checkpoint(tmp_path / "cut.work")
    assert last is not None
    (last / "trainer_state.json").unlink()  # what is written last
    before = last_checkpoint(tmp_path / "cut.work")
    assert before != last
    train(base, DATA, FEW, tmp_path / "cut")
    one, other = tiny.weights(tmp_path / "whole"), tiny.weights(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("data", "plan"),
    [
        (DATA, Plan(**{**DROPOUT.as_dict(), "max_steps": 5})),
        (Data(DATA.train, []), Plan(batch=4, learning_rate=1e-2, epochs=0.5, device="cpu")),
    ],
    ids=["dev", "no-dev"],
)
def test_a_run_that_ended_while_it_wrote_its_model_trains_no_further(
    data: Data, plan: Plan, tmp_path: Path
) -> None:
    """However often: a disk may be full more than once."""
    base = str(tiny.save(tmp_path / "base", "opt"))
    whole = train(base, data, plan, tmp_path / "out", keep_checkpoints=True)
    weights = tiny.weights(tmp_path / "out")
    assert last_checkpoint(tmp_path / "out.work") is not None
    for _ in range(2):
        shutil.rmtree(tmp_path / "out")
        assert train(base, data, plan, tmp_path / "out", keep_checkpoints=True) == whole
        again = tiny.weights(tmp_path / "out")
        assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_second_signal_ends_at_once_and_sigterm_is_heard_too(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "opt"))

    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt) as caught:
        train(base, DATA, FEW, tmp_path / "out", progress=At(1, twice))
    assert not isinstance(caught.value, Interrupted)
    assert last_checkpoint(tmp_path / "out.work") is None
    assert handlers == [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]


def test_seeds_decide_everything(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "opt"))
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        plan = Plan(batch=4, learning_rate=1e-3, max_steps=2, seed=seed, device="cpu")
        train(base, DATA, plan, tmp_path / name)
        found.append(tiny.weights(tmp_path / name))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert any(not torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_a_batch_in_parts_moves_the_weights_as_one_in_one(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "llama"))
    for name, parts in (("one", 4), ("several", 1)):
        plan = Plan(batch=4, device_batch=parts, learning_rate=1e-3, max_steps=2, device="cpu")
        train(base, DATA, plan, tmp_path / name)
    one, several = tiny.weights(tmp_path / "one"), tiny.weights(tmp_path / "several")
    for name in one:
        assert torch.allclose(one[name], several[name], atol=2e-5), name


def test_training_stops_when_dev_gets_no_better_and_keeps_the_best_weights(tmp_path: Path) -> None:
    """Answers of dev that nothing teaches: from the first look on it only gets worse."""
    base = str(tiny.save(tmp_path / "base", "llama"))
    swapped = {str(value): str(1 - value) for value in tiny.WORDS.values()}
    dev = [type(one)(one.instruction, swapped.get(one.answer, "0.0")) for one in tiny.task(8)]
    train_set = [type(one)(one.instruction, "0.1") for one in tiny.task(40)]
    plan = Plan(
        batch=4, learning_rate=2e-2, epochs=6, patience=2, evaluations=5, warmup=0, device="cpu"
    )
    result = train(base, Data(train_set, dev), plan, tmp_path / "out")
    assert result.stopped_early
    assert result.best_step is not None
    assert result.best_step == result.steps - 2 * 2  # two looks, two updates apart
    again = bases.load(str(tmp_path / "out"), plan)
    assert again.wrapper is Wrapper.HUMAN
    # A signal during the look that ends it: nothing is left to go on with.
    at = At(result.steps, interrupt)
    other = train(base, Data(train_set, dev), plan, tmp_path / "other", progress=at)
    assert (other.steps, other.best_step) == (result.steps, result.best_step)


def test_metrics_are_kept_while_it_runs_and_lie_beside_the_model(tmp_path: Path) -> None:
    import msgspec  # noqa: PLC0415 - one use

    base = str(tiny.save(tmp_path / "base", "opt"))
    seen: list[int] = []

    def look() -> None:
        seen.append(len((tmp_path / "out.work" / "metrics.jsonl").read_bytes().splitlines()))

    train(base, DATA, FEW, tmp_path / "out", progress=At(5, look))
    lines = (tmp_path / "out" / "metrics.jsonl").read_bytes().splitlines()
    found = [msgspec.json.decode(line, type=Measured) for line in lines]
    assert [one.step for one in found if one.loss is not None] == [1, 2, 3, 4, 5, 6]
    assert [one.step for one in found if one.dev_loss is not None] == [3, 6]
    assert 0 < seen[0] < len(found)
    assert (tmp_path / "out" / "metrics.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_finished_run_is_left_as_it_is_and_another_is_refused(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "opt"))
    plan = Plan(batch=4, max_steps=1, device="cpu")
    first = train(base, DATA, plan, tmp_path / "out")
    stamp = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert train(base, DATA, plan, tmp_path / "out") == first
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == stamp
    other = Plan(batch=4, max_steps=2, device="cpu")
    with pytest.raises(FinetuneError, match="is there already"):
        train(base, DATA, other, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    with pytest.raises(FinetuneError, match="is there already"):
        train(base, DATA, plan, tmp_path / "mine")


def test_a_work_folder_of_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "opt"))
    with pytest.raises(Interrupted):
        train(base, DATA, FEW, tmp_path / "out", progress=At(1, interrupt))
    with pytest.raises(FinetuneError, match="another batch, seed"):
        train(base, DATA, Plan(**{**FEW.as_dict(), "seed": 5, "batch": 8}), tmp_path / "out")
    with pytest.raises(FinetuneError, match="another data"):
        train(base, Data(DATA.train, []), FEW, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text"),
    [("thesis.txt", "precious"), ("run.json", '{"of": "another program"}'), ("run.json", "[")],
)
def test_a_work_folder_with_somebodys_files_is_refused_and_stays_as_it_is(
    tmp_path: Path, name: str, text: str
) -> None:
    """It is removed when the run is done."""
    base = str(tiny.save(tmp_path / "base", "opt"))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / name).write_text(text)
    with pytest.raises(FinetuneError, match="holds other files"):
        train(base, DATA, FEW, tmp_path / "out", work=mine)
    assert {path.name: path.read_text() for path in mine.iterdir()} == {name: text}


def test_the_same_run_started_twice_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "opt"))
    refused: list[str] = []

    def start_again() -> None:
        with pytest.raises(FinetuneError) as raised:
            train(base, DATA, FEW, tmp_path / "out")
        refused.append(str(raised.value))

    result = train(base, DATA, FEW, tmp_path / "out", progress=At(1, start_again))
    (said,) = refused
    assert said.startswith(f"another run trains in {tmp_path / 'out.work'}: wait")
    assert result == train(base, DATA, FEW, tmp_path / "out")  # whole, and nobody is there


def test_without_a_dev_set_the_last_weights_are_kept(tmp_path: Path) -> None:
    base = str(tiny.save(tmp_path / "base", "t5"))
    plan = Plan(batch=4, max_steps=2, device="cpu")
    result = train(base, Data(DATA.train, []), plan, tmp_path / "out")
    assert (result.steps, result.best_step, result.dev_loss) == (2, None, None)


def test_it_runs_outside_the_main_thread(tmp_path: Path) -> None:
    """Where Python delivers no signals."""
    base = str(tiny.save(tmp_path / "base", "opt"))
    plan = Plan(batch=4, max_steps=1, device="cpu")
    thread = threading.Thread(target=train, args=(base, DATA, plan, tmp_path / "out"))
    thread.start()
    thread.join()
    assert (tmp_path / "out" / "config.json").is_file()


@pytest.mark.parametrize("method", ["lora-8bit", "lora-4bit"])
def test_quantising_without_bitsandbytes_is_refused_with_what_to_install(
    method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = bases.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else find(name)
    )
    with pytest.raises(FinetuneError, match="pip install bitsandbytes"):
        train("base", DATA, Plan(method=method), tmp_path / "out")


def test_what_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(FinetuneError, match="is a gpt2: one of llama, opt, bloom, t5, bart"):
        train(str(tmp_path / "base"), DATA, FEW, tmp_path / "out")
    # The same output: what failed before its first update left nothing to go on with.
    with pytest.raises(FinetuneError, match="nowhere doesn't exist: name the model's folder"):
        train(str(tmp_path / "nowhere"), DATA, FEW, tmp_path / "out")


def test_a_damaged_base_is_refused_with_what_to_do(tmp_path: Path) -> None:
    base = tiny.save(tmp_path / "base", "bart")
    whole = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(FinetuneError, match=r"transformers can't load .*fetch the model again"):
        train(str(base), DATA, FEW, tmp_path / "out")
    (base / "config.json").write_text("{")
    with pytest.raises(FinetuneError, match=r"config\.json is damaged .*fetch the model again"):
        train(str(base), DATA, FEW, tmp_path / "out")
    (base / "config.json").unlink()
    with pytest.raises(FinetuneError, match=r"has no config\.json: name the folder that has it"):
        train(str(base), DATA, FEW, tmp_path / "out")


def test_a_cuda_card_that_is_not_there_is_said(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(FinetuneError, match="PyTorch finds no CUDA card"):
        train("base", DATA, Plan(device="cuda"), tmp_path / "out")
