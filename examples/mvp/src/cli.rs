//! The command line.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use http::Request;
use mvp::client::{Connection, LocalUrl};
use mvp::otlp;
use mvp::serve::{self, Options};
use mvp::switches::{FEED, Switch};
use mvp::traffic::{self, Ended};
use tokio::signal::unix::{SignalKind, signal};

/// What the simulator's exit code is when the edge went away.
const EDGE_GONE_EXIT: u8 = 3;
/// The largest token file. Unit: bytes.
const TOKEN_FILE_BYTES_MAX: u64 = 1 << 20;
/// What `mvp serve` says when nobody told it where its data is.
const NO_DATABASE: &str = "no database: say where it is with --database-url URL or DATABASE_URL, \
     such as postgresql://mvp@localhost/mvp. Any Postgres will do; beside a running Plimsoll, \
     `plimsoll database create mvp` makes one and prints its URL";

/// The example backend of Plimsoll, and a simulator of its apps.
///
/// It stands for the backend that your team already has: nothing in it knows of the edge.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the backend.
    ///
    /// It keeps its data in a Postgres database of its own, makes its tables there at the start,
    /// and sends OpenTelemetry spans where --otlp says. Exit code 70: a `crash` switch was on.
    Serve(ServeArgs),
    /// Break an operation of the running backend on purpose.
    ///
    /// Examples: mvp break createOrder --status 503 --share 0.5; mvp break getFeed --n-plus-one
    Break(BreakArgs),
    /// Mend one operation, or all of them.
    ///
    /// The feed's N+1 is no switch that somebody set: it is there from the beginning, and only
    /// `mvp mend getFeed --n-plus-one` mends it.
    Mend(MendArgs),
    /// Simulate iOS and Android apps that use the backend through the edge.
    ///
    /// Bounded in rate and time, on this machine alone; it stops by itself. Exit code 3: the edge
    /// was gone for 30 s.
    Traffic(TrafficArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Its database, such as postgresql://mvp@localhost/mvp; with a socket
    /// postgresql://mvp@localhost/mvp?host=/its/folder.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Who takes its OpenTelemetry spans, on this machine (OTLP over HTTP); nobody when it is left
    /// out.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp: Option<otlp::Url>,
    /// Where the API listens; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where the switches listen, on loopback; without it there are no switches.
    #[arg(long)]
    switches_listen: Option<SocketAddr>,
    /// How long a typical answer takes beside what its database takes, such as 12ms.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    pace: Duration,
}

#[derive(Debug, Args)]
struct SwitchesUrl {
    /// Where the switches of the backend listen.
    #[arg(long, default_value = "http://127.0.0.1:8091")]
    switches: LocalUrl,
}

#[derive(Debug, Args)]
struct BreakArgs {
    /// The operation, by its operationId in openapi.json.
    operation: String,
    /// Answer with this status, 400 to 599.
    #[arg(long)]
    status: Option<u16>,
    /// The share of requests that fail, from 0 to 1.
    #[arg(long)]
    share: Option<f64>,
    /// Wait this long before each answer, such as 800ms.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    latency: Duration,
    /// Take the whole backend down with the next request.
    #[arg(long)]
    crash: bool,
    /// Ask the database once for each post of the feed, as it did from the beginning (getFeed).
    #[arg(long)]
    n_plus_one: bool,
    #[command(flatten)]
    switches: SwitchesUrl,
}

#[derive(Debug, Args)]
struct MendArgs {
    /// The operation; all of them when it is left out.
    operation: Option<String>,
    /// Ask the database once for the whole page (getFeed); `mvp break getFeed --n-plus-one` takes
    /// that back.
    #[arg(long, requires = "operation")]
    n_plus_one: bool,
    #[command(flatten)]
    switches: SwitchesUrl,
}

#[derive(Debug, Args)]
struct TrafficArgs {
    /// The edge, on this machine.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    edge: LocalUrl,
    /// A file with bearer tokens of people who are signed in, one a line.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Who takes the apps' own metrics, on this machine (OTLP over HTTP): how long they take to
    /// start; nobody when it is left out.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp: Option<otlp::Url>,
    /// Requests a second, at most.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    rps: u32,
    /// When it stops by itself, at most 24h.
    #[arg(long = "for", default_value = "30m", value_parser = duration)]
    run_for: Duration,
    /// Say every 30 s how it goes.
    #[arg(long)]
    verbose: bool,
}

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    match cli.command {
        Command::Serve(args) => run_serve(args).await,
        Command::Break(args) => run_break(args).await,
        Command::Mend(args) => run_mend(args).await,
        Command::Traffic(args) => run_traffic(args).await,
    }
}

async fn run_serve(args: ServeArgs) -> Result<ExitCode, Box<dyn Error>> {
    let options = Options {
        database_url: args.database_url.ok_or(NO_DATABASE)?,
        otlp: args.otlp,
        say: |line| eprintln!("mvp: {line}"),
        listen: args.listen,
        switches_listen: args.switches_listen,
        pace: args.pace,
        seed: fastrand::u64(..),
    };
    let end = end_asked()?;
    let bound = serve::bind(&options, unix_ms).await?;
    println!("mvp: API on http://{}", bound.address);
    if let Some(address) = bound.switches_address {
        println!("mvp: switches on http://{address}/_switches");
    }
    bound.run(end).await?;
    println!("mvp: stopped");
    Ok(ExitCode::SUCCESS)
}

