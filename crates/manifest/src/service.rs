//! `[[service]]`: a backend behind the edge, its releases and how it is called.

use std::borrow::Cow;
use std::path::PathBuf;

use plimsoll_base::{HumanDuration, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Admission, Breaker, HeaderName, Health, OriginUrl, PathPrefix, Retries, UnknownPaths};

/// A domain service behind the edge: the team's own backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What the service is called in policies, metrics and logs; unique. Since 0.1.
    pub name: Name,
    /// The OpenAPI document (3.0, 3.1 or Swagger 2.0; JSON or YAML), relative to the manifest.
    /// Without one, requests are passed on by path alone. Since 0.1.
    pub contract: Option<PathBuf>,
    /// Where the service runs, as scheme, host and port: short for one release called `default`.
    /// Requests go to these addresses in turn. Since 0.1.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub urls: Vec<OriginUrl>,
    /// What happens to a path of this service that its contract does not name. Default: the word
    /// of `[edge] unknown_paths`. Since 0.1.
    pub unknown_paths: Option<UnknownPaths>,
    /// Whether `[service.version] prefix` is cut off the path before it is sent to the backend.
    /// Since 0.1.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Which API version this service answers for, when several services share the same paths.
    /// Since 0.1.
    pub version: Option<ServiceVersion>,
    /// How `https` addresses of the service are trusted. Since 0.1.
    #[serde(default)]
    pub tls: ServiceTls,
    /// How long the backend may take. Since 0.1.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The connections kept to the backend. Since 0.1.
    #[serde(default)]
    pub pool: Pool,
    /// When an address that fails is left alone for a while. Since 0.1.
    #[serde(default)]
    pub ejection: Ejection,
    /// A breaker before each operation and each address. Without this table there is none but
    /// `[service.ejection]`. Since 0.1.
    pub breaker: Option<Breaker>,
    /// How many requests it gets at once, and who waits. Without this table everybody is sent on,
    /// up to `[service.pool] connections_max`. Since 0.1.
    pub admission: Option<Admission>,
    /// Active health checks. Without this table addresses are judged by real requests alone.
    /// Since 0.1.
    pub health: Option<Health>,
    /// What is sent again, and how much of that there may be. Since 0.1.
    #[serde(default)]
    pub retries: Retries,
    /// Deployed versions of this service, instead of `urls`. The first takes all the traffic.
    /// Since 0.1.
    #[serde(default, rename = "release")]
    #[schemars(length(max = 64))]
    pub releases: Vec<Release>,
}

/// The id of the release that `urls` is short for.
pub(crate) const DEFAULT_RELEASE: &str = "default";

impl Service {
    /// A service of that name with every default, as yet without an address.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self {
            name,
            contract: None,
            urls: Vec::new(),
            unknown_paths: None,
            strip_prefix: false,
            version: None,
            tls: ServiceTls::default(),
            timeouts: Timeouts::default(),
            pool: Pool::default(),
            ejection: Ejection::default(),
            breaker: None,
            admission: None,
            health: None,
            retries: Retries::default(),
            releases: Vec::new(),
        }
    }

    /// The release that takes the traffic: the first of `[[service.release]]`, else the one that
    /// `urls` is short for. `None` only for a service that has neither, which no loaded manifest
    /// holds.
    #[must_use]
    pub fn active_release(&self) -> Option<Cow<'_, Release>> {
        if let Some(first) = self.releases.first() {
            return Some(Cow::Borrowed(first));
        }
        if self.urls.is_empty() {
            return None;
        }
        let id = Name::new(DEFAULT_RELEASE).ok()?;
        Some(Cow::Owned(Release { id, urls: self.urls.clone(), region: None }))
    }

    /// What a request must carry to be for this API version; `None` when there is only one.
    #[must_use]
    pub fn version_rule(&self) -> Option<VersionRule<'_>> {
        let version = self.version.as_ref()?;
        match (&version.prefix, &version.header, &version.value) {
            (Some(prefix), _, _) => Some(VersionRule::Prefix(prefix)),
            (None, Some(name), Some(value)) => Some(VersionRule::Header { name, value }),
            _ => None,
        }
    }
}

/// What tells one API version from another, as [`Service::version_rule`] answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRule<'a> {
    /// The first segments of the path.
    Prefix(&'a PathPrefix),
    /// A request header with exactly this value.
    Header {
        /// The header.
        name: &'a HeaderName,
        /// Its value.
        value: &'a str,
    },
}

/// Which API version a service answers for. It says either `prefix`, or `header` and `value`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceVersion {
    /// The path prefix of this version, such as `/v2`. It stands before the paths of the contract.
    /// Since 0.1.
    pub prefix: Option<PathPrefix>,
    /// The request header that names the version, such as `Api-Version`. Since 0.1.
    pub header: Option<HeaderName>,
    /// The value of that header for this version, compared exactly. Since 0.1.
    #[schemars(length(min = 1, max = 256))]
    pub value: Option<String>,
}

/// How `https` addresses of a service are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceTls {
    /// Certificates of a private authority as PEM, trusted beside the machine's own; the path is
    /// relative to the manifest. The file is read again when it changes. Since 0.1.
    pub ca_file: Option<PathBuf>,
}

/// How long the backend may take. A timeout longer than `total` is cut to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To open a connection. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1m"))]
    pub connect: HumanDuration,
    /// From the last byte of the request to the first of the answer. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1h"))]
    pub first_byte: HumanDuration,
    /// For all that the backend is waited for, from routing to the last byte of its answer. What
    /// the client takes to send its body or to read the answer does not count; limits of `[edge]`
    /// bound that. Passthrough and event streams have no total. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "24h"))]
    pub total: HumanDuration,
    /// How long an idle pooled connection is kept; below the backend's own keep-alive, so that the
    /// backend never closes one that is about to be used. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1h"))]
    pub idle: HumanDuration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: HumanDuration::from_secs(1),
            first_byte: HumanDuration::from_secs(10),
            total: HumanDuration::from_secs(30),
            idle: HumanDuration::from_secs(20),
        }
    }
}

/// The connections kept to the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// The most connections to one URL from one core. Unit: connections. Since 0.1.
    #[schemars(range(min = 1, max = 65_535))]
    pub connections_max: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self { connections_max: 512 }
    }
}

/// When an address that fails is left alone for a while, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ejection {
    /// How many failures in a row eject a URL: no connection, reset, deadline, no HTTP, or an
    /// answer 502, 503 or 504, which says that the service cannot do its work there. 0 switches
    /// ejection off. Where all are ejected, requests go to them all the same. Unit: failures.
    /// Since 0.1.
    #[schemars(range(max = 1000))]
    pub consecutive_failures: u32,
    /// How long the first ejection lasts; each one after it lasts longer. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub duration: HumanDuration,
    /// The longest an ejection may last. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "24h"))]
    pub duration_max: HumanDuration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            duration: HumanDuration::from_secs(10),
            duration_max: HumanDuration::from_secs(300),
        }
    }
}

/// One deployed version of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// What the release is called in metrics and logs; unique in its service. Since 0.1.
    pub id: Name,
    /// Where it runs, as scheme, host and port; requests go to these in turn. Since 0.1.
    #[schemars(length(min = 1, max = 256))]
    pub urls: Vec<OriginUrl>,
    /// Where in the world it runs; a label, nothing is routed by it. Since 0.1.
    pub region: Option<Name>,
}
