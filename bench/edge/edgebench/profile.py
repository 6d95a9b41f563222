"""Where the instructions of a request go, out of one of callgrind's counts.

valgrind's own callgrind_annotate charges counts that were written out in the middle of a run to the
function that starts a thread; the counts themselves are right, so they are read here.
"""

import re
from collections import Counter

NAME = re.compile(r"c?fn=\((\d+)\)(?: (.*))?")


def functions(path, requests):
    """Instructions per request of each function itself, the costliest first."""
    names, cost, current, of_callee = {}, Counter(), None, False
    for line in path.read_text(errors="replace").splitlines():
        if found := NAME.match(line):
            if found[2]:
                names[found[1]] = found[2]
            if line.startswith("fn="):
                current = found[1]
        elif line.startswith("calls="):
            # The line after it is what the callee spent, which is counted at the callee.
            of_callee = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            count = line.split()[-1]
            if of_callee:
                of_callee = False
            elif count.isdigit():
                cost[current] += int(count)
    return [(names.get(key, key), spent / requests) for key, spent in cost.most_common()]


def rows(found, limit=40):
    whole = sum(spent for _, spent in found) or 1
    out = [["function", "instructions", "share"]]
    for name, spent in found[:limit]:
        name = name if len(name) <= 90 else name[:44] + ".." + name[-44:]
        out.append([name, f"{spent:.0f}", f"{spent / whole:.1%}"])
    return out
