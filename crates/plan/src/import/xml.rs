//! XML, as much as a report of tests needs: elements and their attributes. A document type and
//! entities of its own are refused, so nothing can grow while it is read, and nothing is fetched.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use crate::import::error::ImportError;
use crate::import::text::{place, shown};
use crate::import::{REPORT_DEPTH_MAX, REPORT_ELEMENTS_MAX};

/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 64;
/// The entities that XML has without a document type.
const ENTITIES: [&str; 5] = ["amp", "lt", "gt", "quot", "apos"];

/// What is met on the way through a document.
pub(super) enum Node<'a> {
    /// An element begins.
    Open {
        /// Its name.
        name: &'a str,
        /// Its attributes as they are written, references not replaced.
        attributes: &'a [(&'a str, Cow<'a, str>)],
    },
    /// The element that began last ends.
    Close,
}

/// Goes through a document; `take` says what is wrong with what it is given.
pub(super) fn read(
    text: &str,
    mut take: impl FnMut(Node<'_>) -> Result<(), String>,
) -> Result<(), ImportError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut walk = Walk::default();
    loop {
        let offset = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let wrong =
            |offset: usize, says: String| ImportError::At { place: place(text, offset), says };
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                let offset = usize::try_from(reader.error_position()).unwrap_or(offset);
                return Err(wrong(offset, shown(&format!("this is no XML: {error}"))));
            }
        };
        match walk.event(&event, &mut take) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(says) => return Err(wrong(offset, says)),
        }
    }
}

#[derive(Default)]
struct Walk {
    depth: usize,
    elements: usize,
}

impl Walk {
    /// Whether there is more to come.
    fn event(
        &mut self,
        event: &Event<'_>,
        take: &mut impl FnMut(Node<'_>) -> Result<(), String>,
    ) -> Result<bool, String> {
        match event {
            Event::Start(element) | Event::Empty(element) => self.open(element, take)?,
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                take(Node::Close)?;
            }
            Event::Text(text) if self.depth == 0 && !text.trim().is_empty() => {
                return Err("there is text outside of the one element".to_owned());
            }
            Event::CData(_) | Event::GeneralRef(_) if self.depth == 0 => {
                return Err("there is text outside of the one element".to_owned());
            }
            Event::GeneralRef(name) => known(name)?,
            Event::DocType(_) => {
                let says = "a document type is not read: entities of its own could make a small \
                            file endless; leave out <!DOCTYPE …>";
                return Err(says.to_owned());
            }
            Event::Decl(declaration) => utf8(declaration)?,
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if self.depth > 0 => {
                return Err("the report breaks off here: an element has no end".to_owned());
            }
            Event::Eof if self.elements == 0 => return Err("there is no element".to_owned()),
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn open(
        &mut self,
        element: &BytesStart<'_>,
        take: &mut impl FnMut(Node<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.depth == 0 && self.elements > 0 {
            return Err("there is a second element on top".to_owned());
        }
        self.depth += 1;
        self.elements += 1;
        if self.depth > REPORT_DEPTH_MAX {
            return Err(format!("more than {REPORT_DEPTH_MAX} elements inside each other"));
        }
        if self.elements > REPORT_ELEMENTS_MAX {
            return Err(format!("more than {REPORT_ELEMENTS_MAX} elements"));
        }
        let attributes = attributes(element)?;
        take(Node::Open { name: element.name().into_inner(), attributes: &attributes })
    }
}

/// Each once, and not without end: to compare each with each takes time.
fn attributes<'a>(element: &'a BytesStart<'_>) -> Result<Vec<(&'a str, Cow<'a, str>)>, String> {
    let mut found: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| format!("an attribute is wrong: {error}"))?;
        let name = attribute.key.into_inner();
        if found.len() >= ATTRIBUTES_MAX {
            return Err(format!("an element has more than {ATTRIBUTES_MAX} attributes"));
        }
        if found.iter().any(|(known, _)| *known == name) {
            return Err(format!("the attribute `{}` stands there twice", shown(name)));
        }
        references(&attribute.value)?;
        found.push((name, attribute.value));
    }
    Ok(found)
}

/// Whether every `&…;` of a value is one that XML knows.
fn references(value: &str) -> Result<(), String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('&') {
        let (name, behind) =
            after.split_once(';').ok_or_else(|| "an `&` stands alone: write `&amp;`".to_owned())?;
        known(name)?;
        rest = behind;
    }
    Ok(())
}

fn known(name: &str) -> Result<(), String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_hexdigit());
    let is = match name.strip_prefix('#') {
        Some(number) => digits(number.strip_prefix('x').unwrap_or(number)),
        None => ENTITIES.contains(&name),
    };
    if is {
        return Ok(());
    }
    Err(format!("the entity `&{};` is not known: XML has {}", shown(name), ENTITIES.join(", ")))
}

/// What is read is UTF-8; a declaration that says something else is wrong about it.
fn utf8(declaration: &BytesDecl<'_>) -> Result<(), String> {
    let Some(encoding) = declaration.encoding() else { return Ok(()) };
    let encoding = encoding.map_err(|error| format!("the declaration is wrong: {error}"))?;
    let fits = ["utf-8", "utf8", "us-ascii", "ascii"];
    if fits.iter().any(|one| encoding.eq_ignore_ascii_case(one)) {
        return Ok(());
    }
    Err(format!("the encoding is `{}`; a report has to be UTF-8", shown(&encoding)))
}
