"""What a profile comes to in words."""

from bench.flames import summary

_STACKS = [
    "main (app.py:3);work (app.py:9);write (libc.so.6) 60",
    "main (app.py:3);work (app.py:11) 30",
    "main (app.py:3);read (/lib/readers.py:7) 10",
]


def test_a_file_answers_for_the_native_calls_it_makes() -> None:
    files, inner, within = summary(_STACKS).split("\n\n")
    assert files.splitlines()[1:] == [" 90.00 %  app.py", " 10.00 %  /lib/readers.py"]
    assert inner.splitlines()[1:] == [
        " 60.00 %  write (libc.so.6)",
        " 30.00 %  work (app.py)",
        " 10.00 %  read (/lib/readers.py)",
    ]
    assert within.splitlines()[1:3] == ["100.00 %  main (app.py)", " 90.00 %  work (app.py)"]
