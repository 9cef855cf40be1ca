"""What a process has to do with the network, as the kernel sees it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LISTEN = "0A"
_NOWHERE = ("00000000:0000", "00000000000000000000000000000000:0000")
_CALL = re.compile(r"\b(connect|bind|sendto|sendmsg)\((\d+), \{sa_family=(\w+)([^}]*)\}")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_HOST = re.compile(r'(?:sin_addr=inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')


class Sockets(NamedTuple):
    """Addresses as `host:port`."""

    listens: frozenset[str]
    talks_to: frozenset[str]
    datagrams: frozenset[str]
    """Local addresses of UDP sockets."""


def sockets_of(pid: int) -> Sockets:
    """Look at the sockets that a process holds now (Linux): by inode, so uvloop's, too."""
    own = set(_inodes(pid))
    listens, talks_to, datagrams = set(), set(), set()
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/{pid}/net/{kind}").read_text(encoding="ascii").splitlines()[1:]
        for fields in (line.split() for line in lines):
            local, remote, state, inode = fields[1], fields[2], fields[3], fields[9]
            if inode not in own:
                continue
            if kind.startswith("udp"):
                datagrams.add(_address(local))
            elif state == _LISTEN:
                listens.add(_address(local))
            elif remote not in _NOWHERE and _address(local) not in listens:
                # Whoever comes to our own listener is nobody that we talk to.
                talks_to.add(_address(remote))
    return Sockets(frozenset(listens), frozenset(talks_to), frozenset(datagrams))


def _inodes(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _address(raw: str) -> str:
    """Read the kernel's hexadecimal `0100007F:1F90`: host order words, the port as it is read."""
    host, _, port = raw.partition(":")
    words = [host[at : at + 8] for at in range(0, len(host), 8)]
    packed = b"".join(bytes.fromhex(word)[::-1] for word in words)
    shown = ".".join(map(str, packed)) if len(packed) == 4 else f"[{packed.hex(':', 2)}]"
    return f"{shown}:{int(port, 16)}"


def traced(log: str) -> dict[str, set[str]]:
    """Read strace's log: system call to the addresses that it was called with.

    Of Unix sockets the path, with `unix:` before it.
    """
    found: dict[str, set[str]] = {}
    for call, _, family, rest in _CALL.findall(log):
        if family == "AF_UNIX":
            found.setdefault(call, set()).add(f"unix:{rest.strip(', ')}")
            continue
        host, port = _HOST.search(rest), _PORT.search(rest)
        assert host is not None, rest
        assert port is not None, rest
        found.setdefault(call, set()).add(f"{host[1]}:{port[1]}")
    return found
