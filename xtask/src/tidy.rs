//! Tidy: sizes, words, machine paths, white space, links, and the form of decision records.

use std::fs;
use std::path::Path;

use crate::CheckError;
use crate::documents;
use crate::finding::Finding;
use crate::rust_text;
use crate::table::{Limits, MachinePath, TidyTable};

/// A text file of the tree.
pub(crate) struct TextFile {
    /// Relative to the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }
}

/// Every fault of the files below `root`.
pub(crate) fn check(root: &Path, rules: &TidyTable) -> Result<Vec<Finding>, CheckError> {
    let mut files = Vec::new();
    walk(root, root, rules, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !covers(&rules.as_is, &file.path)) {
        findings.extend(white_space(file));
        if !covers(&rules.exempt.words, &file.path) {
            findings.extend(words(file, rules));
        }
        if ["rs", "py", "sh", "js", "ts", "css"].iter().any(|one| file.has_extension(one)) {
            findings.extend(length(file, &rules.limits));
        }
        if file.has_extension("rs") {
            findings.extend(columns(file, rules.limits.columns_max));
            findings.extend(functions(file, rules.limits.function_lines_max));
        }
    }
    findings.extend(documents::links(root, &files));
    findings.extend(documents::decisions(&files));
    Ok(findings)
}

/// Whether a path is in the list; an entry that ends in `/` covers all below it.
fn covers(list: &[String], path: &str) -> bool {
    list.iter().any(|one| path == one || (one.ends_with('/') && path.starts_with(one)))
}

/// Collects the text files; what is not UTF-8 or holds a NUL is no text.
fn walk(
    root: &Path,
    dir: &Path,
    rules: &TidyTable,
    files: &mut Vec<TextFile>,
) -> Result<(), CheckError> {
    let io = |source| CheckError::Io { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        let path = entry.path();
        let relative =
            path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if kind.is_dir() {
            let named = rules.skip_names.iter().any(|name| entry.file_name() == name.as_str());
            if !named && !covers(&rules.skip, &format!("{relative}/")) {
                walk(root, &path, rules, files)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(&path).map_err(io)?;
            if let Some(text) = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')) {
                files.push(TextFile { path: relative, text });
            }
        }
    }
    Ok(())
}

fn white_space(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::error(
                &file.path,
                Some(index + 1),
                "white space at the end of the line",
                "remove it; lines end in a line feed alone",
            ));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        let what = "the last line does not end";
        findings.push(Finding::error(&file.path, None, what, "end the file in a line feed"));
    }
    findings
}

fn words(file: &TextFile, rules: &TidyTable) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in rules.words.iter().filter(|word| rust_text::has_word(line, &word.text)) {
            findings.push(Finding::error(
                &file.path,
                Some(index + 1),
                format!("the word `{}`", word.text),
                &word.instead,
            ));
        }
        for path in rules.machine_paths.iter().filter(|path| names_path(line, path)) {
            findings.push(Finding::error(
                &file.path,
                Some(index + 1),
                format!("a path of one machine, `{}`", path.text),
                "write it relative to the root, or name it by what it is",
            ));
        }
    }
    findings
}

/// Whether an absolute path of that kind stands in the line.
fn names_path(line: &str, path: &MachinePath) -> bool {
    line.match_indices(&path.text).any(|(at, found)| {
        let before = line[..at].chars().next_back();
        let inside = before.is_some_and(|one| one.is_alphanumeric() || "._-/}~*".contains(one));
        let name = line[at + found.len()..].split(|one: char| !one.is_alphanumeric()).next();
        let nobody = path.person_follows && name.is_some_and(|name| name.len() == 1);
        !inside && !nobody
    })
}

fn length(file: &TextFile, limits: &Limits) -> Option<Finding> {
    let lines = file.text.lines().count();
    let finding = Finding::error(
        &file.path,
        None,
        format!(
            "{lines} lines (wished: {}, at most: {})",
            limits.file_lines_warn, limits.file_lines_max
        ),
        "split it by what its parts are for",
    );
    match lines {
        _ if lines > limits.file_lines_max => Some(finding),
        _ if lines > limits.file_lines_warn => Some(finding.warning()),
        _ => None,
    }
}

/// Lines that are too wide. Strings do not count, because breaking one makes it hard to find; nor
/// does a comment that is one word, such as an address.
fn columns(file: &TextFile, columns_max: usize) -> Vec<Finding> {
    let text = rust_text::without_literals(&file.text);
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| line.chars().count() > columns_max)
        .filter(|(_, line)| {
            let words = line.trim_start().trim_start_matches(['/', '!', '*']).split_whitespace();
            words.count() > 1
        })
        .map(|(index, line)| {
            Finding::error(
                &file.path,
                Some(index + 1),
                format!(
                    "{} columns without its strings (at most: {columns_max})",
                    line.chars().count()
                ),
                "break the line",
            )
        })
        .collect()
}

