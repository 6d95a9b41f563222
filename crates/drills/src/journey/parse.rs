//! From a file to a journey, or to its faults.

mod entry;
mod expectation;
mod json;
mod options;
mod text;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use plimsoll_manifest::Fault;

use super::model::Journey;
use super::scan::Scanner;
use super::value::is_name;
use super::{FAULTS_MAX, FILE_BYTES_MAX, STEPS_MAX};

/// Reads a file.
///
/// # Errors
/// Every fault: a file that cannot be read, or what is wrong with its text, with line and column.
pub fn read(path: &Path) -> Result<Journey, Vec<Fault>> {
    let refused = |why: String| vec![Fault::of_file(path, why)];
    let file = File::open(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let most = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let taken = file.take(most).read_to_end(&mut bytes);
    taken.map_err(|error| refused(format!("cannot be read: {error}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| refused("this is not UTF-8 text".to_owned()))?;
    parse(&text, path)
}

/// Reads a text; `path` is what faults call it.
///
/// ```
/// # use std::path::Path;
/// use plimsoll_drills::journey::parse;
///
/// let journey = parse("GET {{base}}/feed\nHTTP 200\n", Path::new("feed.hurl")).unwrap();
/// assert_eq!(journey.steps.len(), 1);
/// let faults = parse("GET {{base}}/feed\nHTTP ok\n", Path::new("feed.hurl")).unwrap_err();
/// assert_eq!((faults[0].line, faults[0].column), (Some(2), Some(6)));
/// ```
///
/// # Errors
/// Every fault, in the order of the text; after one, reading goes on with the next request.
pub fn parse(text: &str, path: &Path) -> Result<Journey, Vec<Fault>> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("larger than {} KiB", FILE_BYTES_MAX / 1024);
        return Err(vec![Fault::of_file(path, message)]);
    }
    let mut scan = Scanner::new(text);
    let (mut steps, mut faults) = (Vec::new(), Vec::new());
    loop {
        scan.blank_lines();
        if scan.ended() || faults.len() >= FAULTS_MAX {
            break;
        }
        match entry::step(&mut scan) {
            Ok(step) => steps.push(step),
            Err(wrong) => {
                faults.push(wrong.in_file(path));
                scan.skip_line();
                entry::skip_to_request(&mut scan);
            }
        }
        if steps.len() > STEPS_MAX {
            faults.push(Fault::of_file(path, format!("more than {STEPS_MAX} requests")));
            break;
        }
    }
    if steps.is_empty() && faults.is_empty() {
        let fault = Fault::of_file(path, "there is no request in it");
        faults.push(fault.expecting("a request such as `GET {{base}}/feed`"));
    }
    if faults.is_empty() { Ok(Journey { steps, names: names(text) }) } else { Err(faults) }
}

/// What stands between `{{` and `}}` and is a name. Comments are searched, too: a name too many
/// costs a look for a variable that nobody set.
fn names(text: &str) -> BTreeSet<String> {
    let opened = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    opened.map(str::trim).filter(|name| is_name(name)).map(str::to_owned).collect()
}
