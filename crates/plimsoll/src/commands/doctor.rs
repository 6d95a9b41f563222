//! `plimsoll doctor`: what would go wrong here, before it does.

use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use plimsoll_edge::Listener;
use plimsoll_manifest::{Manifest, OriginUrl, Overrides, env};
use plimsoll_protection::{KEK_FILE, Keyring};
use plimsoll_store::cluster::{Binaries, BinarySearch};
use plimsoll_store::{Fact, Redis, RedisScript, Weight, facts_outside};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use serde_json::json;

use crate::cli::{Doctor, Output};
use crate::commands::ask::{ask, data_dir as data_dir_of_running};
use crate::data_dir::DataDir;
use crate::exit::Failure;
use crate::memory::{keks_of_environment, keyring_options};
use crate::setup::{Setup, Source};

/// How long a backend may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// File descriptors beside those of client and upstream connections.
const DESCRIPTORS_SPARE: u64 = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Weak,
    Broken,
}

#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    what: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Ok, what, found: found.into(), next_step: None }
    }

    fn bad(
        state: State,
        what: &'static str,
        found: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self { state, what, found: found.into(), next_step: Some(next_step.into()) }
    }
}

pub(crate) fn run(arguments: &Doctor) -> Result<(), Failure> {
    let mut findings = vec![cores(), data_dir(arguments)];
    if let Some(path) = &arguments.manifest {
        match Source::File(path.clone()).load(Path::new(""), &Overrides::default()) {
            Ok(setup) => look_at(&setup, &mut findings),
            Err(faults) => findings.push(Finding::bad(
                State::Broken,
                "manifest",
                format!("{} faults, the first: {}", faults.len(), faults[0]),
                format!("plimsoll check {}", path.display()),
            )),
        }
    } else {
        findings.push(descriptors(&Manifest::default()));
    }
    findings.extend(keys(arguments));
    findings.extend(database(arguments));
    findings.extend(redis());
    tell(&findings, arguments.output).map_err(Failure::unwritten)?;
    if findings.iter().any(|finding| finding.state == State::Broken) {
        return Err(Failure::Failed("something would not work; see above".to_owned()));
    }
    Ok(())
}

/// Whether the keys can be used; nothing where there are none yet.
fn keys(arguments: &Doctor) -> Option<Finding> {
    const WHAT: &str = "keys";
    let directory = data_dir_of_running(arguments.data_dir.as_deref()).ok()?;
    let standing = keyring_options(&directory).and_then(|options| {
        if options.kek_file.is_none() && !options.directory.join(KEK_FILE).exists() {
            return Ok(None);
        }
        Keyring::standing(&options, &keks_of_environment()?).map(Some).map_err(Failure::failed)
    });
    let standing = match standing {
        Ok(standing) => standing?,
        Err(Failure::Failed(why)) => {
            return Some(Finding::bad(State::Broken, WHAT, why, "mend that first"));
        }
        Err(_) => return None,
    };
    let found = format!("{} data keys in {}", standing.data.len(), standing.file.display());
    if standing.is_old_form {
        let found = format!("{found}: the key is of the old form, and its own data key");
        return Some(Finding::bad(State::Weak, WHAT, found, "plimsoll keys rotate"));
    }
    let idle: Vec<&str> =
        standing.keks.iter().filter(|kek| kek.wraps == 0).map(|kek| &*kek.id).collect();
    if idle.is_empty() {
        return Some(Finding::ok(WHAT, format!("{found}, each wrapped by a key that is there")));
    }
    let found = format!("{found}; nothing is wrapped by {}", idle.join(", "));
    Some(Finding::bad(State::Weak, WHAT, found, "take it away"))
}

