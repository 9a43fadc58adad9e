"""The command as people run it: another process, its output, its exit code."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PROGRAM = [sys.executable, "-m", "assent_cli"]
SAMPLE = Path(__file__).parent.parent / "sample"
PATIENCE_S = 40


def assent(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@contextmanager
def up(folder: Path, *arguments: str):
    """`assent up` of the sample, once it says that the service is ready."""
    output = (folder / "output").open("w")
    process = subprocess.Popen(
        [*PROGRAM, "up", "--dir", str(folder / "state"), "--service", "greeter", *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        wait(lambda: "greeter: ready" in said(folder) or process.poll() is not None, folder)
        assert process.poll() is None, said(folder)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
        output.close()


def said(folder: Path) -> str:
    return (folder / "output").read_text()


def wait(condition, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, said(folder)
        time.sleep(0.02)


def described(folder: Path) -> dict:
    return json.loads((folder / "state" / "stack.json").read_text())


def pids(folder: Path) -> list[int]:
    found = described(folder)
    return [found["postgres"]["pid"], found["nats"]["pid"], found["services"]["greeter"]["pid"]]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_suite_starts_says_where_it_is_and_stops_on_sigterm(folders):
    folder = folders()
    with up(folder) as process:
        running = pids(folder)
        status = assent("status", "--dir", str(folder / "state"))
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE_S) == 0
    assert status.returncode == 0
    assert "greeter  ready" in status.stdout
    assert said(folder).rstrip().endswith("stopped")
    assert not [pid for pid in running if is_running(pid)]


def test_ctrl_c_on_a_terminal_drains_and_a_table_is_shown(folders):
    folder = folders()
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "up", "--dir", str(folder / "state"), "--service", "greeter"]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: own_terminal(theirs),  # noqa: PLW1509  a terminal has to be taken between fork and exec
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = read_until(ours, "ready")
        running = pids(folder)
        os.write(ours, b"\x03")
        shown += read_until(ours, "stopped")

        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "postgresql" in shown
    assert not [pid for pid in running if is_running(pid)]


def own_terminal(descriptor: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def read_until(descriptor: int, word: str) -> str:
    seen = ""
    while word not in seen:
        readable, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert readable, seen
        seen += os.read(descriptor, 4096).decode(errors="replace")
    return seen


def test_a_second_up_in_the_folder_says_so_and_does_nothing(folders):
    folder = folders()
    with up(folder):
        before = pids(folder)
        second = assent("up", "--dir", str(folder / "state"), "--service", "greeter")

        assert (second.returncode, pids(folder)) == (0, before)
        assert "already running" in second.stdout


def test_down_waits_until_everything_is_gone(folders):
    folder = folders()
    with up(folder) as process:
        running = pids(folder)
        down = assent("down", "--dir", str(folder / "state"))
        process.wait(PATIENCE_S)

    assert (down.stdout, down.returncode) == ("Stopped.\n", 0)
    assert not [pid for pid in running if is_running(pid)]
    assert assent("down", "--dir", str(folder / "state")).returncode == 0
    assert assent("status", "--dir", str(folder / "state")).returncode == 3


def test_whatever_is_killed_leaves_nothing_that_stops_the_next_start(folders):
    folder = folders()
    with up(folder) as process:
        running = pids(folder)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        wait(lambda: not [pid for pid in running if is_running(pid)], folder)
    with up(folder):
        assert described(folder)["services"]["greeter"]["state"] == "ready"


def test_a_port_that_was_asked_for_is_used(folders):
    folder = folders()
    with up(folder, "--grpc-port", "greeter=45871"):
        assert described(folder)["services"]["greeter"]["grpc"] == "127.0.0.1:45871"


@pytest.mark.parametrize(
    "arguments", [["--grpc-port", "greeter"], ["--grpc-port", "nobody=5000"], ["--service", "nobody"]]
)
def test_a_wrong_option_is_said_before_anything_starts(tmp_path, arguments):
    refused = assent("up", "--dir", str(tmp_path / "state"), *arguments)

    assert refused.returncode != 0
    assert not (tmp_path / "state" / "postgres").exists()


def test_registered_commands_are_listed_and_run():
    assert "Say hello." in assent("--help").stdout
    assert assent("greet").stdout == "hello\n"


def test_the_version_is_said():
    assert assent("--version").stdout.startswith("assent, version ")
