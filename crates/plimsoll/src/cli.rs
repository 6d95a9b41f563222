//! What can be said on the command line.

mod evidence;
mod journey;
mod keys;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use evidence::{Evidence, EvidenceAdd, EvidenceList};
pub(crate) use journey::{Journey, JourneyCheck, JourneyList, JourneyRun};
pub(crate) use keys::{Keys, KeysAt};

/// Shown below `--help`.
const AFTER_HELP: &str = "\
Exit codes:
  0  done, nothing wrong
  1  failed; the message says what to do
  2  the command line is wrong
  3  the manifest, a contract or the plan has faults; each is listed with file, line and key
  4  a port or the data directory cannot be had
  141  whoever read the output closed it before its end, as `| head` does

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
    /// Say which gates of the 90 days are due, how they stand, and what to do next
    Ready(Ready),
    /// List the nodes, what they run and which epoch they have applied
    Nodes(Running),
    /// Take back a token, or everything that was issued to somebody until now
    Revoke(Revoke),
    /// Write and check the documents of the 90 days
    #[command(subcommand)]
    Plan(Plan),
    /// Read, check and export the ledger
    #[command(subcommand)]
    Ledger(Ledger),
    /// Reports of other tools, as evidence that readiness is judged by
    #[command(subcommand)]
    Evidence(Evidence),
    /// The keys that seal what only Plimsoll may read
    #[command(subcommand)]
    Keys(Keys),
    /// Run what a person must always be able to do, as sequences of requests
    #[command(subcommand)]
    Journey(Journey),
    /// Databases for your own programs, on the private server
    #[command(subcommand)]
    Database(Database),
    /// Write Plimsoll's data to one file
    Backup(Backup),
    /// Put the data of a backup back
    Restore(Restore),
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

/// Which running Plimsoll is asked, and how the answer is written.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// The data directory of the running Plimsoll [default: as for `plimsoll up`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes, for CI:
  0  no gate that is due is red
  1  at least one is, and the last line says how many; or nobody could be asked

A gate is due at the end of its last week. It holds while fresh evidence answers it: green, or amber
when the evidence soon expires or could be better. The same as pages: http://127.0.0.1:8081/board

  plimsoll ready --week 4 --output json")]
pub(crate) struct Ready {
    /// Gates due by the end of this week [default: the week the plan is in; all gates where it is
    /// in none]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=13))]
    pub(crate) week: Option<u8>,
    /// Only gates of this area
    #[arg(long, value_name = "AREA", value_parser = ["scope", "architecture", "delivery",
          "hardening", "security", "performance", "launch", "people"])]
    pub(crate) area: Option<String>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
