"""What an engine generates for a few jobs."""

from collections.abc import Sequence

from infra.tgi.engine import Engine, Generation, Job


def generate(engine: Engine, jobs: Sequence[Job]) -> list[Generation]:
    """Give the jobs' generations, in their order. Fails where one of them has none."""
    done: dict[Job, Generation | BaseException] = {}
    engine.generate(jobs, done.__setitem__)
    answers: list[Generation] = []
    for job in jobs:
        result = done[job]
        assert isinstance(result, Generation), result
        answers.append(result)
    return answers
