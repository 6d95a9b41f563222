//! The corpus's file format, read strictly: a case that is written wrong must not pass as right.

use super::notation;

/// What must become of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Answered with this status as a problem, and the connection closed. Nothing at the origin.
    Refused(u16),
    /// Answered with this status as a problem; the connection goes on.
    RefusedKept(u16),
    /// One of the two: it depends on how much of the body had arrived.
    RefusedEither(u16),
    /// Reaches the origin once, in canonical form; the connection goes on.
    Forwarded(u16),
    /// Reaches the origin once, in canonical form; the connection closes after the answer.
    ForwardedClosed(u16),
    /// Reaches the origin once, in canonical form; what follows is eaten and never runs.
    ForwardedSwallows(u16),
    /// May reach the origin, but never as a complete request; refused or closed without an answer.
    Cut,
    /// Over HTTP/2: the stream is reset or the connection closed (RFC 9113 §8.1.1).
    Reset,
    /// A hostile answer: the client gets this status and exactly the body said, nothing more.
    Answered(u16),
    /// A hostile answer that breaks off: the client sees that it is not whole.
    Broken,
}

/// What a case is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request in raw bytes.
    Request,
    /// An origin's answer in raw bytes.
    Answer,
    /// A request as HTTP/2 fields.
    Http2,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Line of its name in the file.
    pub(crate) line: usize,
    pub(crate) expect: Expect,
    /// What the origin must have seen, or must not have seen.
    pub(crate) checks: Vec<Check>,
    /// Raw bytes; a pause stands between two pieces.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// The origin's raw answer.
    pub(crate) answer: Option<Vec<u8>>,
    /// HTTP/2 fields, in order.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// HTTP/2 body and trailers.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A thing to see in the forwarded request, or in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The origin read this many body bytes (for a hostile answer: the client did).
    Body(u64),
    /// The origin saw this request target.
    Target(String),
    /// The origin saw this method.
    Method(String),
    /// The origin saw this field, once, with this value.
    Has(String, String),
    /// The origin saw no such field.
    Lacks(String),
}

impl Case {
    pub(crate) fn kind(&self) -> Kind {
        if self.answer.is_some() {
            Kind::Answer
        } else if self.fields.is_empty() {
            Kind::Request
        } else {
            Kind::Http2
        }
    }

    /// The method that the case's bytes begin with, which decides whether its answer has a body.
    pub(crate) fn method(&self) -> &str {
        let first = self.pieces.first().map_or(&b""[..], Vec::as_slice);
        let end = first.iter().position(|b| *b == b' ').unwrap_or(0);
        std::str::from_utf8(&first[..end]).unwrap_or("GET")
    }
}

/// Reads a file of the corpus.
///
/// # Errors
/// Line and fault of the first thing that is not understood.
pub(crate) fn read(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open: Option<Draft> = None;
    for (index, line) in text.lines().enumerate() {
        let at = |fault: String| format!("{}: {fault}", index + 1);
        if let Some(name) = line.strip_prefix("=== ") {
            if let Some(draft) = open.replace(Draft::new(name, index + 1)) {
                cases.push(draft.finish()?);
            }
        } else if let Some(draft) = &mut open {
            draft.line(line).map_err(at)?;
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(at("text before the first case".into()));
        }
    }
    if let Some(draft) = open {
        cases.push(draft.finish()?);
    }
    Ok(cases)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Meta,
    Request,
    Answer,
    Fields,
    Data,
    Trailers,
}

struct Draft {
    case: Case,
    expect: Option<Expect>,
    why: bool,
    section: Section,
}

impl Draft {
    fn new(name: &str, line: usize) -> Self {
        let case = Case {
            name: name.to_owned(),
            line,
            expect: Expect::Cut,
            checks: Vec::new(),
            pieces: Vec::new(),
            answer: None,
            fields: Vec::new(),
            data: None,
            trailers: Vec::new(),
        };
        Self { case, expect: None, why: false, section: Section::Meta }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        match line {
            "" => return Ok(()),
            "--- request" | "--- then" => {
                self.section = Section::Request;
                self.case.pieces.push(Vec::new());
                return Ok(());
            }
            "--- answer" => {
                self.section = Section::Answer;
                self.case.answer = Some(Vec::new());
                return Ok(());
            }
            "--- fields" => return self.enter(Section::Fields),
            "--- trailers" => return self.enter(Section::Trailers),
            "--- data" => {
                self.case.data = Some(Vec::new());
                return self.enter(Section::Data);
            }
            other if other.starts_with("---") => return Err(format!("unknown section {other}")),
            _ => {}
        }
        match self.section {
            Section::Meta => self.meta(line),
            Section::Request => append(self.case.pieces.last_mut(), line),
            Section::Answer => append(self.case.answer.as_mut(), line),
            Section::Data => append(self.case.data.as_mut(), line),
            Section::Fields => field(&mut self.case.fields, line),
            Section::Trailers => field(&mut self.case.trailers, line),
        }
    }

