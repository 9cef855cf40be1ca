"""Workers of one training share its batches and meet in the mean of their weights."""

from threading import Thread

import torch

from training.team import Team


def test_each_batch_is_given_once_and_weights_become_their_weighted_mean() -> None:
    team = Team(2, [torch.Size([3])])
    copies = [torch.full((3,), 1.0), torch.full((3,), 4.0)]
    taken: list[list[int]] = [[], []]

    def work(rank: int, count: int) -> None:
        team.reset()
        taken[rank] += team.turns(10)
        team.merge(rank, [copies[rank]], count)

    threads = [Thread(target=work, args=pair) for pair in ((0, 2), (1, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(taken[0] + taken[1]) == list(range(10))
    assert copies[0].tolist() == copies[1].tolist() == [2.0, 2.0, 2.0]  # (2 * 1 + 1 * 4) / 3
