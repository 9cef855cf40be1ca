"""One epoch of training: batches of like lengths, AdamW, a running average of the weights."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BartForConditionalGeneration

from training.predict import autocast, pad
from training.targets import Encoder, Item
from training.team import ROUND, Team

BATCH: Final = 32
_CHUNK: Final = 60  # batches that are sorted by length together: little padding, still shuffled
_CLIP: Final = 1.0
_DECAY: Final = 0.998  # of the running average, per batch: about the last five hundred
_REPORT: Final = 2  # rounds between two progress lines
_KEEP: Final = 8  # rounds between two checkpoints: at most some minutes are lost
_RATES: Final = {"encoder": 1.4e-4, "decoder": 7e-4}  # 1e-4 and 5e-4, times √2 for two workers


@dataclass(frozen=True, slots=True)
class Slope:
    """The learning rate's factor over one stage: a line, after `warm_up` steps from zero."""

    first: float
    last: float
    warm_up: int = 0

    def at(self, step: int, steps: int) -> float:
        """The factor at `step` of `steps`."""
        line = self.first + (self.last - self.first) * step / max(steps, 1)
        return line * min(1.0, (step + 1) / self.warm_up) if self.warm_up else line


def batches(items: Sequence[Item], draw: random.Random) -> list[list[Item]]:
    """All items once, in batches of like lengths, in random order."""
    order = list(range(len(items)))
    draw.shuffle(order)
    result = []
    for first in range(0, len(order), BATCH * _CHUNK):
        chunk = sorted(order[first : first + BATCH * _CHUNK], key=lambda n: len(items[n].prompt))
        result += [chunk[start : start + BATCH] for start in range(0, len(chunk), BATCH)]
    draw.shuffle(result)
    return [[items[number] for number in batch] for batch in result]


class Trainer:
    """One worker's copy of the model, its optimizer and the running average of the weights."""

    def __init__(
        self, model: BartForConditionalGeneration, encoder: Encoder, team: Team, rank: int
    ) -> None:
        self.model, self._team, self.rank = model, team, rank
        self._space = torch.tensor(encoder.space)
        self._start = encoder.start_id
        self._table = model.model.shared.weight
        groups: dict[str, list[Tensor]] = {"encoder": [], "decoder": []}
        for name, parameter in model.named_parameters():
            kind = "decoder" if name.startswith("model.decoder.") else "encoder"
            groups[kind].append(parameter)
        self.optimizer = torch.optim.AdamW(
            [{"params": groups[kind], "lr": rate} for kind, rate in _RATES.items()],
            weight_decay=0.01,
            fused=True,
        )
        self._parameters: list[Tensor] = list(model.parameters())
        self.average = [parameter.detach().clone() for parameter in self._parameters]

    def state(self) -> dict[str, Any]:
        """All that a later process needs to go on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = [tensor.clone() for tensor in state["average"]]

    def swap(self) -> None:
        """Exchange the weights with their running average (and back, called again)."""
        with torch.no_grad():
            for parameter, other in zip(self._parameters, self.average, strict=True):
                kept = parameter.clone()
                parameter.copy_(other)
                other.copy_(kept)

    def loss(self, batch: Sequence[Item]) -> Tensor:
        """Weighted cross-entropy of the answers against their soft targets."""
        ids, mask = pad([item.prompt for item in batch])
        length = max(len(item.answer) for item in batch)
        space = self._space
        written = torch.full((len(batch), length), self._start)
        target = torch.zeros(len(batch), length, len(space))
        weight = torch.zeros(len(batch), length)
        for row, item in enumerate(batch):
            size = len(item.answer)
            written[row, 1:size] = space[item.answer[:-1]]
            target[row, :size] = torch.from_numpy(item.target)
            weight[row, :size] = torch.from_numpy(item.weight)
        # One look-up for all three uses of the table: one dense gradient instead of three.
        sizes = [ids.numel(), written.numel(), len(space)]
        rows = functional.embedding(
            torch.cat([ids.flatten(), written.flatten(), space]), self._table
        )
        prompt, answer, output = torch.split(rows, sizes)
        with autocast():
            hidden = self.model.model.encoder(
                inputs_embeds=prompt.view(*ids.shape, -1), attention_mask=mask
            ).last_hidden_state
            state = self.model.model.decoder(
                inputs_embeds=answer.view(*written.shape, -1),
                encoder_hidden_states=hidden,
                encoder_attention_mask=mask,
                use_cache=False,
            ).last_hidden_state
            logits = functional.linear(state, output)
        log_probability = functional.log_softmax(logits.float(), -1)
        return -((target * log_probability).sum(-1) * weight).sum() / weight.sum()

    def epoch(
        self,
        items: Sequence[Item],
        *,
        seed: int,
        slope: Slope,
        done: int,
        steps: int,
        report: Callable[[str], None],
        begin: int = 0,
        keep: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Train on all items once, together with the team.

        `slope` began `done` batches before and is `steps` batches long. The first `begin` batches
        were trained on before; `keep` is called now and then with the number of those that are
        done, when all workers have the same weights.
        """
        team = self._team
        torch.manual_seed((seed * team.workers + self.rank) + 1_000_003 * begin)
        self.model.train()
        order = batches(items, random.Random(seed))  # noqa: S311  no secret hangs on it
        begun, losses = time.monotonic(), []
        team.reset(begin)
        for turn, first in enumerate(range(begin, len(order), ROUND * team.workers), 1):
            count, end = 0, min(len(order), first + ROUND * team.workers)
            for number in team.turns(end):
                losses.append(self._step(order[number], slope.at(done + number, steps)))
                count += 1
            team.merge(self.rank, self._parameters, count)
            with torch.no_grad():
                torch._foreach_lerp_(  # a method of every optimizer
                    self.average, self._parameters, 1 - _DECAY ** (end - first)
                )
            if turn % _KEEP == 0 and end < len(order):
                keep(end)
            if turn % _REPORT == 0:
                speed = (end - begin) * BATCH / (time.monotonic() - begun)
                mean = float(np.mean(losses[-100:]))
                report(f"batch {end}/{len(order)} loss {mean:.4f} {speed:.0f} examples/s")

    def _step(self, batch: Sequence[Item], factor: float) -> float:
        """One update on one batch; gives its loss."""
        for group, base in zip(self.optimizer.param_groups, _RATES.values(), strict=True):
            group["lr"] = base * factor
        loss = self.loss(batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._parameters, _CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())