#[command(
    after_help = "\
Every edge obeys within a second of this command's answer. A revocation cannot be taken back; tokens
issued after it are good. It leaves an entry in the ledger (`token.revoke`).

  plimsoll revoke --sub alice --reason 'phone stolen'",
    group = clap::ArgGroup::new("what").required(true).args(["sub", "jti"])
)]
pub(crate) struct Revoke {
    /// Whose tokens: the claim `sub`
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) sub: Option<String>,
    /// Which one token: the claim `jti`
    #[arg(long, value_name = "ID")]
    pub(crate) jti: Option<String>,
    /// Only tokens of this issuer [default: of every one]
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
    /// Why; kept encrypted in the ledger
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// How long it is kept: as long as your longest-lived access token, an hour to 400 days
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub(crate) keep: String,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plan {
    /// Write a folder of documents to fill in: one for each thing that the 90 days ask of people
    Init(PlanInit),
    /// Check every document of the plan; every fault at once
    Check(PlanCheck),
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is there is never overwritten; run again, it writes what is missing.

  plimsoll plan init --start 2026-11-30")]
pub(crate) struct PlanInit {
    /// The first day of the plan, such as 2026-11-30
    #[arg(long, value_name = "DATE")]
    pub(crate) start: plimsoll_plan::Date,
    /// The folder to write
    #[arg(long, value_name = "DIR", default_value = "plan")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Owners, days, states, links, tables, the limits of one and two pages, and that every addition to the
scope names what was removed for it. Exit code 3 where something is wrong.")]
pub(crate) struct PlanCheck {
    /// The folder of the plan
    #[arg(long, value_name = "DIR", default_value = "plan")]
    pub(crate) dir: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// The newest entries, oldest of them first
    Tail(Tail),
    /// Check every entry, the chain and the signed checkpoints; exit code 1 names what differs
    Verify(Verify),
    /// Write the sealed entries with their proofs, as lines of JSON
    Export(Export),
    /// Accept, with your reason, that the ledger differs from its checkpoints, so that it is signed
    /// again: after a backup was restored on purpose
    Accept(Accept),
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only this action, such as `token.revoke`
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only by this actor, by name, such as `local:1000`
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only on this subject
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
    /// Only with this outcome
    #[arg(long, value_parser = ["ok", "refused", "failed", "unknown"])]
    pub(crate) outcome: Option<String>,
    /// Only entries before this one
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<String>,
    /// How many, 500 at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// An export, to check without a database
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A public key whose checkpoints are believed, in hexadecimal, such as another node's; may be
    /// given more than once. Without --file this node's key and those in {data-dir}/keys/former are
    /// believed, too
    #[arg(long, value_name = "HEX")]
    pub(crate) key: Vec<String>,
    /// A folder with further checkpoints, such as another node's or those from before the signing
    /// key was replaced; may be given more than once
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub(crate) checkpoints: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Run `plimsoll ledger verify` first, and be sure that what it says is your own doing. This signs a
record of its own beside the checkpoints: `verify` lists what differs as accepted from then on, with
your reason, and never forgets it. It leaves an entry in the ledger (`operator.act`). Where nothing
differs, or another node seals, nothing is done.

  plimsoll ledger accept --reason 'restored the backup of last night after the disk failed'")]
pub(crate) struct Accept {
    /// Why, in at most 512 bytes; it stands in clear in the signed record, so name nobody
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to write; never over a file that is there [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// From this position in the chain on
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    pub(crate) from: u64,
    /// To this position [default: the last]
    #[arg(long, value_name = "POSITION")]
    pub(crate) to: Option<u64>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Database {
    /// Make a database and a role of that name on the private server of a running Plimsoll, and
    /// print its URL; what is there already is kept
    Create(Create),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The role owns the database; no other but a superuser may connect to it. The URL works for programs
that run as the same user as Plimsoll. A second time it prints the same URL and changes nothing.

  DATABASE_URL=$(plimsoll database create shop) ./your-backend

`plimsoll backup` does not copy it: pg_dump with the URL does.")]
pub(crate) struct Create {
    /// The name: a-z, 0-9 and _, a letter first, at most 63 of them
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file is a tar archive: manifest.json with the SHA-256 of each part, the dump of Plimsoll's
schemas, and the ledger's checkpoints. It is written whole or not at all, never over another, while
Plimsoll runs or not. Not in it: the keys in {data-dir}/keys (whoever has both can read what is
sealed) and databases of your own. With DATABASE_URL that database is copied.

  plimsoll backup /backups/          writes /backups/plimsoll-20261122T120000Z.tar")]
pub(crate) struct Backup {
    /// The file to write, or a folder in which it gets a name with the time
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The data directory [default: as for `plimsoll up`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Stop every `plimsoll up` on that database first. Every part is checked before anything is changed;
the database is restored in one transaction, then migrated to what this Plimsoll knows. Put the keys
in {data-dir}/keys back before `plimsoll up`. With DATABASE_URL that database is restored, else the
private one in the data directory, which is made when it is not there.

  plimsoll restore /backups/plimsoll-20261122T120000Z.tar --data-dir /var/lib/plimsoll")]
pub(crate) struct Restore {
    /// The file that `plimsoll backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Drop what is there first; the ledger's checkpoints are kept under another name
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only show that it can be restored: into a database that is made for it and removed again,
    /// while Plimsoll runs; the ledger in it is verified, and the readiness gate hears of it
    #[arg(long, conflicts_with = "replace")]
    pub(crate) rehearse: bool,
    /// The data directory [default: as for `plimsoll up`]
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
