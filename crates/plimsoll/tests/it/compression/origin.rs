//! An origin that answers with the very bytes a test wants, and notes what it was asked.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crate::bodies::tools::{HandOrigin, read_head};

/// See the module's page. The closure gets a request's head and gives the whole answer.
pub(crate) struct TextOrigin {
    origin: HandOrigin,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TextOrigin {
    pub(crate) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        let origin = HandOrigin::start(move |mut stream| {
            loop {
                let (head, _) = read_head(&mut stream);
                if head.is_empty() {
                    return;
                }
                let bytes = answer(&head);
                noted.lock().unwrap().push(head);
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Self { origin, heads }
    }

    /// The same answer to everything: a status line, fields and a body with its length.
    pub(crate) fn always(status: &'static str, fields: &'static str, body: String) -> Self {
        Self::start(move |head| answer(head, status, fields, body.as_bytes()))
    }

    pub(crate) fn url(&self) -> String {
        self.origin.url()
    }

    /// The value of a field of the last request.
    pub(crate) fn last(&self, field: &str) -> Option<String> {
        let heads = self.heads.lock().unwrap();
        let head = heads.last().unwrap();
        let named = |line: &&str| {
            line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case(field))
        };
        let line = head.lines().find(named)?;
        Some(line[field.len() + 1..].trim().to_owned())
    }
}

/// An answer with its length; to HEAD its head.
pub(crate) fn answer(head: &str, status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n").into_bytes();
    if !head.starts_with("HEAD") {
        bytes.extend_from_slice(body);
    }
    bytes
}
