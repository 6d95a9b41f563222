//! One answered request, as it is measured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kind of client a request came from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// An iPhone or iPad app.
    Ios,
    /// An Android app.
    Android,
    /// A browser.
    Web,
    /// A client that names a platform other than these.
    Other,
    /// A client that says nothing.
    #[default]
    Unknown,
}

impl Platform {
    /// Every platform, in the order they are shown.
    pub const ALL: [Platform; 5] =
        [Platform::Ios, Platform::Android, Platform::Web, Platform::Other, Platform::Unknown];

    /// The label value: `ios`, `android`, `web`, `other` or `unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Platform::Ios => "ios",
            Platform::Android => "android",
            Platform::Web => "web",
            Platform::Other => "other",
            Platform::Unknown => "unknown",
        }
    }

    /// The platform a client names, in any letter case; [`Platform::Other`] for a name that is not
    /// known here, [`Platform::Unknown`] for none.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        const NAMES: [(&str, Platform); 8] = [
            ("ios", Platform::Ios),
            ("ipados", Platform::Ios),
            ("iphone", Platform::Ios),
            ("ipad", Platform::Ios),
            ("android", Platform::Android),
            ("web", Platform::Web),
            ("browser", Platform::Web),
            ("unknown", Platform::Unknown),
        ];
        let name = name.trim();
        if name.is_empty() {
            return Platform::Unknown;
        }
        NAMES
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map_or(Platform::Other, |(_, platform)| *platform)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One answered request. Everything is borrowed: recording it copies nothing while its series
/// exists.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The operation's id, or the path shape where no contract names one.
    pub operation: &'a Arc<str>,
    /// The service that owns the operation.
    pub service: &'a str,
    /// The release that answered.
    pub release: &'a Arc<str>,
    /// The client's platform.
    pub platform: Platform,
    /// The app's version; empty when unknown.
    pub app_version: &'a str,
    /// The device's model; empty when unknown.
    pub device_model: &'a str,
    /// The status code of the answer, 100 to 599.
    pub status: u16,
    /// From the request's head read to the answer's last byte handed to the socket.
    pub latency: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Bytes that it was shorter for being compressed by the edge.
    pub bytes_saved: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_in_any_case() {
        assert_eq!(Platform::from_name("iOS"), Platform::Ios);
        assert_eq!(Platform::from_name(" Android "), Platform::Android);
        assert_eq!(Platform::from_name("tizen"), Platform::Other);
        assert_eq!(Platform::from_name("  "), Platform::Unknown);
        for platform in Platform::ALL {
            let named = Platform::from_name(platform.as_str());
            assert_eq!(named, platform);
            assert_eq!(serde_json::to_value(platform).unwrap(), platform.as_str());
        }
    }
}
