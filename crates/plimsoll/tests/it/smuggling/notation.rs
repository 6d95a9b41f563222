//! Bytes as text: every byte of a message is visible in the corpus.

/// The bytes that a line of the corpus stands for: `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`, and
/// `\{N:text}` for `text` N times. The line's own end in the file is no byte.
///
/// # Errors
/// What is wrong with the first escape that is.
pub(crate) fn bytes(line: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// One escape, without its backslash; what follows it.
fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let kind = rest.chars().next().ok_or("a backslash at the end of the line")?;
    let tail = &rest[kind.len_utf8()..];
    match kind {
        'r' => out.push(b'\r'),
        'n' => out.push(b'\n'),
        't' => out.push(b'\t'),
        '0' => out.push(0),
        '\\' => out.push(b'\\'),
        'x' => {
            let hex = tail.get(..2).ok_or("\\x without two digits")?;
            out.push(u8::from_str_radix(hex, 16).map_err(|e| format!("\\x{hex}: {e}"))?);
            return Ok(&tail[2..]);
        }
        '{' => {
            let (inside, tail) = tail.split_once('}').ok_or("\\{ without }")?;
            let (count, text) = inside.split_once(':').ok_or("\\{N:text} without a colon")?;
            let count: usize = count.parse().map_err(|e| format!("{count:?}: {e}"))?;
            out.extend(bytes(text)?.repeat(count));
            return Ok(tail);
        }
        other => return Err(format!("unknown escape \\{other}")),
    }
    Ok(tail)
}

/// Bytes as text again, for messages: at most 300 characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text: String =
        bytes.iter().take(300).flat_map(|b| b.escape_ascii()).map(char::from).collect();
    if bytes.len() > 300 { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}

#[test]
fn every_escape_is_one_reading() {
    assert_eq!(bytes(r"a\r\n\t\0\\\x7fé").unwrap(), "a\r\n\t\0\\\x7fé".as_bytes());
    assert_eq!(bytes(r"x\{3:a\r}y").unwrap(), b"xa\ra\ra\ry");
    for bad in [r"a\", r"\x1", r"\xzz", r"\{3:a", r"\{a}", r"\q"] {
        assert!(bytes(bad).is_err(), "{bad}");
    }
}
