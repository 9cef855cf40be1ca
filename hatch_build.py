"""What a wheel holds beside `emostream/`: the other folders, as `emostream/_rooms/`.

In a checkout they are top-level packages (`consumer`, `schemas`, …). In somebody's site-packages
such names would shadow, or be shadowed by, others, so the wheel keeps them in a folder that only
the command line puts on its path (`emostream.command_line`).

And one thing that isn't in the checkout: uPlot, which draws the page's charts, is fetched, verified
and put into the sdist and the wheel (`monitor/page/vendor.py`).
"""

import sys
from fnmatch import fnmatch
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelContents(BuildHookInterface[Any]):
    """Adds the files of the folders named in pyproject.toml (`rooms`), less those in `left-out`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file for hatch to copy; an editable install reads the checkout itself.

        An editable install goes on without uPlot: the page shows tables then, and says what to do.
        """
        root = Path(self.root)
        vendor = _vendor(root)
        try:
            vendor.fetch()
        except vendor.VendorError as error:
            if version != "editable":
                raise
            self.app.display_warning(f"{error}; until then the page has tables instead of charts")
        if version == "editable" or self.target_name != "wheel":
            return
        left_out = self.config["left-out"]
        for room in self.config["rooms"]:
            for path in files(root / room, left_out):
                name = path.relative_to(root).as_posix()
                build_data["force_include"][name] = f"emostream/_rooms/{name}"


def _vendor(root: Path) -> ModuleType:
    """The module that fetches, read by its path: nothing of ours can be imported here."""
    spec = spec_from_file_location("_emostream_vendor", root / "monitor" / "page" / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def files(path: Path, left_out: list[str]) -> list[Path]:
    """A folder's files in order, or the file itself; nothing hidden, compiled or left out.

    Listed one by one, because hatch copies a whole folder that it is told to include, with all
    that lies in it: its own excludes and .gitignore don't count there. A folder that doesn't
    exist has none.
    """
    if path.name.startswith((".", "__pycache__")) or any(fnmatch(path.name, p) for p in left_out):
        return []
    if path.is_dir():
        return [file for entry in sorted(path.iterdir()) for file in files(entry, left_out)]
    return [path] if path.is_file() else []
