"""Who we are to the servers that we ask."""

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("emostream")
    except PackageNotFoundError:  # a checkout without an installation
        return "0"


USER_AGENT = f"emostream/{_version()}"
