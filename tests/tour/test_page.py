"""What the page's conventions mean, and that a drift is seen."""

import unittest

from page import PageError, after_shown, difference, line_matches, lines_of, matches, steps


def page(*lines):
    return "\n".join(lines) + "\n"


class Blocks(unittest.TestCase):
    def test_commands_and_outputs_are_found_with_their_lines(self):
        found = steps(page("# Title", "```sh", "$ not run", "```", "```console", "$ one", "said",
                           "", "$ two", "```"))
        self.assertEqual([(s.line, s.command, s.output, s.output_line) for s in found],
                         [(6, "one", ["said"], 7), (9, "two", [], 10)])

    def test_a_command_goes_on_after_a_backslash_and_through_a_heredoc(self):
        found = steps(page("```console", "$ curl \\", "    -d '{}'", "{}", "$ cat >f <<'END'", "a",
                           "$ b", "END", "out", "$ a |", "  b", "```"))
        self.assertEqual([s.command for s in found],
                         ["curl \\\n    -d '{}'", "cat >f <<'END'\na\n$ b\nEND", "a |\n  b"])
        self.assertEqual([s.output for s in found], [["{}"], ["out"], []])

    def test_a_terminal_starts_goes_on_and_is_interrupted(self):
        start, later, end = steps(page(
            "```console terminal=edge", "$ up", "ready", "```",
            "```console terminal=edge", "reloaded", "```",
            "```console terminal=edge", "^C", "drained", "```"))
        self.assertEqual((start.command, start.output), ("up", ["ready"]))
        self.assertEqual((later.command, later.interrupt, later.output), (None, False, ["reloaded"]))
        self.assertEqual((end.interrupt, end.output), (True, ["drained"]))

    def test_again_is_for_each_command_of_its_block(self):
        self.assertTrue(all(s.again for s in steps(page("```console again", "$ a", "$ b", "```"))))

    def test_a_page_that_breaks_a_convention_is_refused_with_its_line(self):
        for lines, line in [
            (["```console", "output", "```"], "2:"),
            (["text", "```console", "$ a"], "2:"),
            (["```console twice", "$ a", "```"], "1:"),
            (["```console terminal=a again", "$ a", "```"], "1:"),
            (["```console", "$ cat <<END", "a", "```"], "2:"),
            (["```console terminal=a", "$ a", "$ b", "```"], "2:"),
        ]:
            with self.subTest(lines=lines), self.assertRaises(PageError) as refused:
                steps(page(*lines))
            self.assertTrue(str(refused.exception).startswith(line), refused.exception)


class Matching(unittest.TestCase):
    def test_an_ellipsis_is_any_text_in_its_line_and_nothing_else_is(self):
        self.assertTrue(line_matches("took … ms", "took 12 ms"))
        self.assertTrue(line_matches("a…", "a"))
        self.assertTrue(line_matches("…b…", "abc"))
        self.assertFalse(line_matches("took … ms", "took 12 s"))
        self.assertFalse(line_matches("a.c [1]", "abc [1]"))
        self.assertFalse(line_matches("a", "ab"))

    def test_lines_are_the_same_in_the_same_order(self):
        self.assertTrue(matches(["a", "b"], ["a", "b"]))
        for lines in (["b", "a"], ["a"], ["a", "b", "c"], ["x", "a", "b"], []):
            self.assertFalse(matches(["a", "b"], lines), lines)
        self.assertFalse(matches([], ["a"]))

    def test_three_dots_are_any_lines(self):
        for lines in (["a", "b"], ["a", "x", "b"], ["a", "x", "b", "y", "b"]):
            self.assertTrue(matches(["a", "...", "b"], lines), lines)
        self.assertFalse(matches(["a", "...", "b"], ["a", "b", "x"]))
        self.assertTrue(matches(["..."], []))
        self.assertTrue(matches(["a", "..."], ["a", "x"]))
        self.assertFalse(matches(["...", "a"], ["x"]))

    def test_a_terminal_may_say_more(self):
        self.assertEqual(after_shown(["a", "...", "b…"], ["x", "a", "y", "by", "b"]), 4)
        self.assertEqual(after_shown([], ["x"]), 0)
        for lines in (["b", "a"], ["a"], []):
            self.assertIsNone(after_shown(["a", "b"], lines), lines)

    def test_many_dots_take_no_exponential_time(self):
        self.assertFalse(matches(["...", "a"] * 40, ["a"] * 400 + ["b"]))

    def test_colours_and_returns_are_no_part_of_what_is_shown(self):
        said = "\x1b[1mHTTP\x1b[0m  \r\r\n\r\nbody\r\n\r\n"
        self.assertEqual(lines_of(said), ["HTTP", "", "body"])
        self.assertEqual(lines_of("1 of 2\r2 of 2\r\nwhole\r\n"), ["2 of 2", "whole"])

    def test_a_diff_shows_what_drifted_and_only_that(self):
        diff = difference(["took … s", "...", "end"], ["took 1 s", "x", "End"], "tour.md:7")
        changed = [line for line in diff.splitlines()[3:] if line[0] in "+-"]
        self.assertIn("-end", changed)
        self.assertIn("+End", changed)
        self.assertNotIn("-took … s", changed)
        self.assertIn("tour.md:7", diff)


if __name__ == "__main__":
    unittest.main()