/// What a running Plimsoll says of its database; without one, what can be seen of it from here.
fn database(arguments: &Doctor) -> Vec<Finding> {
    const WHAT: &str = "database";
    let asked = data_dir_of_running(arguments.data_dir.as_deref())
        .and_then(|directory| ask(&directory, Method::GET, "/api/v1/database", None));
    let Ok(answer) = asked else {
        return match env::secret("DATABASE_URL") {
            Ok(Some(url)) => outside(&url),
            Ok(None) => vec![postgres()],
            Err(error) => vec![broken_environment("database", &error)],
        };
    };
    let facts = answer["facts"].as_array().cloned().unwrap_or_default();
    facts
        .iter()
        .map(|fact| {
            let found = fact["found"].as_str().unwrap_or_default();
            match fact["state"].as_str() {
                Some("ok") => Finding::ok(WHAT, found),
                Some("weak") => Finding { state: State::Weak, ..Finding::ok(WHAT, found) },
                _ => Finding { state: State::Broken, ..Finding::ok(WHAT, found) },
            }
        })
        .collect()
}

/// Asks Redis whether it evicts nothing. One that may not be asked is taken to evict.
const NEVER_EVICTS: &str = r"
local said = redis.pcall('INFO', 'memory')
local policy = 'maxmemory_policy:noeviction'
return {type(said) == 'string' and string.find(said, policy, 1, true) and 1 or 0}";

/// Whether the Redis that the environment names answers, and goes on once it is full.
fn redis() -> Option<Finding> {
    const WHAT: &str = "redis";
    let url = match env::secret("REDIS_URL") {
        Ok(url) => url?,
        Err(error) => return Some(broken_environment(WHAT, &error)),
    };
    let asked = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            Redis::new(&url)?.run(&RedisScript::new(NEVER_EVICTS), &[], &[]).await
        }),
        Err(error) => {
            return Some(Finding::bad(State::Broken, WHAT, error.to_string(), "try again"));
        }
    };
    Some(match asked {
        Ok(said) if said == [1] => Finding::bad(
            State::Weak,
            WHAT,
            "answers; limits and the cache are shared between nodes, but it evicts nothing \
             (maxmemory-policy noeviction): once full it counts no limits and takes no answers",
            "set maxmemory, and maxmemory-policy allkeys-lru",
        ),
        Ok(_) => Finding::ok(WHAT, "answers; limits and the cache are shared between nodes"),
        Err(error) => Finding::bad(
            State::Weak,
            WHAT,
            format!("{error}; each node counts limits and caches for itself"),
            "start it, or mend REDIS_URL",
        ),
    })
}

fn broken_environment(what: &'static str, error: &env::EnvError) -> Finding {
    Finding::bad(State::Broken, what, error.to_string(), "mend the environment")
}

/// What the database says that `DATABASE_URL` names.
fn outside(url: &env::Secret) -> Vec<Finding> {
    const WHAT: &str = "database";
    let owner = match env::secret("PLIMSOLL_DATABASE_OWNER_URL") {
        Ok(owner) => owner,
        Err(error) => return vec![broken_environment("database", &error)],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let facts = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let facts = runtime.block_on(facts_outside(url, owner.as_ref()));
        facts.map_err(|error| error.to_string())
    });
    match facts {
        Ok(facts) => facts.into_iter().map(|fact| of_fact(WHAT, fact)).collect(),
        Err(error) => {
            vec![Finding::bad(State::Broken, WHAT, error, "mend the URL in the environment")]
        }
    }
}

fn of_fact(what: &'static str, fact: Fact) -> Finding {
    let state = match fact.weight {
        Weight::Good => State::Ok,
        Weight::Weak => State::Weak,
        Weight::Bad => State::Broken,
    };
    Finding { state, ..Finding::ok(what, fact.sentence) }
}

/// Whether a private Postgres could be started.
fn postgres() -> Finding {
    const WHAT: &str = "postgres";
    let named = env::var("PLIMSOLL_PG_BIN").ok().flatten().map(PathBuf::from);
    match Binaries::find_all(&BinarySearch::of_this_machine(named))
        .map(|all| all.into_iter().next())
    {
        Ok(Some(found)) => {
            Finding::ok(WHAT, format!("{} in {}", found.version(), found.folder().display()))
        }
        Ok(None) => Finding::bad(
            State::Broken,
            WHAT,
            "no Postgres was found",
            "install the package postgresql, or set DATABASE_URL",
        ),
        Err(error) => Finding::bad(
            State::Broken,
            WHAT,
            error.to_string(),
            "or set DATABASE_URL to a database of your own",
        ),
    }
}

