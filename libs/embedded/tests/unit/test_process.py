import os
import signal
import sys
import time
from pathlib import Path

import pytest

from embedded.process import Process, Program, StartFailed, run, tethered

PARENT = """
import os, sys, time
from pathlib import Path
from embedded.process import Process, Program
child = Process(Program("child", [sys.executable, "-c", "import time; time.sleep(60)"], log=Path(sys.argv[1])))
child.launch()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path):
    with pytest.raises(StartFailed, match="no such luck"):
        run(Program("unlucky", [sys.executable, "-c", "raise SystemExit('no such luck')"], log=tmp_path / "log"))


def test_a_process_that_never_gets_ready_is_an_error_naming_it(tmp_path):
    process = Process(Program("slow", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log"))
    process.launch()
    try:
        with pytest.raises(StartFailed, match="slow was not ready"):
            process.wait_ready(lambda: False, timeout=0.05)
    finally:
        process.kill()


def test_a_child_dies_with_its_parent(tmp_path):
    parent = Process(Program("parent", [sys.executable, "-c", PARENT, str(tmp_path / "c")], log=tmp_path / "p"))
    parent.launch()
    parent.wait_ready(lambda: (tmp_path / "p").read_text().strip().isdigit())
    child = int((tmp_path / "p").read_text())
    parent.kill()

    assert _gone(child)


def test_a_stop_that_is_ignored_becomes_a_kill(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    process = Process(Program("stubborn", [sys.executable, "-c", stubborn], log=tmp_path / "log"))
    process.launch()
    process.wait_ready(lambda: "up" in process.tail())
    process.stop(timeout=0.1)

    assert process.exit_code == -signal.SIGKILL


def test_the_tether_names_us_as_parent(tmp_path):
    assert str(os.getpid()) in tethered(Program("any", ["/bin/true"], log=tmp_path / "log"))


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
    return False