fn functions(file: &TextFile, lines_max: usize) -> Vec<Finding> {
    let bare = rust_text::bare(&file.text);
    let found = rust_text::functions(&bare).into_iter();
    found
        .filter(|function| function.lines > lines_max)
        .map(|function| {
            Finding::error(
                &file.path,
                Some(function.line),
                format!(
                    "the function `{}` has {} lines (at most: {lines_max})",
                    function.name, function.lines
                ),
                "name its steps and make each a function",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::house::fixture::Tree;

    fn found(files: &[(&str, &str)]) -> Vec<Finding> {
        let rules: TidyTable = toml::from_str(include_str!("../tidy.toml")).unwrap();
        check(Tree::new(files).root(), &rules).unwrap()
    }

    /// The one finding that a file makes, as text.
    fn only(path: &str, text: &str) -> String {
        let found = found(&[(path, text)]);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].to_string()
    }

    #[test]
    fn a_tidy_tree_is_right() {
        assert_eq!(found(&[("src/a.rs", "fn a() {}\n"), ("README.md", "[a](src/a.rs)\n")]), []);
    }

    #[test]
    fn a_long_file_is_warned_about_and_a_longer_one_refused() {
        assert_eq!(found(&[("a.rs", &"\n".repeat(450))]), []);
        let warned = found(&[("a.rs", &"\n".repeat(451))]);
        assert_eq!(warned[0].severity, Severity::Warning);
        let refused = found(&[("a.rs", &"\n".repeat(701))]);
        assert_eq!(refused[0].severity, Severity::Error);
        assert!(refused[0].what.starts_with("701 lines"), "{refused:?}");
        assert_eq!(found(&[("data.json", &"\n".repeat(701))]), []);
    }

    #[test]
    fn a_long_function_is_refused() {
        let body = "    a();\n".repeat(98);
        assert_eq!(found(&[("a.rs", &format!("fn right() {{\n{body}}}\n"))]), []);
        let text = only("a.rs", &format!("//! A.\nfn long() {{\n{body}\n}}\n"));
        assert!(text.contains("a.rs:2: the function `long` has 101 lines"), "{text}");
    }

    #[test]
    fn a_wide_line_is_refused_unless_it_is_one_word() {
        let wide = format!("// {} {}\n", "a".repeat(50), "b".repeat(50));
        assert!(only("a.rs", &wide).contains("104 columns"));
        assert_eq!(found(&[("a.rs", &format!("/// https://{}\n", "a".repeat(100)))]), []);
        assert_eq!(found(&[("a.rs", &format!("fn a() -> B {{ {:?} }}\n", "a".repeat(100)))]), []);
        assert_eq!(found(&[("a.md", &wide)]), []);
    }

    #[test]
    fn forbidden_words_are_refused_as_whole_words() {
        let rules: TidyTable = toml::from_str(include_str!("../tidy.toml")).unwrap();
        for word in &rules.words {
            let text = only("a.toml", &format!("# so {} it\n", word.text));
            assert!(text.contains(&word.instead), "{text}");
        }
        assert_eq!(found(&[("a.toml", "# PLM-EDGE-XXXX, hackneyed, for nowhere\n")]), []);
    }

    #[test]
    fn machine_paths_are_refused() {
        for path in ["/home/ann/x", "(/root/x", "`/Users/ann`"] {
            let text = only("a.toml", &format!("# see {path}\n"));
            assert!(text.contains("a.toml:1: a path of one machine"), "{text}");
        }
        assert_eq!(
            found(&[("a.toml", "# https://a.example/home/ann, net/root/x, /home/a/x\n")]),
            []
        );
    }

    #[test]
    fn white_space_at_the_end_is_refused() {
        assert!(only("a.md", "a \nb\n").contains("a.md:1"));
        assert!(only("a.md", "a\r\n").contains("line feed alone"));
        assert!(only("a.md", "a").contains("does not end"));
    }

    #[test]
    fn what_is_built_or_binary_is_not_read() {
        assert_eq!(found(&[("target/a.rs", "a "), ("x/node_modules/a.js", "a ")]), []);
        assert_eq!(found(&[("a.png", "a \0"), ("Cargo.lock", "a ")]), []);
    }
}
