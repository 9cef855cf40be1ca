"""Coverage-guided fuzzing: `python -m tests.hostile.coverage TARGET [seconds]`.

libFuzzer changes bytes towards code that it hasn't reached. What a target raises ends the run, and
lies in `var/crash-…`; give that file in the place of the seconds to see it again. Needs atheris
(`--group fuzz`); the targets themselves are run by the tests, too, without it.
"""

import sys
from pathlib import Path


def main() -> None:
    """Fuzz one target for so many seconds."""
    import atheris  # noqa: PLC0415 - Linux only, and no test needs it

    name, *rest = sys.argv[1:]
    with atheris.instrument_imports(include=["consumer", "emollm", "schemas"]):
        from tests.hostile.draws import AtherisDraws  # noqa: PLC0415
        from tests.hostile.targets import TARGETS  # noqa: PLC0415
    target = TARGETS[name]
    corpus = Path("var/corpus") / name
    corpus.mkdir(parents=True, exist_ok=True)
    how = rest or ["300"]
    seconds = [f"-max_total_time={how[0]}", str(corpus)] if how[0].isdigit() else how
    options = ["-seed=1", "-max_len=4096", "-artifact_prefix=var/", "-print_final_stats=1"]
    atheris.Setup(
        [sys.argv[0], *options, *seconds],
        lambda data: target(AtherisDraws(atheris.FuzzedDataProvider(data))),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
