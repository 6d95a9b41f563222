"""Terminals as a reader has them: programs see a terminal, and Ctrl-C goes where it would."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time

from page import lines_of

STOP_SECONDS = 40
_ROWS_AND_COLUMNS = (50, 200)
_DONE = re.compile("\x1e([0-9]+)\x1e")
# Each command is a file, so that a shell reads it as it stands and keeps what it sets.
_SHELL = r"""while IFS= read -r file <&3; do
  . "$file" </dev/null
  printf '\036%s\036' "$?"
done"""


class Terminal:
    """A program in a session of its own, and all it has said."""

    def __init__(self, command, directory, environment, pass_fds=()):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *_ROWS_AND_COLUMNS, 0, 0))
        settings = termios.tcgetattr(slave)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], cwd=directory, env=environment,
            stdin=slave, stdout=slave, stderr=slave, pass_fds=pass_fds,
        )
        os.close(slave)
        self.said = ""
        self.seen_lines = 0
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        pending = b""
        with contextlib.suppress(OSError):  # The other end is closed: the program has ended.
            while chunk := os.read(self.master, 65536):
                pending += chunk
                text = pending.decode(errors="ignore")
                if text.encode() == pending or len(pending) > 65536:
                    self.said += text
                    pending = b""
        self.said += pending.decode(errors="replace")

    def runs(self):
        return self.process.poll() is None

    def lines(self):
        """What it has said since the last line that a block has shown."""
        return lines_of(self.said)[self.seen_lines:]

    def interrupt(self):
        """Ctrl-C."""
        with contextlib.suppress(OSError):
            os.write(self.master, b"\x03")

    def ended(self, seconds):
        """Waits for the end; whether it came."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self.thread.join(10)
        return True

    def stop(self):
        if self.runs():
            self.interrupt()
            if not self.ended(STOP_SECONDS):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.thread.join(10)
        os.close(self.master)


class Shell:
    """The first terminal: one bash for the whole page, so that a variable stays set."""

    def __init__(self, directory, environment, scratch):
        told, self.tell = os.pipe()
        self.file = pathlib.Path(scratch) / "command"
        command = ["bash", "-c", f"exec 3<&{told}\n{_SHELL}"]
        self.terminal = Terminal(command, directory, environment, pass_fds=(told,))
        os.close(told)

    def run(self, command, seconds):
        """The lines of a command's output; nothing when it took too long and was interrupted."""
        begin = len(self.terminal.said)
        self.file.write_text(command + "\n")
        os.write(self.tell, f"{self.file}\n".encode())
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.terminal.runs():
            if done := _DONE.search(self.terminal.said, begin):
                return lines_of(self.terminal.said[begin:done.start()])
            time.sleep(0.02)
        self.terminal.interrupt()
        return None

    def stop(self):
        os.close(self.tell)
        if not self.terminal.ended(5):
            os.killpg(self.terminal.process.pid, signal.SIGKILL)
        self.terminal.stop()