async fn run_break(args: BreakArgs) -> Result<ExitCode, Box<dyn Error>> {
    let latency_ms = u64::try_from(args.latency.as_millis())?;
    let switch = Switch {
        latency_ms,
        error_share: args.share,
        status: args.status,
        crash: args.crash,
        n_plus_one: args.n_plus_one.then_some(true),
    };
    if switch == Switch::default() {
        let ways = "--status, --share, --latency, --crash or --n-plus-one";
        return Err(format!("say what goes wrong: {ways}").into());
    }
    ask(args.switches, put(&args.operation, &switch)?).await?;
    println!("mvp: {} is broken now; `mvp mend {0}` mends it", args.operation);
    Ok(ExitCode::SUCCESS)
}

fn put(operation: &str, switch: &Switch) -> Result<Request<Bytes>, Box<dyn Error>> {
    let body = Bytes::from(serde_json::to_vec(switch)?);
    let path = format!("/_switches/{operation}");
    Ok(Request::put(path).header("content-type", "application/json").body(body)?)
}

async fn run_mend(args: MendArgs) -> Result<ExitCode, Box<dyn Error>> {
    if let (true, Some(operation)) = (args.n_plus_one, &args.operation) {
        let switch = Switch { n_plus_one: Some(false), ..Switch::default() };
        ask(args.switches, put(operation, &switch)?).await?;
        println!("mvp: {FEED} asks the database once for the whole page now");
        return Ok(ExitCode::SUCCESS);
    }
    let path = match &args.operation {
        Some(operation) => format!("/_switches/{operation}"),
        None => "/_switches".to_owned(),
    };
    ask(args.switches, Request::delete(path).body(Bytes::new())?).await?;
    println!("mvp: {} mended", args.operation.as_deref().unwrap_or("all operations"));
    Ok(ExitCode::SUCCESS)
}

async fn ask(url: SwitchesUrl, request: Request<Bytes>) -> Result<(), Box<dyn Error>> {
    let answer = Connection::to(url.switches).send(request).await.map_err(|error| {
        format!("{error}; is `mvp serve --switches-listen {}` running?", url.switches.0)
    })?;
    if answer.status.is_success() {
        return Ok(());
    }
    Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into())
}

async fn run_traffic(args: TrafficArgs) -> Result<ExitCode, Box<dyn Error>> {
    let tokens = args.token_file.as_deref().map(read_tokens).transpose()?.unwrap_or_default();
    if args.run_for.is_zero() || args.run_for > traffic::FOR_MAX {
        return Err("--for is more than nothing and at most 24h".into());
    }
    let end = end_asked()?;
    println!(
        "mvp traffic: a SIMULATOR of iOS and Android apps, not real people. At most {} requests a \
         second to http://{} for {:?}; it stops by itself.",
        args.rps, args.edge.0, args.run_for
    );
    println!(
        "mvp traffic: {} simulated people are signed in; every request says \
         User-Agent: {} and comes from an address kept for documentation.",
        tokens.len(),
        traffic::USER_AGENT
    );
    let options = traffic::Options {
        edge: args.edge,
        tokens,
        rps: args.rps,
        otlp: args.otlp,
        unix_ms,
        run_for: args.run_for,
        edge_gone_max: traffic::EDGE_GONE_MAX,
        verbose: args.verbose,
        seed: fastrand::u64(..),
    };
    let report = traffic::run(options, end, |line| println!("{line}")).await;
    let (why, code) = match report.ended {
        Ended::TimeUp => ("its time is up", ExitCode::SUCCESS),
        Ended::Asked => ("asked to stop", ExitCode::SUCCESS),
        Ended::EdgeGone => ("the edge did not answer for 30 s", ExitCode::from(EDGE_GONE_EXIT)),
    };
    println!("{}; stopped: {why}", report.summary);
    Ok(code)
}

fn read_tokens(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let name = path.display();
    let size = fs::metadata(path).map_err(|error| format!("{name}: {error}"))?.len();
    if size > TOKEN_FILE_BYTES_MAX {
        return Err(format!("{name}: larger than {TOKEN_FILE_BYTES_MAX} bytes").into());
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let lines = text.lines().map(str::trim);
    let tokens: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if tokens.len() > traffic::TOKENS_MAX {
        return Err(format!("{name}: more than {} tokens", traffic::TOKENS_MAX).into());
    }
    if let Some(line) = tokens.iter().position(|t| mvp::token::subject_of(t).is_none()) {
        return Err(format!("{name}: token {} is not a JWT with a `sub`", line + 1).into());
    }
    Ok(tokens)
}

/// `250ms`, `30s`, `30m` or `24h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a duration is written 250ms, 30s, 30m or 24h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| "too long".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the program's one look at the time of day")]
fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Comes with the first SIGTERM or Ctrl-C. The handlers stand as soon as this returns.
fn end_asked() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(24 * 3600)));
        for bad in ["", "5", "s", "1.5s", "-1s", "5 s", "5d", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
