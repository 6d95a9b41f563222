//! Whether a server accepts connections: the first message of the protocol, and the first byte of
//! its answer. What `pg_isready` does, without the program.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::connect::SUPERUSER_ROLE;

/// How long a server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const PROTOCOL_3_0: i32 = 196_608;

/// Whether the server behind that socket lets a session begin.
pub(crate) fn accepts(socket: &Path) -> bool {
    first_byte(socket).is_ok_and(|byte| byte == b'R')
}

fn first_byte(socket: &Path) -> std::io::Result<u8> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&startup_message())?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    // Terminate, so that the server's log has no broken connection.
    if answer[0] == b'R' {
        stream.write_all(&[b'X', 0, 0, 0, 4])?;
    }
    Ok(answer[0])
}

fn startup_message() -> Vec<u8> {
    let body = format!("user\0{SUPERUSER_ROLE}\0database\0template1\0\0");
    let length = i32::try_from(body.len() + 8).unwrap_or(i32::MAX);
    let mut message = Vec::with_capacity(body.len() + 8);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&PROTOCOL_3_0.to_be_bytes());
    message.extend_from_slice(body.as_bytes());
    message
}
