"""Known lines of native code are dropped; nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from perse import chatter


def native(line: str) -> None:
    """Write as C++ does, past Python's own stream."""
    os.write(2, (line + "\n").encode())


def test_only_known_lines_are_dropped_and_only_meanwhile(capfd: pytest.CaptureFixture[str]) -> None:
    with chatter.without(("delegate", "harmless")):
        native("INFO: Created a delegate")
        native("ERROR: something of our own")
        sys.stderr.write("a Python warning\n")  # at once: a captured stream does not go through the pipe
        native("quite harmless")
    native("INFO: Created a delegate")
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == ["ERROR: something of our own", "INFO: Created a delegate", "a Python warning"]


def test_other_threads_and_errors_come_through(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="the block's own"), chatter.without(("noise",)):
        writers = [threading.Thread(target=native, args=(f"line {i}",)) for i in range(20)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        native("noise")
        raise ValueError("the block's own")
    assert sorted(capfd.readouterr().err.split("\n")[:-1]) == sorted(f"line {i}" for i in range(20))


def test_more_than_a_pipe_holds_comes_through(capfd: pytest.CaptureFixture[str]) -> None:
    with chatter.without(("noise",)):
        for number in range(3000):
            native(f"{number} " + "x" * 100)
    assert len(capfd.readouterr().err.splitlines()) == 3000


def test_a_process_without_standard_error_works() -> None:
    program = "import os; os.close(2)\nfrom perse import chatter\nwith chatter.without(('x',)): print('fine')"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "fine\n"


def test_the_first_face_of_a_process_is_found_in_silence() -> None:
    program = (
        "import skimage.data\nfrom perse.tracking import detect_landmarks\ndetect_landmarks(skimage.data.astronaut())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
