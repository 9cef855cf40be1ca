"""Several processes of one thread each train one model together.

Each trains a copy on its own batches, and after every round of batches the copies become their
mean (local SGD: Stich, ICLR 2019). Unlike several threads inside one process they meet seldom, so
a busy machine costs them only the time that it takes from them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

ROUND: Final = 16
"""Batches per worker between two meetings: copies hardly part, and meeting costs 1 %."""


def _shared(shape: torch.Size) -> Tensor:
    """Zeros that every worker sees."""
    tensor: Tensor = torch.zeros(shape).share_memory_()  # type: ignore[no-untyped-call]
    return tensor


class Team:
    """What the workers share: the next batch's number, and room for everybody's weights.

    Made in the parent process and handed to each worker.
    """

    def __init__(self, workers: int, shapes: Sequence[torch.Size]) -> None:
        context = multiprocessing.get_context("spawn")
        self.workers = workers
        self._next = context.Value("l", 0)
        self._barrier = context.Barrier(workers)
        self._shares = [[_shared(shape) for shape in shapes] for _ in range(workers)]
        self._counts = _shared(torch.Size([workers]))

    def meet(self) -> None:
        """Wait for everybody. Raises `threading.BrokenBarrierError` when a worker is gone."""
        self._barrier.wait(timeout=3600)

    def reset(self, begin: int = 0) -> None:
        """Begin an epoch, or the rest of one, with batch `begin`; called by every worker."""
        self.meet()
        self._next.value = begin
        self.meet()

    def turns(self, end: int) -> Iterator[int]:
        """Numbers of batches below `end`, each given to one worker: the next one that asks."""
        while True:
            with self._next.get_lock():
                number = int(self._next.value)
                if number >= end:
                    return
                self._next.value = number + 1
            yield number

    @torch.no_grad()
    def merge(self, rank: int, parameters: Sequence[Tensor], count: int) -> None:
        """Make everybody's parameters their mean, weighted by the batches each has trained on."""
        for mine, parameter in zip(self._shares[rank], parameters, strict=True):
            mine.copy_(parameter)
        self._counts[rank] = count
        self.meet()
        weights = (self._counts / self._counts.sum()).tolist()
        for number, parameter in enumerate(parameters):
            parameter.mul_(0)
            for share, weight in zip(self._shares, weights, strict=True):
                parameter.add_(share[number], alpha=weight)
        self.meet()
