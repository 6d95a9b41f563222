//! What app asks: platform, version, build, operating system, device model, network class, state
//! and installation, as far as the request says.
//!
//! Sources, best first; a field that one leaves open the next may fill:
//! 1. `Plimsoll-Client`, an RFC 9651 dictionary: `platform=ios, version="3.1.0", build=412,
//!    os="17.2", model="iPhone15,2", network="4g", state=foreground, installation="..."`;
//! 2. the headers that the manifest maps (`[client.headers]`);
//! 3. user agent client hints (`Sec-CH-UA-*`) and `ECT`;
//! 4. `User-Agent`.
//!
//! All of it is the client's own word. It serves figures and policy that may only lower what a
//! client gets; it proves nothing. Every value is bounded and holds plain characters only, so that
//! it can stand in a label, a log line and a page. What is not said is [`UNKNOWN`], never guessed
//! from less.

mod dictionary;
mod draft;
mod memo;
mod structured;
mod user_agent;

use std::fmt;

use http::{HeaderMap, HeaderName};
use plimsoll_manifest::ClientHeaders;
use plimsoll_telemetry::Platform;

use crate::hygiene::Fields;
use draft::Draft;

pub use memo::ClientMemo;

/// The field in which an app says what it is.
pub const PLIMSOLL_CLIENT: HeaderName = HeaderName::from_static("plimsoll-client");
/// What a value that was not said reads as.
pub const UNKNOWN: &str = "unknown";
/// The longest value, in bytes; what is longer is cut.
pub const VALUE_BYTES_MAX: usize = 40;
/// The longest installation id, in bytes; a longer one counts as none, because two cut ids may be
/// the same.
pub const INSTALLATION_BYTES_MAX: usize = 64;

/// What the app is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppState {
    /// On the screen: somebody waits.
    Foreground,
    /// Not on the screen.
    Background,
    /// Fetching what might be wanted later.
    Prefetch,
    /// Not said.
    #[default]
    Unknown,
}

impl AppState {
    /// `foreground`, `background`, `prefetch` or `unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AppState::Foreground => "foreground",
            AppState::Background => "background",
            AppState::Prefetch => "prefetch",
            AppState::Unknown => UNKNOWN,
        }
    }

    fn from_name(name: &str) -> Self {
        match draft::trimmed(name) {
            name if name.eq_ignore_ascii_case("foreground") => AppState::Foreground,
            name if name.eq_ignore_ascii_case("active") => AppState::Foreground,
            name if name.eq_ignore_ascii_case("background") => AppState::Background,
            name if name.eq_ignore_ascii_case("prefetch") => AppState::Prefetch,
            _ => AppState::Unknown,
        }
    }
}

/// The values that are kept as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Version,
    Build,
    Os,
    Model,
    Network,
    Installation,
}

impl Field {
    const COUNT: usize = 6;
}

/// What app asks. All text stands in one allocation, and none is made where nothing is known.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientContext {
    platform: Platform,
    state: AppState,
    /// Where each field ends in `text`; it begins where the one before it ends.
    ends: [u16; Field::COUNT],
    text: Box<str>,
}

/// Which headers are read: made once from the manifest.
#[derive(Clone, Debug, Default)]
pub struct ClientRules {
    platform: Option<HeaderName>,
    state: Option<HeaderName>,
    fields: [Option<HeaderName>; Field::COUNT],
    any: bool,
}

impl ClientRules {
    /// From `[client.headers]`. A name that is no header name is left out; `plimsoll check` refuses
    /// those.
    #[must_use]
    pub fn new(headers: &ClientHeaders) -> Self {
        let mut rules = Self::default();
        for (key, name) in headers.entries() {
            let Some(name) = name.and_then(|name| name.as_str().parse::<HeaderName>().ok()) else {
                continue;
            };
            rules.any = true;
            let slot = match key {
                "platform" => &mut rules.platform,
                "state" => &mut rules.state,
                "version" => &mut rules.fields[Field::Version as usize],
                "build" => &mut rules.fields[Field::Build as usize],
                "os" => &mut rules.fields[Field::Os as usize],
                "model" => &mut rules.fields[Field::Model as usize],
                "network" => &mut rules.fields[Field::Network as usize],
                "installation" => &mut rules.fields[Field::Installation as usize],
                _ => continue,
            };
            *slot = Some(name);
        }
        rules
    }

    /// Whether a header of the app's own says its platform.
    #[must_use]
    pub fn says_platform(&self) -> bool {
        self.platform.is_some()
    }

