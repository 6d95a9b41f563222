//! Parser: `plimsoll_http_kit::client::ClientRules::read` (the `Plimsoll-Client` dictionary of RFC
//! 9651, mapped headers, client hints, User-Agent). Input: a line that is taken for the dictionary,
//! then header lines.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue};
use plimsoll_http_kit::ClientContext;
use plimsoll_http_kit::client::{
    ClientRules, INSTALLATION_BYTES_MAX, PLIMSOLL_CLIENT, VALUE_BYTES_MAX,
};
use plimsoll_http_kit::hygiene::Fields;
use plimsoll_manifest::{ClientHeaders, Manifest};

const MAPPED: &str = "
[client.headers]
platform = \"X-Platform\"
version = \"X-App-Version\"
os = \"X-Os\"
state = \"X-State\"
installation = \"X-Install\"
[[service]]
name = \"a\"
urls = [\"http://a\"]
";

/// Feeds the parser.
pub fn run(data: &[u8]) {
    static RULES: OnceLock<[ClientRules; 2]> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let manifest: Manifest =
            plimsoll_manifest::parse(MAPPED, "m.toml".as_ref()).expect("the text above is right");
        [ClientRules::new(&ClientHeaders::default()), ClientRules::new(&manifest.client.headers)]
    });
    let (first, mut headers) = crate::head::split(data);
    if let Ok(value) = HeaderValue::from_bytes(first) {
        headers.append(PLIMSOLL_CLIENT, value);
    }
    for rules in rules {
        let read = rules.read(&headers, &Fields::of(&headers));
        bounded(&read);
        let mut again = HeaderMap::new();
        let written = read.to_dictionary();
        let value = HeaderValue::from_str(&written).expect("a context cannot be sent on");
        if !written.is_empty() {
            again.append(PLIMSOLL_CLIENT, value);
        }
        let second = rules.read(&again, &Fields::of(&again));
        assert_eq!(second.to_dictionary(), written, "a context changes when it is sent on");
    }
}

fn bounded(context: &ClientContext) {
    let values =
        [context.version(), context.build(), context.os(), context.model(), context.network()];
    for value in values {
        assert!(!value.is_empty() && value.len() <= VALUE_BYTES_MAX, "{value:?}");
        assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{value:?}");
    }
    if let Some(id) = context.installation_unverified() {
        assert!(!id.is_empty() && id.len() <= INSTALLATION_BYTES_MAX, "{id:?}");
    }
}
