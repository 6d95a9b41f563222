//! `plimsoll keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Say which keys there are and what wraps what; no key is shown
    List(KeysAt),
    /// Wrap the data keys anew, under a new key-encrypting key; what they sealed stays readable
    Rotate(KeysAt),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The keys are in {data-dir}/keys/kek, or where PLIMSOLL_KEK_FILE says. A running Plimsoll goes on with
what it has read; nothing has to be restarted. Where several nodes have the same file, hand the new
one to all of them.

With PLIMSOLL_KEK the environment holds the key-encrypting keys and the file the wrapped ones alone:
put the new one first (`PLIMSOLL_KEK=NEW,OLD`), run `plimsoll keys rotate`, and take the old one away
once `plimsoll keys list` says that it wraps nothing.")]
pub(crate) struct KeysAt {
    /// The data directory [default: as for `plimsoll up`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}
