//! Paths of our own that a built-in service answers. To the edge such a service is an upstream like
//! any other, on a Unix socket instead of a URL: where it runs is a matter of its address.
//!
//! A path is claimed only while its capability is on, and gives way to a contract and to a
//! `[[passthrough]]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use plimsoll_manifest::Manifest;

use crate::config::{ConfigInput, Service};
use crate::router::{Match, Router, RouterFault, RouterOptions};
use crate::upstream::{Budget, Endpoint, PoolLimits, Release, RetryPolicy, Timeouts, Trip};

/// The socket of the built-in services in the data directory.
pub const SERVICES_SOCKET: &str = "services.sock";

/// What figures and logs call them; no service of a manifest can have this name.
const SERVICE: &str = "plimsoll:services";

/// The node's state for everybody, for programs and for people.
const STATUS: [&str; 2] = ["/status.json", "/.plimsoll/status"];

const CONNECTIONS_MAX: usize = 64;
const IDLE_MAX: Duration = Duration::from_secs(30);
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(1), first_byte: Duration::from_secs(5) };
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A path of our own, with the name it has in figures.
#[derive(Debug)]
pub(crate) struct OwnPath {
    path: &'static str,
    pub(crate) name: Arc<str>,
}

/// The built-in services and what they claim.
#[derive(Debug)]
pub(crate) struct Own {
    paths: Vec<OwnPath>,
    pub(crate) service: Service,
}

impl Own {
    /// None where no capability is on. Connections are kept over a reload.
    pub(crate) fn build(
        manifest: &Manifest,
        data_dir: &Path,
        cores: usize,
        before: Option<&Own>,
    ) -> Option<Self> {
        let claimed = claimed(manifest);
        if claimed.is_empty() {
            return None;
        }
        let path = |path: &&'static str| OwnPath { path, name: format!("plimsoll:{path}").into() };
        let limits = PoolLimits { connections_max: CONNECTIONS_MAX, idle: IDLE_MAX };
        // There is no other one to send to.
        let trip = Trip::NEVER;
        let known = before.and_then(|own| own.service.release.endpoints.first()).map(Arc::clone);
        let endpoint = known.unwrap_or_else(|| {
            Arc::new(Endpoint::unix(&data_dir.join(SERVICES_SOCKET), cores, limits, trip))
        });
        Some(Self {
            paths: claimed.iter().map(path).collect(),
            service: Service {
                name: SERVICE.into(),
                release: Release::new("built-in".into(), vec![endpoint]),
                timeouts: TIMEOUTS,
                total_timeout: TOTAL_TIMEOUT,
                pool: limits,
                trip,
                health: None,
                admission: None,
                retries: RetryPolicy::none(),
                budget: Arc::new(Budget::new(cores)),
                private_ca: None,
                authority: HeaderValue::from_static("localhost"),
                strip_prefix: None,
            },
        })
    }

    pub(crate) fn find(&self, path: &str) -> Option<&OwnPath> {
        self.paths.iter().find(|own| own.path == path)
    }

    /// Every path with its name.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.paths.iter().map(|own| (own.path, &*own.name))
    }
}

/// The paths that the manifest's capabilities claim.
fn claimed(manifest: &Manifest) -> Vec<&'static str> {
    if manifest.status.public { STATUS.to_vec() } else { Vec::new() }
}

/// A path of our own that is never reached, because a contract or a passthrough has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The path.
    pub path: &'static str,
    /// Who has it, in words.
    pub by: String,
}

/// The paths of our own that give way, for `plimsoll check`.
///
/// # Errors
/// When the route table has a fault.
pub fn shadowed(input: &ConfigInput) -> Result<Vec<Shadowed>, RouterFault> {
    let router = Router::build(&input.routes, &RouterOptions::from_manifest(&input.manifest))?;
    Ok(shadowed_in(&input.manifest, &router))
}

pub(crate) fn shadowed_in(manifest: &Manifest, router: &Router) -> Vec<Shadowed> {
    let by = |path: &str| match router.find(&Method::GET, path, &HeaderMap::new()) {
        Match::Operation(operation) => {
            Some(format!("operation `{}` of service `{}`", operation.id, operation.service_name))
        }
        Match::Passthrough(route) => Some(format!("passthrough `{}`", route.id)),
        _ => None,
    };
    let taken = |path: &'static str| Some(Shadowed { path, by: by(path)? });
    claimed(manifest).into_iter().filter_map(taken).collect()
}
