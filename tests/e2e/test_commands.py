"""The command as its users meet it: the whole suite up, looked at, and down again; and what it says to mistakes."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from assent_cli.main import main

pytestmark = pytest.mark.e2e

PROGRAM = [sys.executable, "-m", "assent_cli"]
PATIENCE_S = 100
SERVICES = ("consent", "content", "eligibility", "orchestration", "profile", "ranking", "signals")


def assent(*arguments: object) -> Result:
    """A command that ends by itself; this process stands in for another one, which would take a second to start."""
    return CliRunner().invoke(main, list(map(str, arguments)), prog_name="assent")


@pytest.fixture(scope="module")
def up(folder):
    """The whole suite, started by the command in a pipe; what it prints goes to a file."""
    state, output = folder / "up", folder / "up.output"
    with output.open("w") as file:
        process = subprocess.Popen([*PROGRAM, "up", "--dir", str(state)], stdout=file, stderr=subprocess.STDOUT)
        try:
            until(lambda: settled(state), output)
            yield state, process, output
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_S)


def settled(state) -> bool:
    """Whether every service has said that it listens: before a first bundle is active, not all are ready."""
    said = assent("status", "--dir", state).output
    return all(f"{name}  ready" in said or f"{name}  not ready" in said for name in SERVICES)


def until(condition, output) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


def test_up_status_a_second_up_and_down(up):
    state, process, output = up

    status = assent("status", "--dir", state)
    second = assent("up", "--dir", state)
    demo = assent("demo", "--dir", state, "--subjects", 1)
    down = assent("down", "--dir", state)

    assert status.exit_code == 0
    assert [name for name in SERVICES if f"\n{name}  " not in status.output] == []
    assert (second.exit_code, "already running" in second.output) == (0, True)
    assert (demo.exit_code, "already running" in demo.output) == (1, True)
    assert (down.exit_code, down.output) == (0, "Stopped.\n")
    assert process.wait(PATIENCE_S) == 0
    assert output.read_text().rstrip().endswith("stopped")
    assert "Traceback" not in output.read_text()
    assert assent("status", "--dir", state).exit_code == 3
    assert assent("down", "--dir", state).output.startswith("Nothing is running")


def test_on_a_terminal_a_table_of_health_is_shown_and_ctrl_c_drains(folder):
    few = ("--service", "consent", "--service", "profile")
    with on_terminal("up", "--dir", str(folder / "terminal"), *few) as (process, descriptor):
        shown = read_until(descriptor, ("consent", "profile", "ready"))
        os.write(descriptor, b"\x03")
        shown += read_until(descriptor, ("stopped",))

        assert process.wait(PATIENCE_S) == 0
    assert "postgresql" in shown
    assert "Traceback" not in shown


@contextmanager
def on_terminal(*arguments: str):
    ours, theirs = pty.openpty()
    # A session of its own, whose terminal is `theirs`: Ctrl-C there reaches it alone.
    script = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, *PROGRAM, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "50"},
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_S)
        os.close(ours)


def read_until(descriptor: int, words: tuple[str, ...]) -> str:
    seen = ""
    while not all(word in seen for word in words):
        readable, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert readable, seen
        seen += os.read(descriptor, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("nonsense", 2, "No such command"),
        ("up --nonsense", 2, "No such option"),
        ("up --grpc-port consent", 2, "not SERVICE=PORT"),
        ("up --grpc-port consent=99999", 2, "not SERVICE=PORT"),
        ("up --grpc-port nobody=5000", 1, "no such service: nobody"),
        ("up --service nobody", 1, "no such service: nobody"),
        ("down extra", 2, "unexpected extra argument"),
        ("status extra", 2, "unexpected extra argument"),
        ("status --dir /etc/hostname", 2, "is a file"),
        ("demo --subjects 0", 2, "0 is not in the range"),
        ("demo --subjects many", 2, "not a valid int"),
        ("demo --seed x", 2, "not a valid int"),
        ("demo --real /nowhere", 2, "does not exist"),
        ("catalog lint /nowhere", None, "nowhere"),
        ("catalog test /nowhere", None, "nowhere"),
        ("catalog nonsense", 2, "No such command"),
        ("rank arbitrate --arm nonsense", 2, "nonsense"),
        ("rank arbitrate --in /nowhere", 2, "nowhere"),
    ],
)
def test_a_mistake_is_told_in_plain_words(tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    refused = assent(*arguments.split())

    assert refused.exit_code == code if code is not None else refused.exit_code != 0
    assert words in refused.output
    assert refused.exception is None or isinstance(refused.exception, SystemExit)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_the_real_data_is_told_before_anything_starts(tmp_path):
    refused = assent("demo", "--real", tmp_path)

    assert (refused.exit_code, "holds no berka" in refused.output) == (1, True)
    assert "starting" not in refused.output


def test_every_command_explains_itself():
    listed = assent("--help").output

    for command in ("up", "status", "down", "demo", "catalog", "rank"):
        assert command in listed
        explained = assent(command, "--help")
        assert (explained.exit_code, "Usage" in explained.output) == (0, True)
