"""uPlot is fetched, verified and never taken on trust."""

import io
import socket
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.page import vendor


def archive(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_another_archive_is_refused_before_it_is_opened() -> None:
    with pytest.raises(vendor.VendorError, match="nothing of it was kept"):
        vendor.unpack(vendor.UPLOT, archive(LICENSE=b"x"))


def test_a_folder_with_a_changed_file_does_not_count_as_present(tmp_path: Path) -> None:
    package = replace(vendor.UPLOT, folder=tmp_path)
    assert not package.present()
    for member in package.files:
        (tmp_path / Path(member).name).write_bytes(b"changed")
    assert not package.present()


def test_offline_the_error_says_what_to_do_and_hides_the_address(tmp_path: Path) -> None:
    package = replace(vendor.UPLOT, folder=tmp_path / "uPlot")
    with socket.socket() as free:  # bound, and nobody listens
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/secret"
        with pytest.raises(vendor.VendorError, match="npm_config_registry") as found:
            vendor.fetch(package, {"npm_config_registry": address}, pause_s=0)
    assert "secret" not in str(found.value)
    assert not (tmp_path / "uPlot").exists()


def test_the_registry_is_npms_unless_another_is_named() -> None:
    assert vendor.address(vendor.UPLOT, {}).startswith("https://registry.npmjs.org/uplot/-/uplot-")
    other = vendor.address(vendor.UPLOT, {"npm_config_registry": "https://npm.example.org/all/"})
    assert other.startswith("https://npm.example.org/all/uplot/-/")


@pytest.mark.parametrize("registry", ["file:///etc", "ftp://x", "npm.example.org"])
def test_only_http_is_fetched_from(tmp_path: Path, registry: str) -> None:
    package = replace(vendor.UPLOT, folder=tmp_path)
    with pytest.raises(vendor.VendorError, match="http"):
        vendor.fetch(package, {"npm_config_registry": registry}, pause_s=0)


def test_it_is_not_committed() -> None:
    root = Path(__file__).parents[3]
    assert "/monitor/page/static/vendor/" in (root / ".gitignore").read_text().splitlines()
