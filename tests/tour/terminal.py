"""Terminals as a reader has them: programs see a terminal, and Ctrl-C reaches all of them in it."""

import contextlib
import fcntl
import itertools
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
READ_SECONDS = 10
_ROWS_AND_COLUMNS = (50, 200)
_MARK = re.compile("\x1e[^\x1e]*\x1e")
# Each command is a file, so that a shell reads it as it stands and keeps what it sets.
_SHELL = r"""trap : INT
while IFS= read -r file <&3; do
  . "$file" </dev/null
  printf '\036%s\036' "$file"
done"""


class Terminal:
    """A program in a session of its own, and all it has said."""

    def __init__(self, command, directory, environment, pass_fds=()):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *_ROWS_AND_COLUMNS, 0, 0))
        settings = termios.tcgetattr(slave)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        # It is nobody's controlling terminal: where the leader of a session ends, the kernel throws
        # away what it said last and nobody has read yet.
        self.process = subprocess.Popen(
            command, cwd=directory, env=environment, start_new_session=True,
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
        """Whether it runs; where not, all it has said is there."""
        if self.process.poll() is None:
            return True
        self.thread.join(READ_SECONDS)
        return False

    def lines(self):
        """What it has said since the last line that a block has shown."""
        return lines_of(self.said)[self.seen_lines:]

    def interrupt(self):
        """Ctrl-C."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)

    def ended(self, seconds):
        """Waits for the end; whether it came."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self.thread.join(READ_SECONDS)
        return True

    def stop(self):
        if self.runs():
            self.interrupt()
            if not self.ended(STOP_SECONDS):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.thread.join(READ_SECONDS)
        os.close(self.master)


class Shell:
    """The first terminal: one bash for the whole page, so that a variable stays set."""

    def __init__(self, directory, environment, scratch):
        told, self.tell = os.pipe()
        self.files = (pathlib.Path(scratch) / f"command-{number}" for number in itertools.count(1))
        command = ["bash", "-c", f"exec 3<&{told}\n{_SHELL}"]
        self.terminal = Terminal(command, directory, environment, pass_fds=(told,))
        os.close(told)

    def run(self, command, seconds):
        """The lines of a command's output; nothing when it took too long and was interrupted."""
        begin = len(self.terminal.said)
        file = next(self.files)
        file.write_text(command + "\n")
        os.write(self.tell, f"{file}\n".encode())
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.terminal.runs():
            done = self.terminal.said.find(f"\x1e{file}\x1e", begin)
            if done >= 0:
                return lines_of(_MARK.sub("", self.terminal.said[begin:done]))
            time.sleep(0.02)
        self.terminal.interrupt()
        return None

    def stop(self):
        os.close(self.tell)
        if not self.terminal.ended(5):
            os.killpg(self.terminal.process.pid, signal.SIGKILL)
        self.terminal.stop()
