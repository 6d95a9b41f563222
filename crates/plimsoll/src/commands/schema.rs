//! `plimsoll schema`.

use std::io::{self, Write as _};

use crate::exit::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    let mut text =
        serde_json::to_vec_pretty(&plimsoll_manifest::json_schema()).map_err(Failure::failed)?;
    text.push(b'\n');
    io::stdout().write_all(&text).map_err(Failure::unwritten)
}
