"""Runs a program under bounds, and says what became of it.

A run counts as hanging when it takes longer than `limit` seconds, and its memory is bounded, so that a file that wants
all of it shows as an abort and does not take the machine along.
"""

import os
import resource
import signal
import subprocess
from dataclasses import dataclass

ADDRESS_SPACE = 8 << 30
KNOWN_CODES = {0, 1, 2, 3, 65, 69, 73, 74, 75, 77, 78}


@dataclass
class Ended:
    code: int  # negative: the signal
    stdout: bytes
    stderr: bytes
    hangs: bool

    def fault(self):
        """The word for what must never happen, or None."""
        if self.hangs:
            return "hang"
        if self.code < 0:
            return "signal"
        if self.code == 101 or b"panicked at" in self.stderr:
            return "panic"
        if self.code not in KNOWN_CODES:
            return "odd code"
        if raw_controls(self.stdout) or raw_controls(self.stderr):
            return "raw control character"
        return None

    def last_words(self):
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def raw_controls(text):
    return any(byte < 0x20 and byte not in b"\n\t" or byte == 0x7F for byte in text)


def run(command, folder, limit, environment=None):
    """Runs it in `folder`, in a process group of its own, all of which is ended at the limit."""

    def bound():
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRAMEWRIGHT_")}
    if "FRAMEWRIGHT_ORT" in os.environ:
        kept["FRAMEWRIGHT_ORT"] = os.environ["FRAMEWRIGHT_ORT"]
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, "NO_COLOR": "1", "RUST_BACKTRACE": "0", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=bound,
    )
    try:
        stdout, stderr = child.communicate(timeout=limit)
        return Ended(child.returncode, stdout, stderr, False)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        stdout, stderr = child.communicate()
        return Ended(-9, stdout, stderr, True)
