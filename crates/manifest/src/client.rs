//! `[client]`: where the app says what it is.

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
