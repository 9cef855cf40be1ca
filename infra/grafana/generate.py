"""Writes the dashboards as Grafana imports them: `python -m infra.grafana.generate`.

The code is the source; a test holds that the files are current.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.grafana.analyst import analyst
from infra.grafana.engineer import engineer

FOLDER = Path(__file__).parent / "dashboards"


def documents() -> dict[str, str]:
    """Every dashboard's JSON by its file's name."""
    return {
        f"{name}.json": json.dumps(
            make().build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False
        )
        + "\n"
        for name, make in (("analyst", analyst), ("engineer", engineer))
    }


def outdated(folder: Path = FOLDER) -> list[Path]:
    """The files below `folder` that are missing or say something else than the code."""
    return [
        folder / name
        for name, text in documents().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write what is outdated, or with `--check` only say what is (exit status 1)."""
    parser = argparse.ArgumentParser(prog="python -m infra.grafana.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    paths = outdated()
    for path in paths:
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(documents()[path.name], encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 1 if arguments.check and paths else 0


if __name__ == "__main__":
    raise SystemExit(main())
