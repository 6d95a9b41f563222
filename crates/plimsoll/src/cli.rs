//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Shown below `--help`.
const AFTER_HELP: &str = "\
Exit codes:
  0  done, nothing wrong
  1  failed; the message says what to do
  2  the command line is wrong
  3  the manifest or a contract has faults; each is listed with file, line and key
  4  a port or the data directory cannot be had

Start here:
  plimsoll up --upstream http://127.0.0.1:3000
      put the edge in front of a backend that already runs, with no manifest
  plimsoll init --openapi openapi.json --upstream http://127.0.0.1:3000
      write a commented plimsoll.toml from your API's OpenAPI document
  plimsoll up --manifest plimsoll.toml
      run with it; the file is watched, a faulty change is refused and the old one goes on";

/// One binary in front of a mobile app's backend: it carries the traffic, it carries the change,
/// and it says from evidence how ready the service is.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the edge in front of a backend
    Up(Up),
    /// Write a commented manifest from an OpenAPI document
    Init(Init),
    /// Check a manifest and the contracts it names; every fault at once
    Check(Check),
    /// Print the JSON Schema of the manifest
    Schema,
    /// Look at this machine and a manifest, and say what would go wrong
    Doctor(Doctor),
    /// Aids for development, refused where clients can reach the edge
    #[command(subcommand)]
    Dev(Dev),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For scripts: one JSON document
    Json,
}

/// Which parts of Plimsoll run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The edge and the console
    All,
    /// The edge, with health and metrics but no console
    Edge,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --manifest and --upstream, ./plimsoll.toml is used if it is there.

Signals: SIGHUP reads the manifest again. SIGTERM drains: no new connection, what is under way
finishes, idle connections get a moment to ask once more. SIGINT (Ctrl-C) drains without that
moment. A second signal stops at once.

Sockets can be handed over by a supervisor (LISTEN_FDS, as systemd does): first the edge's
listeners in the manifest's order, then the ops listener if there is one more.")]
pub(crate) struct Up {
    /// The manifest
    #[arg(long, value_name = "FILE", conflicts_with_all = ["upstream", "openapi"])]
    pub(crate) manifest: Option<PathBuf>,
    /// Run with no manifest, in front of the backend at this URL
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// The backend's OpenAPI document (3.0, 3.1 or Swagger 2.0; JSON or YAML)
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub(crate) openapi: Option<PathBuf>,
    /// Where keys, locks and state are kept [default: /var/lib/plimsoll as root, else the user's
    /// data home]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where clients connect; may be given more than once; goes before the manifest
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Where the console, metrics and health are served; goes before the manifest
    #[arg(long, value_name = "ADDR")]
    pub(crate) ops_listen: Option<SocketAddr>,
    /// Which parts run in this process
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub(crate) role: Role,
}

#[derive(Debug, Args)]
#[command(after_help = "An existing file is never overwritten.")]
pub(crate) struct Init {
    /// The backend's OpenAPI document (3.0, 3.1 or Swagger 2.0; JSON or YAML)
    #[arg(long, value_name = "FILE")]
    pub(crate) openapi: PathBuf,
    /// Where the backend listens [default: the first server of the document, if it is a full URL,
    /// else http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "plimsoll.toml")]
    pub(crate) manifest: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The manifest
    #[arg(value_name = "FILE", default_value = "plimsoll.toml")]
    pub(crate) manifest: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The manifest to look at, if there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Where keys, locks and state are kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dev {
    /// Print an access token of the development issuer, whose key pair is made in the data
    /// directory on first use
    Token(Token),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, with a manifest that names the development issuer:
  curl -H \"Authorization: Bearer $(plimsoll dev token --sub alice --scope orders:write)\" \\
      http://127.0.0.1:8080/orders")]
pub(crate) struct Token {
    /// Whom the token is for
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) sub: String,
    /// A scope; may be given more than once, or several at once with spaces between
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<String>,
    /// The audience; may be given more than once
    #[arg(long, value_name = "AUDIENCE", default_value = "plimsoll-dev")]
    pub(crate) audience: Vec<String>,
    /// The tenant, put into the claim `tenant`
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) ttl: String,
    /// Where the key pair is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}
