"""`python -m training`: what only shows when it is run as a command."""

from training import __main__ as command


def test_workers_find_what_reports_to_the_person() -> None:
    """They are spawned, and unpickle it by its module's name; `python -m` has none for its own."""
    assert vars(command)["say"].__module__ == "training.progress"
