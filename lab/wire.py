"""A slow cable in software, for kernels without netem: carries frames between two interfaces, each a while later.

Runs as a program of its own inside the switch's namespace: python3 wire.py DELAY_MS INTERFACE INTERFACE
"""

import heapq
import select
import socket
import sys
import time

ETH_P_ALL = 3
LARGEST_FRAME = 65536
QUEUE_LIMIT = 20_000


def open_interface(name: str) -> socket.socket:
    """A raw socket that sees every frame of the interface."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    raw.bind((name, ETH_P_ALL))
    raw.setblocking(False)
    return raw


def carry(delay_s: float, first: str, second: str) -> None:
    """Carry frames both ways until killed; a full queue drops, as a real one does."""
    ends = [open_interface(first), open_interface(second)]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    number = 0
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(ends, [], [], pause)[0]:
            for frame in received(end):
                number += 1
                if len(waiting) < QUEUE_LIMIT:
                    heapq.heappush(waiting, (time.monotonic() + delay_s, number, other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(waiting)
            try:
                target.send(frame)
            except OSError:
                continue  # the other end is down or its queue is full: the frame is lost, as on any cable


def received(end: socket.socket) -> list[bytes]:
    """Frames that came in on this interface; not those that we sent there ourselves."""
    frames: list[bytes] = []
    while len(frames) < 256:
        try:
            frame, address = end.recvfrom(LARGEST_FRAME)
        except BlockingIOError:
            break
        if address[2] != socket.PACKET_OUTGOING:
            frames.append(frame)
    return frames


if __name__ == "__main__":
    carry(float(sys.argv[1]) / 1000, sys.argv[2], sys.argv[3])
