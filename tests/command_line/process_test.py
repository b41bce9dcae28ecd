"""Each test begins a process: what is changed is changed for all of it."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

RUN = "from tflm.command_line import main\nmain.run(command)\n"
# C code that lets Python go on, but not Python's handlers of signals.
STUCK = (
    "import hashlib, threading\n"
    "def command(arguments):\n"
    "    threading.Timer(0.5, print, ['ready'], {'flush': True}).start()\n"
    "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
)
WRITING = (
    "import time\n"
    "from tflm import writing\n"
    "def command(arguments):\n"
    "    with writing.new_directory('half'):\n"
    "        print('ready', flush=True)\n"
    "        time.sleep(60)\n"
)
OUTPUT = "def command(arguments):\n    print('caf\\u00e9 \\u65e5')\n"
# What is opened must not get the number of a closed stream.
OPENED = (
    "import os, sys\n"
    "def command(arguments):\n"
    "    handle = os.open('file', os.O_CREAT | os.O_WRONLY)\n"
    "    print('out')\n"
    "    print('err', file=sys.stderr)\n"
    "    os.write(2, b'err')\n"
    "    os.write(handle, sys.stdin.read().encode() or b'nothing')\n"
)


@contextlib.contextmanager
def begun(code, folder):
    """The process of a command, once it says that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code + RUN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        # A shell's job in the background is deaf to Ctrl-C, and so are its
        # children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_second_ctrl_c_ends_what_python_waits_for(tmp_path):
    with begun(STUCK, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "\ninterrupted\n")


def test_one_ctrl_c_is_enough_for_python(tmp_path):
    with begun(WRITING, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "\ninterrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_sigterm_leaves_nothing_half_written(tmp_path):
    with begun(WRITING, tmp_path) as process:
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + signal.SIGTERM, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "caf\u00e9 \u65e5\n".encode()),
        ("latin-1", b"caf\xe9 \\u65e5\n"),
        ("ascii", b"caf\\xe9 \\u65e5\n"),
        ("ascii:replace", b"caf? ?\n"),  # somebody's choice
    ],
)
def test_character_that_cannot_be_shown_ends_nothing(encoding, said):
    ended = subprocess.run(
        [sys.executable, "-c", OUTPUT + RUN],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert (ended.returncode, ended.stdout) == (0, said), ended.stderr


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_closed_streams_are_empty_ones(tmp_path, closed):
    process = subprocess.Popen(
        [sys.executable, "-c", OPENED + RUN],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    assert process.wait(60) == 0
    assert (tmp_path / "file").read_bytes() == b"nothing"
