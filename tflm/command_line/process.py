"""The process of a command: its standard streams, and what may end it."""

import contextlib
import io
import os
import signal
import sys
import threading
import time
from typing import Any, NoReturn

INTERRUPTED = 130
# What a second Ctrl-C gives to Python, to end in order.
_GRACE = 2.0  # seconds


def prepare() -> None:
    """Makes the process ready for a command.

    A standard stream that is closed becomes an empty one. A character that
    standard output's encoding lacks is written as its number, so that no
    text of a model can end a command. SIGTERM ends it as an exception does,
    so that nothing half-written is left, and a second Ctrl-C also inside of
    TensorFlow, which Python waits for.
    """
    _open_streams()
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.errors == "strict":
        out.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        _watch_interrupts()


def _open_streams() -> None:
    # In the order of their numbers: what is opened takes the lowest free one,
    # and the number of a closed stream must not go to a file.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(handle, mode))


def _terminate(number: int, frame: Any) -> NoReturn:
    sys.exit(128 + number)


def _watch_interrupts() -> None:
    """Has a thread that ends the process after a second Ctrl-C."""
    received, arrived = os.pipe()
    os.set_blocking(arrived, False)
    signal.set_wakeup_fd(arrived, warn_on_full_buffer=False)

    def watch() -> None:
        interrupts = 0
        while interrupts < 2:
            interrupts += os.read(received, 1) == bytes([signal.SIGINT])
        time.sleep(_GRACE)
        with contextlib.suppress(OSError):
            os.write(2, b"\ninterrupted\n")
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()
