//! Reading a manifest: from text or file to the typed whole, or to every fault it has.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::check::{self, Names};
use crate::shape::{RawFault, prune};
use crate::tree::{Lines, Node, SyntaxFault, read};
use crate::{Fault, ListenAddr, Manifest, OriginUrl, files, hash};

/// The largest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The most faults that are reported at once.
const FAULTS_MAX: usize = 100;

/// A manifest that was read and found sound.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The manifest, arguments of the command line applied.
    pub manifest: Manifest,
    /// SHA-256, in hex, of what an edge acts on: the manifest's meaning (not its layout or
    /// comments, and no argument of the command line) and the content of the contracts and key
    /// sets it names. Certificates are left out: they are renewed node by node.
    pub hash: String,
    /// The file it was read from; none for `--upstream`.
    pub path: Option<PathBuf>,
    /// The directory that relative paths in it are relative to.
    pub base_dir: PathBuf,
    /// The files it names, resolved: contracts, key sets, certificates, keys. A change to one of
    /// them, or to `path`, is a reason to load again.
    pub files: Vec<PathBuf>,
}

impl Loaded {
    /// A path of the manifest, relative to where it stands.
    #[must_use]
    pub fn resolve(&self, named: &Path) -> PathBuf {
        self.base_dir.join(named)
    }

    /// What `plimsoll up --upstream URL [--openapi FILE]` runs; the contract is relative to
    /// `base_dir`.
    ///
    /// # Errors
    /// Every fault, as [`load`] has them, with the argument as key.
    pub fn for_upstream(
        url: OriginUrl,
        contract: Option<PathBuf>,
        base_dir: &Path,
        overrides: &Overrides,
    ) -> Result<Self, Vec<Fault>> {
        let manifest = Manifest::for_upstream(url, contract);
        let names = Names::of_manifest(&manifest);
        let reading = Reading { manifest, tree: None, names, faults: Vec::new() };
        reading.finish("", None, base_dir, overrides)
    }
}

/// What arguments of the command line put in place of the manifest's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`, instead of `[edge] listen`, when there is one.
    pub listen: Vec<ListenAddr>,
    /// `--ops-listen`, instead of `[ops] listen`.
    pub ops_listen: Option<ListenAddr>,
}

impl Overrides {
    fn apply(&self, manifest: &mut Manifest) {
        if !self.listen.is_empty() {
            manifest.edge.listen.clone_from(&self.listen);
        }
        if let Some(address) = self.ops_listen {
            manifest.ops.listen = address;
        }
    }
}

/// Reads and checks a manifest and the presence of the files it names.
///
/// # Errors
/// Every fault, in the order of the text.
pub fn load(path: impl AsRef<Path>) -> Result<Loaded, Vec<Fault>> {
    load_with(path, &Overrides::default())
}

/// The same, with arguments of the command line in place of the manifest's word.
///
/// # Errors
/// Every fault, in the order of the text.
pub fn load_with(path: impl AsRef<Path>, overrides: &Overrides) -> Result<Loaded, Vec<Fault>> {
    let path = path.as_ref();
    let text = read_file(path).map_err(|fault| vec![*fault])?;
    let base_dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let base_dir = base_dir.unwrap_or(Path::new("."));
    Reading::of(&text).finish(&text, Some(path), base_dir, overrides)
}

/// Reads and checks a manifest from its text; nothing else is read, so that the files it names may
/// be missing. `path` is what faults call the text.
///
/// ```
/// # use std::path::Path;
/// let text = "[edge]\nkeepalive = \"75s\"\n[[service]]\nname = \"shop\"\nurls = [\"http://a\"]";
/// let faults = plimsoll_manifest::parse(text, Path::new("plimsoll.toml")).unwrap_err();
/// assert_eq!(faults[0].line, Some(2));
/// assert_eq!(faults[0].suggestion.as_deref(), Some("keep_alive"));
/// ```
///
/// # Errors
/// Every fault, in the order of the text.
pub fn parse(text: &str, path: &Path) -> Result<Manifest, Vec<Fault>> {
    let reading = Reading::of(text);
    let Reading { manifest, tree, names, mut faults } = reading;
    if let Some(tree) = &tree {
        let overrides = Overrides::default();
        faults.extend(check::check(&manifest, Some(tree), &names, &overrides, None));
    }
    if faults.is_empty() { Ok(manifest) } else { Err(place(faults, text, Some(path))) }
}

