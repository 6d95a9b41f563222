"""What the tour's page holds: its console blocks, and whether an output is what a block shows."""

import dataclasses
import difflib
import re

ANY_TEXT = "…"
ANY_LINES = "..."
INTERRUPT = "^C"
_FENCE = re.compile(r"^(`{3,})(.*)$")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[=>]")


class PageError(Exception):
    """The page breaks a convention; the message begins with its line."""


@dataclasses.dataclass
class Step:
    """One command, or what a terminal says next where there is none."""

    line: int
    command: str | None
    terminal: str | None
    again: bool
    interrupt: bool = False
    output_line: int = 0
    output: list = dataclasses.field(default_factory=list)


def steps(text):
    """The steps of every console block, in the page's order."""
    found, fence, info, begin, body = [], None, "", 0, []
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if fence is None and mark:
            fence, info, begin, body = mark[1], mark[2], number, []
        elif fence is not None and line.rstrip() == fence:
            words = info.split()
            if words and words[0] == "console":
                found += _block(body, begin + 1, words[1:])
            fence = None
        else:
            body.append(line)
    if fence is not None:
        raise PageError(f"{begin}: this fence is never closed")
    return found


def _block(body, first, words):
    terminal, again = None, False
    for word in words:
        if word == "again":
            again = True
        elif word.startswith("terminal=") and len(word) > len("terminal="):
            terminal = word.removeprefix("terminal=")
        else:
            raise PageError(f"{first - 1}: '{word}' is no word for a console block")
    if terminal and again:
        raise PageError(f"{first - 1}: what runs in a terminal of its own is not run again")
    found, at = [], 0
    while at < len(body):
        step = Step(first + at, None, terminal, again)
        if body[at].startswith("$ "):
            at, step.command = _command(body, at, first)
        elif terminal and body[at] == INTERRUPT:
            at, step.interrupt = at + 1, True
        elif not terminal:
            raise PageError(f"{first + at}: an output without a command ('$ …') before it")
        step.output_line = first + at
        while at < len(body) and not body[at].startswith("$ "):
            step.output.append(body[at])
            at += 1
        while step.output and not step.output[-1].strip():
            step.output.pop()
        found.append(step)
    if terminal and len(found) != 1:
        raise PageError(f"{first}: a terminal runs one command in one block")
    return found


def _command(body, at, first):
    """It goes on while its line ends with a backslash or a pipe, and to the end of a heredoc."""
    begin, lines, until = at, [], None
    while at < len(body):
        line = body[at].removeprefix("$ ") if at == begin else body[at]
        lines.append(line)
        at += 1
        if until is not None:
            if line == until:
                return at, "\n".join(lines)
        elif heredoc := _HEREDOC.search(line):
            until = heredoc[2]
        elif not line.endswith(("\\", "|")):
            return at, "\n".join(lines)
    raise PageError(f"{first + begin}: this command does not end in its block")


def lines_of(output):
    """What a terminal shows of it in the end: no colours, what a lone return has not overwritten,
    no blanks at the end, of lines or of the whole."""
    text = re.sub("\r+\n", "\n", _ESCAPE.sub("", output))
    lines = [re.sub(r".*\r(?=.)", "", line).rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def line_matches(shown, line):
    """Whether a line is the one shown; `…` stands for any text in it, also for none."""
    pattern = ".*".join(re.escape(part) for part in shown.rstrip().split(ANY_TEXT))
    return re.fullmatch(pattern, line) is not None


def matches(shown, lines):
    """Whether the lines are those shown; a line `...` stands for any lines, also for none."""
    def any_lines(place):
        return shown[place].strip() == ANY_LINES

    def past_dots(places):
        for place in sorted(places):
            while place < len(shown) and any_lines(place):
                place += 1
                places.add(place)
        return places

    # How many of the shown lines are done with, for every way to read the lines up to here.
    reached = past_dots({0})
    for line in lines:
        following = {place for place in reached if place and any_lines(place - 1)}
        following |= {place + 1 for place in reached
                      if place < len(shown) and line_matches(shown[place], line)}
        reached = past_dots(following)
    return len(shown) in reached


def after_shown(shown, lines):
    """How many lines came up to the last one shown, whatever else came before and between them;
    nothing when one of those shown is missing."""
    place = 0
    for wanted in shown:
        if wanted.strip() == ANY_LINES:
            continue
        while place < len(lines) and not line_matches(wanted, lines[place]):
            place += 1
        if place == len(lines):
            return None
        place += 1
    return place


def difference(shown, lines, where):
    """A diff whose lines that match the shown ones, as `…` and `...` allow, count as the same."""
    kept, at = [], 0
    for line in lines:
        ahead = [n for n in range(at, len(shown))
                 if shown[n].strip() != ANY_LINES and line_matches(shown[n], line)]
        kept.append(shown[ahead[0]] if ahead else line)
        at = ahead[0] + 1 if ahead else at
    return "\n".join(difflib.unified_diff(shown, kept, f"{where} (shown)", "what came", lineterm=""))