    /// Reads a request's headers, once, before they are stripped. `fields` are those of `headers`.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap, fields: &Fields<'_>) -> ClientContext {
        let mut draft = Draft::default();
        match fields.plimsoll_client.count() {
            0 => {}
            1 => dictionary::read(fields.plimsoll_client.first(), &mut draft),
            _ => dictionary::read_lines(headers, &mut draft),
        }
        if self.any {
            self.read_mapped(headers, &mut draft);
        }
        if fields.sec_ch_ua_platform.count() > 0 {
            read_hints(headers, &mut draft);
        }
        if !draft.is_told()
            && let Some(agent) = fields.user_agent.first()
        {
            user_agent::read(agent.as_bytes(), &mut draft);
        }
        draft.finish()
    }

    fn read_mapped<'h>(&self, headers: &'h HeaderMap, draft: &mut Draft<'h>) {
        let text = |name: &Option<HeaderName>| {
            name.as_ref().and_then(|name| headers.get(name)).and_then(|value| value.to_str().ok())
        };
        if let Some(name) = text(&self.platform) {
            draft.offer_platform(Platform::from_name(name));
        }
        if let Some(name) = text(&self.state) {
            draft.offer_state(AppState::from_name(name));
        }
        for field in draft::FIELDS {
            if let Some(value) = text(&self.fields[field as usize]) {
                draft.offer(field, value);
            }
        }
    }
}

const SEC_CH_UA_PLATFORM_VERSION: HeaderName =
    HeaderName::from_static("sec-ch-ua-platform-version");
const SEC_CH_UA_MODEL: HeaderName = HeaderName::from_static("sec-ch-ua-model");
const ECT: HeaderName = HeaderName::from_static("ect");

/// Client hints: only browsers send them, so they say `web` by being there.
fn read_hints<'h>(headers: &'h HeaderMap, draft: &mut Draft<'h>) {
    draft.offer_platform(Platform::Web);
    let text = |name| {
        let text = headers.get(name)?.to_str().ok()?.trim();
        text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
    };
    if let Some(version) = text(SEC_CH_UA_PLATFORM_VERSION) {
        draft.offer(Field::Os, version);
    }
    if let Some(model) = text(SEC_CH_UA_MODEL) {
        draft.offer(Field::Model, model);
    }
    if let Some(network) = headers.get(ECT).and_then(|value| value.to_str().ok()) {
        draft.offer(Field::Network, network);
    }
}

impl ClientContext {
    /// The platform.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The app's version, such as `3.1.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.text_of(Field::Version).unwrap_or(UNKNOWN)
    }

    /// The app's build number.
    #[must_use]
    pub fn build(&self) -> &str {
        self.text_of(Field::Build).unwrap_or(UNKNOWN)
    }

    /// The version of the operating system, such as `17.2`.
    #[must_use]
    pub fn os(&self) -> &str {
        self.text_of(Field::Os).unwrap_or(UNKNOWN)
    }

    /// The device model, such as `iPhone15,2`.
    #[must_use]
    pub fn model(&self) -> &str {
        self.text_of(Field::Model).unwrap_or(UNKNOWN)
    }

    /// The network class, in lower case, such as `wifi` or `4g`.
    #[must_use]
    pub fn network(&self) -> &str {
        self.text_of(Field::Network).unwrap_or(UNKNOWN)
    }

    /// What the app is doing.
    #[must_use]
    pub fn state(&self) -> AppState {
        self.state
    }

    /// The installation id that the client claims. Anybody may claim any: it serves stickiness and
    /// nothing else.
    #[must_use]
    pub fn installation_unverified(&self) -> Option<&str> {
        self.text_of(Field::Installation)
    }

    /// Writes the context as a `Plimsoll-Client` dictionary, leaving out what is unknown; reading
    /// it gives the same context.
    #[must_use]
    pub fn to_dictionary(&self) -> String {
        dictionary::write(self)
    }

    fn text_of(&self, field: Field) -> Option<&str> {
        let at = field as usize;
        let start = if at == 0 { 0 } else { usize::from(self.ends[at - 1]) };
        self.text.get(start..usize::from(self.ends[at])).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for ClientContext {
    /// The installation id stays out: it follows a person around.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientContext")
            .field("platform", &self.platform)
            .field("version", &self.version())
            .field("build", &self.build())
            .field("os", &self.os())
            .field("model", &self.model())
            .field("network", &self.network())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
