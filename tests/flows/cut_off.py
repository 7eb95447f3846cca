"""Runs a command where the network is this machine alone, and says what it tried to reach beyond.

`python cut_off.py REPORT COMMAND...` is to be started in a network namespace of its own (`unshare --net`). There every
address leads back to the loopback device, so that whatever is called is refused at once, and seen: packets by a socket
on the device, whoever sent them, and calls of Python by `listening/sitecustomize.py`, which tells who called. Without a
namespace those calls alone are seen.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

LISTENING = Path(__file__).with_name("listening")
_ALL, _PACKET, _STATISTICS, _FORCED = 3, 263, 6, 33  # ETH_P_ALL, SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE
_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP
_NEW_ROUTE, _ASK = 24, 0x605  # RTM_NEWROUTE; NLM_F_REQUEST, ACK, CREATE and EXCL
_DNS = 53


def every_address_is_here() -> None:
    """The loopback device is up, and all addresses are its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        for family in (socket.AF_INET, socket.AF_INET6):
            # family, no prefix, table local, protocol boot, scope host, type local; then the device it leaves by
            route = struct.pack("BBBBBBBBI", family, 0, 0, 0, 255, 3, 254, 2, 0)
            route += struct.pack("HHI", 8, 4, socket.if_nametoindex("lo"))
            kernel.send(struct.pack("IHHII", 16 + len(route), _NEW_ROUTE, _ASK, 1, 0) + route)
            (error,) = struct.unpack("i", kernel.recv(4096)[16:20])
            if error and family == socket.AF_INET:  # there may be no IPv6 here
                raise OSError(-error, "no route can be made")


@dataclass
class Seen:
    """The packets to and from other machines, and questions for names; how many were too many to be looked at."""

    packets: set[str] = field(default_factory=set)
    lost: int = 0


class Packets:
    """What passes while the block runs is seen."""

    def __init__(self) -> None:
        self._seen = Seen()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _FORCED, 64 << 20)
        self._socket.bind(("lo", _ALL))
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Seen:
        self._thread.start()
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        _, self._seen.lost = struct.unpack("II", self._socket.getsockopt(_PACKET, _STATISTICS, 8))
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                packet = self._socket.recv(128)
            except TimeoutError:
                if self._over.is_set():
                    return
                continue
            if told := described(packet):
                self._seen.packets.add(told)


def described(packet: bytes) -> str | None:
    """Where it goes, unless that is this machine."""
    if packet[0] >> 4 == 4:
        ends, protocol, inner = (packet[12:16], packet[16:20]), packet[9], packet[(packet[0] & 15) * 4 :]
    elif packet[0] >> 4 == 6:
        ends, protocol, inner = (packet[8:24], packet[24:40]), packet[6], packet[40:]
    else:
        return None
    ports = struct.unpack("!HH", inner[:4]) if protocol in (6, 17) and len(inner) >= 4 else (0, 0)
    if all(ip_address(end).is_loopback for end in ends) and _DNS not in ports:
        return None
    return f"protocol {protocol}: {ip_address(ends[0])} port {ports[0]} to {ip_address(ends[1])} port {ports[1]}"


def main(report: Path, command: list[str]) -> int:
    is_alone = [name for _, name in socket.if_nameindex()] == ["lo"]
    if is_alone:
        every_address_is_here()
    calls = report.with_name("calls.txt")
    path = os.pathsep.join(filter(None, [str(LISTENING), os.environ.get("PYTHONPATH", "")]))
    with Packets() if is_alone else nullcontext(Seen()) as seen:
        told = {**os.environ, "PYTHONPATH": path, "CALLS_FILE": str(calls)}
        done = subprocess.run(command, env=told, check=False)
    said = sorted(set(calls.read_text("utf-8").splitlines())) if calls.exists() else []
    found = {"alone": is_alone, "packets": sorted(seen.packets), "lost": seen.lost, "calls": said}
    report.write_text(json.dumps(found), "utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
