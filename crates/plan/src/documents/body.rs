//! The text below the front matter: lines, sections and tables, each with its line.

use std::ops::Range;

use super::front::ended;

/// The most rows of one table.
pub(super) const ROWS_MAX: usize = 500;
/// The longest cell of a table, bytes.
pub(super) const CELL_BYTES_MAX: usize = 1_000;
/// The most cells that are looked at in one row.
const CELLS_MAX: usize = 32;

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'t> {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: &'t str,
    /// Whether it stands in a fenced block of code, or fences one.
    pub(super) code: bool,
}

/// What stands below a heading of the second level.
#[derive(Clone, Debug)]
pub(super) struct Section<'t> {
    pub(super) heading: &'t str,
    pub(super) line: usize,
    /// Its lines, as places in [`Body::lines`].
    pub(super) lines: Range<usize>,
}

/// A document without its front matter.
#[derive(Debug)]
pub(super) struct Body<'t> {
    pub(super) lines: Vec<Line<'t>>,
    pub(super) sections: Vec<Section<'t>>,
}

impl<'t> Body<'t> {
    /// Splits a text whose first line has a number.
    pub(super) fn of(text: &'t str, first: usize) -> Self {
        let mut fence = None;
        let lines: Vec<Line<'t>> = text
            .split_inclusive('\n')
            .enumerate()
            .map(|(index, whole)| {
                let text = ended(whole);
                let mark = fence_of(text);
                let code = fence.is_some() || mark.is_some();
                fence = match (fence, mark) {
                    (None, mark) => mark,
                    (Some(open), Some(mark)) if open == mark => None,
                    (open, _) => open,
                };
                Line { number: first + index, text, code }
            })
            .collect();
        let mut sections: Vec<Section<'t>> = Vec::new();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.code) {
            if let Some(heading) = line.text.strip_prefix("## ") {
                close(&mut sections, at);
                let (heading, lines) = (heading.trim(), at + 1..lines.len());
                sections.push(Section { heading, line: line.number, lines });
            }
        }
        Self { lines, sections }
    }

    /// The first section of that heading.
    pub(super) fn section(&self, heading: &str) -> Option<&Section<'t>> {
        self.sections.iter().find(|one| one.heading.eq_ignore_ascii_case(heading))
    }

    pub(super) fn lines_of(&self, section: &Section<'t>) -> &[Line<'t>] {
        self.lines.get(section.lines.clone()).unwrap_or_default()
    }
}

fn close(sections: &mut [Section<'_>], at: usize) {
    if let Some(last) = sections.last_mut() {
        last.lines.end = at;
    }
}

/// The mark that opens or closes a block of code.
fn fence_of(line: &str) -> Option<char> {
    let line = line.trim_start();
    ['`', '~'].into_iter().find(|mark| line.chars().take(3).filter(|one| one == mark).count() == 3)
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) cells: Vec<String>,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// The line of its header.
    pub(super) line: usize,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// The first row that is one too many.
    pub(super) beyond: Option<usize>,
}

impl Grid {
    /// The first table among some lines.
    pub(super) fn first(lines: &[Line<'_>]) -> Option<Self> {
        let is_row = |line: &Line<'_>| !line.code && line.text.trim_start().starts_with('|');
        let begin = lines
            .windows(2)
            .position(|pair| is_row(&pair[0]) && is_row(&pair[1]) && is_rule(pair[1].text))?;
        let header = lines.get(begin)?;
        let mut rows = lines.get(begin + 2..)?.iter().take_while(|line| is_row(line));
        let read = rows.by_ref().take(ROWS_MAX);
        let read = read.map(|line| Row { line: line.number, cells: cells(line.text) }).collect();
        let beyond = rows.next().map(|line| line.number);
        Some(Self { line: header.number, header: cells(header.text), rows: read, beyond })
    }
}

/// The line below a header: `|---|:-:|`.
pub(super) fn is_rule(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('|')
        && text.contains('-')
        && text.bytes().all(|b| matches!(b, b'|' | b'-' | b':' | b' '))
}

/// The cells of a row; `\|` is a bar inside one.
fn cells(text: &str) -> Vec<String> {
    let text = text.trim();
    let mut inside = text.strip_prefix('|').unwrap_or(text).chars().peekable();
    let (mut cells, mut cell) = (Vec::new(), String::new());
    while let Some(one) = inside.next() {
        match one {
            '\\' if inside.peek() == Some(&'|') => {
                inside.next();
                cell.push('|');
            }
            '|' if cells.len() < CELLS_MAX => {
                cells.push(cell.trim().to_owned());
                cell.clear();
            }
            other => cell.push(other),
        }
    }
    if !cell.trim().is_empty() {
        cells.push(cell.trim().to_owned());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_know_their_lines_and_code_has_none() {
        let body = Body::of("# T\n## A\none\n```\n## no\n```\n## B  \r\ntwo", 5);
        let seen: Vec<_> = body.sections.iter().map(|s| (s.heading, s.line)).collect();
        assert_eq!(seen, [("A", 6), ("B", 11)]);
        assert_eq!(body.lines_of(&body.sections[0]).len(), 4);
        assert_eq!(body.section("b").unwrap().lines.len(), 1);
    }

    #[test]
    fn a_table_is_rows_with_lines() {
        let text = "x\n| a | b\\|c |\n|---|:-:|\n| 1 | |\n|2|3|\n\n|4|5|\n";
        let body = Body::of(text, 1);
        let grid = Grid::first(&body.lines).unwrap();
        assert_eq!((grid.line, grid.header), (2, vec!["a".to_owned(), "b|c".to_owned()]));
        let rows: Vec<_> = grid.rows.iter().map(|row| (row.line, row.cells.join("/"))).collect();
        assert_eq!(rows, [(4, "1/".to_owned()), (5, "2/3".to_owned())]);
        assert!(Grid::first(&Body::of("| a |\nb\n", 1).lines).is_none());
    }

    #[test]
    fn rows_beyond_the_bound_are_named() {
        let text = format!("|a|\n|-|\n{}", "|1|\n".repeat(ROWS_MAX + 1));
        let grid = Grid::first(&Body::of(&text, 1).lines).unwrap();
        assert_eq!((grid.rows.len(), grid.beyond), (ROWS_MAX, Some(ROWS_MAX + 3)));
    }
}