/// Where a key such as `journey[0].file` stands in the text of a manifest: line and column, both
/// from 1; as near as the text has it. For faults that show only once other files are read.
#[must_use]
pub fn locate(text: &str, key: &str) -> (usize, usize) {
    let (root, _) = read(text);
    let (mut node, mut at) = (&root, root.span.start);
    for part in key.split('.').filter(|part| !part.is_empty()) {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        let Some(entry) = node.as_table().and_then(|table| table.entry(name)) else { break };
        (node, at) = (&entry.node, entry.node.span.start);
        for index in indices.split(['[', ']']).filter_map(|index| index.parse::<usize>().ok()) {
            let item = node.as_array().and_then(|array| array.items.get(index));
            let Some((_, item)) = item else { break };
            (node, at) = (item, item.span.start);
        }
    }
    Lines::of(text).place(at)
}

fn read_file(path: &Path) -> Result<String, Box<Fault>> {
    let refuse = |why: String| Box::new(Fault::of_file(path, why));
    let cannot = |error: std::io::Error| {
        let fault = refuse(format!("cannot be read: {error}"));
        if error.kind() == std::io::ErrorKind::NotFound {
            return Box::new(fault.expecting("a manifest; `plimsoll init` writes one"));
        }
        fault
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(refuse("larger than 1MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let sound = String::from_utf8_lossy(error.as_bytes().get(..at).unwrap_or_default());
        let (line, column) = Lines::of(&sound).place(at);
        let mut fault = refuse("this is not UTF-8 text".to_owned());
        (fault.line, fault.column) = (Some(line), Some(column));
        fault
    })
}

/// What a text gave: everything sound in it, and the faults of the rest.
struct Reading {
    manifest: Manifest,
    tree: Option<Node>,
    names: Names,
    faults: Vec<RawFault>,
}

impl Reading {
    fn of(text: &str) -> Self {
        let (mut tree, syntax) = read(text);
        let broken =
            syntax.iter().filter(|fault| !is_harmless(fault, text)).map(|f| f.span.start).min();
        let names = Names::of(&tree);
        let mut faults = prune(&mut tree);
        if let Some(broken) = broken {
            // Behind a broken place the text may read as something it was never meant to be, and
            // what seems absent may stand there. Only what stands whole before it is certain.
            faults.retain(|fault| {
                !fault.absence && fault.span.as_ref().is_some_and(|span| span.end < broken)
            });
        }
        let lines = Lines::of(text);
        // A word that was read as a truth value for want of quotes is told of once.
        let words: Vec<usize> =
            syntax.iter().filter(|f| is_bare_word(f, text)).map(|f| f.span.start).collect();
        faults.retain(|f| f.span.as_ref().is_none_or(|span| !words.contains(&span.start)));
        faults.extend(of_syntax(&syntax, text, &lines));
        if broken.is_some() {
            let manifest = Manifest::default();
            return Self { manifest, tree: None, names, faults };
        }
        let manifest = Manifest::deserialize(tree.to_toml()).unwrap_or_else(|error| {
            // The schema and the types are made from the same source; should they ever disagree,
            // the types are right.
            let message = error.message().to_owned();
            faults.push(RawFault::new(Some(tree.span.clone()), "", message));
            Manifest::default()
        });
        Self { manifest, tree: Some(tree), names, faults }
    }

    fn finish(
        self,
        text: &str,
        path: Option<&Path>,
        base_dir: &Path,
        overrides: &Overrides,
    ) -> Result<Loaded, Vec<Fault>> {
        let Self { mut manifest, tree, names, mut faults } = self;
        let as_declared = manifest.clone();
        overrides.apply(&mut manifest);
        // A text that could not be read as a whole says nothing of what is missing in it.
        if tree.is_some() || path.is_none() {
            let tree = tree.as_ref();
            faults.extend(check::check(&manifest, tree, &names, overrides, Some(base_dir)));
        }
        if !faults.is_empty() {
            return Err(place(faults, text, path));
        }
        let hash = hash::of(&as_declared, base_dir).map_err(|fault| vec![*fault])?;
        let files = files::named(&manifest).map(|file| base_dir.join(file.path)).collect();
        let path = path.map(Path::to_path_buf);
        Ok(Loaded { manifest, hash, path, base_dir: base_dir.to_path_buf(), files })
    }
}

/// Whether the reader recovered from a fault without any doubt about the rest.
fn is_harmless(fault: &SyntaxFault, text: &str) -> bool {
    fault.message.starts_with(UNQUOTED)
        || fault.message.starts_with("duplicate key")
        || is_bare_word(fault, text)
}

/// What the reader says of a text without quotes.
const UNQUOTED: &str = "string values must be quoted";

/// Whether a fault is a word without quotes that starts as `true` and `false` do.
fn is_bare_word(fault: &SyntaxFault, text: &str) -> bool {
    let given = text.get(fault.span.clone()).unwrap_or_default();
    fault.message.starts_with("invalid boolean")
        && !given.eq_ignore_ascii_case("true")
        && !given.eq_ignore_ascii_case("false")
}

/// One fault a line: what follows on the same line is usually its consequence.
fn of_syntax(syntax: &[SyntaxFault], text: &str, lines: &Lines<'_>) -> Vec<RawFault> {
    let mut seen = BTreeSet::new();
    let mut sorted: Vec<&SyntaxFault> = syntax.iter().collect();
    sorted.sort_by_key(|fault| fault.span.start);
    let mut faults = Vec::new();
    for fault in sorted {
        if !seen.insert(lines.place(fault.span.start).0) {
            continue;
        }
        let (message, expected) = fault
            .message
            .split_once(", expected ")
            .map_or((fault.message.as_str(), None), |(message, expected)| {
                (message, Some(expected))
            });
        let bare = is_bare_word(fault, text);
        let message = if bare { UNQUOTED } else { message };
        let given = text.get(fault.span.clone()).unwrap_or_default();
        let mut raw = RawFault::new(Some(fault.span.clone()), "", message);
        if message == UNQUOTED && !crate::values::has_credentials(given) {
            let quoted = format!("\"{}\"", crate::values::shown(given));
            raw = raw.expecting("text in quotes").suggesting(Some(quoted));
        } else if let Some(expected) = expected {
            raw = raw.expecting(expected);
        }
        faults.push(raw);
    }
    faults
}

/// Gives every fault its file, line and column, in the order of the text.
fn place(faults: Vec<RawFault>, text: &str, path: Option<&Path>) -> Vec<Fault> {
    let lines = Lines::of(text);
    let argument = Path::new("command line");
    let mut placed: Vec<Fault> = faults
        .into_iter()
        .map(|raw| {
            let of_text = path.filter(|_| !raw.key.starts_with("--"));
            let at = of_text.map(|_| lines.place(raw.span.map_or(0, |span| span.start)));
            Fault {
                file: of_text.unwrap_or(argument).to_path_buf(),
                line: at.map(|(line, _)| line),
                column: at.map(|(_, column)| column),
                key: raw.key,
                message: raw.message,
                expected: raw.expected.filter(|expected| !expected.is_empty()),
                suggestion: raw.suggestion,
            }
        })
        .collect();
    placed.sort();
    placed.dedup();
    if let Some(more) = placed.len().checked_sub(FAULTS_MAX).filter(|more| *more > 0) {
        placed.truncate(FAULTS_MAX);
        let file = path.unwrap_or(argument);
        placed.push(Fault::of_file(file, format!("{more} more faults are not shown")));
    }
    placed
}
