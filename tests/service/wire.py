"""A TCP wire between two engines that a test may cut, mend and slow: what stands for the SSH tunnel.

As a program, `wire.py PORT`, it says its address and does what it reads, a word a line, until there is no more: for
tests inside Blender, where no thread may run.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time


class Wire:
    """Passes bytes from a port of its own to `target`; counts those that go there."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.sent = 0
        self.pause = 0.0  # seconds for each piece of up to 64 kB, either way
        self._ends: list[socket.socket] = []
        self._whole = True
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole = False
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        self._whole = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target)) if self._whole else None
            except OSError:
                far = None
            if far is None:
                near.close()
                continue
            self._ends += [near, far]
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, away: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if away:
                    self.sent += len(data)
                time.sleep(self.pause)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listening.close()


if __name__ == "__main__":
    wire = Wire(int(sys.argv[1]))
    print(wire.url, flush=True)
    for line in sys.stdin:
        {"cut": wire.cut, "mend": wire.mend}[line.strip()]()
        print("done", flush=True)
