"""Where downloads are kept on this machine."""

import os
import sys
from pathlib import Path


def cache_folder(name: str, chosen: Path | None = None) -> Path:
    """Give the folder of this name below `chosen`, else `EMOSTREAM_CACHE_DIR`, else the user's own.

    The user's own is `~/Library/Caches/emostream` on macOS, and `$XDG_CACHE_HOME/emostream` or
    `~/.cache/emostream` elsewhere. Nothing is made here.
    """
    if chosen is None and (named := os.environ.get("EMOSTREAM_CACHE_DIR")):
        chosen = Path(named)
    if chosen is None:
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        chosen = base / "emostream"
    return chosen.expanduser().absolute() / name
