//! `[client]`: where the app says what it is.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HeaderName;

/// Where the app says what it is. `Plimsoll-Client` is always read first, then these headers, then
/// client hints and `User-Agent`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSection {
    /// The request headers that the app already sends. Since 0.1.
    pub headers: ClientHeaders,
    /// Installations that the edge signs, so that apps behind one address can be told apart before
    /// anybody has signed in. Since 0.1.
    pub installations: InstallationsSection,
}

/// Installations that the edge signs. An app that says what it is (`Plimsoll-Client`, or the header
/// that `platform` names) is given one with an answer in `Plimsoll-Installation`, keeps it and
/// sends it back with every request. With it a request is not anonymous: limits by address leave
/// it, and limits by caller count it by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InstallationsSection {
    /// Whether they are given and known. Since 0.1.
    pub enabled: bool,
    /// How many new ones one address is given in a window (IPv6: each /64). Who throws his away
    /// gets no other, and counts by his address. Unit: installations. Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub new_per_ip_max: u32,
    /// The window. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "31d"))]
    pub window: HumanDuration,
}

impl Default for InstallationsSection {
    fn default() -> Self {
        Self { enabled: true, new_per_ip_max: 100, window: HumanDuration::from_secs(3_600) }
    }
}

/// The request headers in which an app already says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClientHeaders {
    /// Holds the platform: `ios`, `android` or `web`, in any case. Since 0.1.
    pub platform: Option<HeaderName>,
    /// Holds the app's version, such as `3.1.0`. Since 0.1.
    pub version: Option<HeaderName>,
    /// Holds the app's build number. Since 0.1.
    pub build: Option<HeaderName>,
    /// Holds the version of the operating system. Since 0.1.
    pub os: Option<HeaderName>,
    /// Holds the device model, such as `iPhone15,2`. Since 0.1.
    pub model: Option<HeaderName>,
    /// Holds the network class: `wifi`, `5g`, `4g`, `3g`, `2g`. Since 0.1.
    pub network: Option<HeaderName>,
    /// Holds the app's state: `foreground` or `background`. Since 0.1.
    pub state: Option<HeaderName>,
    /// Holds the app's own id of this installation; unsigned, so it never lifts a limit.
    /// Since 0.1.
    pub installation: Option<HeaderName>,
}

impl ClientHeaders {
    /// Each key with the header it names, in the order of the documentation.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, Option<&HeaderName>); 8] {
        [
            ("platform", self.platform.as_ref()),
            ("version", self.version.as_ref()),
            ("build", self.build.as_ref()),
            ("os", self.os.as_ref()),
            ("model", self.model.as_ref()),
            ("network", self.network.as_ref()),
            ("state", self.state.as_ref()),
            ("installation", self.installation.as_ref()),
        ]
    }
}