fn tell(findings: &[Finding], output: Output) -> io::Result<()> {
    let mut out = io::stdout();
    if output == Output::Json {
        return writeln!(out, "{:#}", json!({ "findings": findings }));
    }
    for finding in findings {
        let mark = match finding.state {
            State::Ok => "ok    ",
            State::Weak => "weak  ",
            State::Broken => "broken",
        };
        writeln!(out, "{mark}  {:<18} {}", finding.what, finding.found)?;
        if let Some(next) = &finding.next_step {
            writeln!(out, "        {:<18} -> {next}", "")?;
        }
    }
    Ok(())
}

fn look_at(setup: &Setup, findings: &mut Vec<Finding>) {
    let manifest = &setup.input.manifest;
    let services = setup.input.routes.services.len();
    findings.push(Finding::ok("manifest", format!("no faults, {services} services")));
    findings.push(descriptors(manifest));
    for address in &manifest.edge.listen {
        findings.push(port(address.0, "--listen"));
    }
    findings.push(port(manifest.ops.listen.0, "--ops-listen"));
    for service in &manifest.services {
        let urls = service.active_release().map(|release| release.urls.clone()).unwrap_or_default();
        findings.extend(urls.iter().map(backend));
    }
    if manifest.auth.issuers.is_empty() {
        findings.push(Finding::bad(
            State::Weak,
            "authentication",
            "no issuer: nothing is verified, credentials pass through",
            "name one in [[auth.issuer]]",
        ));
    }
    if manifest.limits.is_empty() {
        findings.push(Finding::bad(
            State::Weak,
            "limits",
            "no limit refuses anybody",
            "name one in [[limit]]; `plimsoll init` suggests some",
        ));
    }
}

fn cores() -> Finding {
    match std::thread::available_parallelism() {
        Ok(cores) => Finding::ok("cores", cores.to_string()),
        Err(error) => Finding::bad(
            State::Weak,
            "cores",
            format!("cannot be counted ({error}); one is used"),
            "set [edge] cores",
        ),
    }
}

fn data_dir(arguments: &Doctor) -> Finding {
    match DataDir::open(arguments.data_dir.as_deref()) {
        Ok(directory) => match directory.lock() {
            Ok(_) => Finding::ok("data directory", directory.path().display().to_string()),
            Err(error) => Finding::ok("data directory", error.to_string()),
        },
        Err(error) => {
            Finding::bad(State::Broken, "data directory", error.to_string(), "see the line above")
        }
    }
}

fn descriptors(manifest: &Manifest) -> Finding {
    let wanted = u64::from(manifest.edge.connections_max).saturating_mul(2) + DESCRIPTORS_SPARE;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < wanted => Finding::bad(
            State::Weak,
            "open files",
            format!("limit {limit}; {wanted} are needed when all connections_max are in use"),
            format!("ulimit -n {wanted}, or LimitNOFILE={wanted} in the systemd unit"),
        ),
        Some(limit) => Finding::ok("open files", format!("limit {limit}")),
        None => Finding::ok("open files", "no limit"),
    }
}

fn port(address: std::net::SocketAddr, flag: &'static str) -> Finding {
    match Listener::bind(address, 1, flag) {
        Ok(_) => Finding::ok("port", format!("{address} is free")),
        Err(error) => Finding::bad(
            State::Weak,
            "port",
            error.to_string(),
            "fine if that is the Plimsoll you want to keep",
        ),
    }
}

fn backend(url: &OriginUrl) -> Finding {
    let refused = |reason: String| {
        Finding::bad(
            State::Broken,
            "backend",
            format!("{url}: {reason}"),
            "start the backend, or mend the URL in [[service]]",
        )
    };
    let host = url.host().trim_matches(['[', ']']);
    let addresses = match (host, url.port()).to_socket_addrs() {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => return refused(error.to_string()),
    };
    let mut last = "has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(_) => return Finding::ok("backend", format!("{url} accepts connections")),
            Err(error) => last = error.to_string(),
        }
    }
    refused(last)
}