    fn enter(&mut self, section: Section) -> Result<(), String> {
        self.section = section;
        Ok(())
    }

    fn meta(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once(": ").ok_or_else(|| format!("no key in {line:?}"))?;
        let check = match key {
            "why" => {
                self.why = true;
                return Ok(());
            }
            "expect" => {
                self.expect = Some(expect(value)?);
                return Ok(());
            }
            "body" => Check::Body(value.parse().map_err(|e| format!("{value:?}: {e}"))?),
            "target" => Check::Target(value.to_owned()),
            "method" => Check::Method(value.to_owned()),
            "lacks" => Check::Lacks(value.to_owned()),
            "has" => {
                let (name, value) = value.split_once(": ").ok_or("has: NAME: VALUE")?;
                Check::Has(name.to_owned(), value.to_owned())
            }
            other => return Err(format!("unknown key {other:?}")),
        };
        self.case.checks.push(check);
        Ok(())
    }

    fn finish(mut self) -> Result<Case, String> {
        let at = |fault: &str| format!("{}: {}: {fault}", self.case.line, self.case.name);
        self.case.expect = self.expect.ok_or_else(|| at("no `expect`"))?;
        if !self.why {
            return Err(at("no `why`"));
        }
        if self.case.pieces.is_empty() && self.case.fields.is_empty() {
            return Err(at("no `--- request` and no `--- fields`"));
        }
        Ok(self.case)
    }
}

fn append(to: Option<&mut Vec<u8>>, line: &str) -> Result<(), String> {
    to.ok_or("bytes outside a section")?.extend(notation::bytes(line)?);
    Ok(())
}

/// `name: value`; a pseudo-field begins with its own colon.
fn field(to: &mut Vec<(Vec<u8>, Vec<u8>)>, line: &str) -> Result<(), String> {
    let at = line.char_indices().skip(1).find(|(at, _)| line[*at..].starts_with(": "));
    let (at, _) = at.ok_or_else(|| format!("no field in {line:?}"))?;
    to.push((notation::bytes(&line[..at])?, notation::bytes(&line[at + 2..])?));
    Ok(())
}

fn expect(text: &str) -> Result<Expect, String> {
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or("");
    let status = words.next().map(str::parse::<u16>).transpose().map_err(|e| e.to_string())?;
    let then = words.next();
    Ok(match (kind, status, then) {
        ("refused", Some(status), None) => Expect::Refused(status),
        ("refused", Some(status), Some("kept")) => Expect::RefusedKept(status),
        ("refused", Some(status), Some("either")) => Expect::RefusedEither(status),
        ("forwarded", Some(status), Some("swallows")) => Expect::ForwardedSwallows(status),
        ("forwarded", Some(status), None) => Expect::Forwarded(status),
        ("forwarded", Some(status), Some("closed")) => Expect::ForwardedClosed(status),
        ("answered", Some(status), None) => Expect::Answered(status),
        ("cut", None, None) => Expect::Cut,
        ("reset", None, None) => Expect::Reset,
        ("broken", None, None) => Expect::Broken,
        _ => return Err(format!("unknown expectation {text:?}")),
    })
}

#[test]
fn a_case_reads() {
    let text = "# A family.\n\n=== one\nwhy: because\nexpect: forwarded 200 closed\nbody: 5\n\
                has: x-a: b: c\n--- request\nGET / HTTP/1.1\\r\\n\n folded\n--- then\nx\n\
                === two\nwhy: because\nexpect: reset\n--- fields\n:path: /\\x20\nx: : y\n";
    let cases = read(text).unwrap();
    assert_eq!(cases.len(), 2);
    assert_eq!((cases[0].line, cases[0].kind()), (3, Kind::Request));
    assert_eq!(cases[0].expect, Expect::ForwardedClosed(200));
    assert_eq!(cases[0].checks[1], Check::Has("x-a".into(), "b: c".into()));
    assert_eq!(cases[0].pieces, [b"GET / HTTP/1.1\r\n folded".to_vec(), b"x".to_vec()]);
    assert_eq!(cases[1].kind(), Kind::Http2);
    assert_eq!(cases[1].fields[0], (b":path".to_vec(), b"/ ".to_vec()));
    assert_eq!(cases[1].fields[1], (b"x".to_vec(), b": y".to_vec()));
}

#[test]
fn a_case_that_is_written_wrong_is_no_case() {
    let right = "=== a\nwhy: b\nexpect: refused 400\n--- request\nGET\n";
    assert!(read(right).is_ok());
    for (from, to) in [
        ("why: b\n", ""),
        ("expect: refused 400\n", ""),
        ("refused 400", "refused"),
        ("refused 400", "refused 400 open"),
        ("--- request", "--- reqeust"),
        ("why", "because"),
        ("GET", "\\q"),
        ("--- request\nGET\n", ""),
        ("=== a", "a"),
    ] {
        assert!(read(&right.replace(from, to)).is_err(), "{from:?} to {to:?}");
    }
}
