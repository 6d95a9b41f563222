use http::HeaderValue;
use plimsoll_telemetry::Platform;
use proptest::prelude::*;

use super::*;

fn read(pairs: &[(&str, &str)]) -> ClientContext {
    read_with(&ClientRules::default(), pairs)
}

fn read_with(rules: &ClientRules, pairs: &[(&str, &str)]) -> ClientContext {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    rules.read(&headers, &Fields::of(&headers))
}

const SAID: &[&str] = &["platform=ios", "platform=android", "platform=ios, version=\"1.0\"", ""];
const AGENTS: &[&str] = &["Shop/1 (iPhone; iOS 17)", "Shop/2 (iPhone; iOS 17)", "okhttp/4"];

/// Reads them twice over one connection.
fn read_after(memo: &mut ClientMemo, headers: &HeaderMap) -> [ClientContext; 2] {
    let rules = ClientRules::default();
    [(); 2].map(|()| rules.read_again(headers, &Fields::of(headers), memo))
}

/// platform, version, build, os, model
fn told(context: &ClientContext) -> (Platform, &str, &str, &str, &str) {
    (context.platform(), context.version(), context.build(), context.os(), context.model())
}

#[test]
fn the_dictionary_of_the_documentation_is_read() {
    let context = read(&[(
        "plimsoll-client",
        "platform=ios, version=\"3.1.0\", build=412, os=\"17.2\", model=\"iPhone15,2\", \
         network=\"4G\", state=foreground, installation=\"a1b2\"",
    )]);
    assert_eq!(told(&context), (Platform::Ios, "3.1.0", "412", "17.2", "iPhone15,2"));
    assert_eq!(context.network(), "4g");
    assert_eq!(context.state(), AppState::Foreground);
    assert_eq!(context.installation_unverified(), Some("a1b2"));
    assert!(!format!("{context:?}").contains("a1b2"));
}

#[test]
fn tokens_numbers_and_lines_are_taken_and_the_last_entry_wins() {
    let context = read(&[
        ("plimsoll-client", "platform=\"Android\", version=3.1, version=4.2"),
        ("plimsoll-client", "build=7, model=(a b), os=14"),
    ]);
    assert_eq!(told(&context), (Platform::Android, "4.2", "7", "14", UNKNOWN));
}

#[test]
fn a_dictionary_that_does_not_parse_says_nothing() {
    for bad in ["platform=ios,", "platform=ios; version", "=x", "platform=ios, \u{fc}=1"] {
        let context = read(&[("plimsoll-client", bad)]);
        assert_eq!(context.platform() == Platform::Ios, bad.contains(';'), "{bad}");
    }
    let long = format!("platform=ios, version=\"{}\"", "1".repeat(1100));
    assert_eq!(read(&[("plimsoll-client", &long)]), ClientContext::default());
}

#[test]
fn nothing_said_is_unknown_and_holds_no_text() {
    let context = read(&[("accept", "*/*")]);
    assert_eq!(context, ClientContext::default());
    assert_eq!(told(&context), (Platform::Unknown, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN));
    assert!(context.installation_unverified().is_none());
}

#[test]
fn mapped_headers_fill_what_the_dictionary_leaves_open() {
    let name = |text: &str| Some(text.parse().unwrap());
    let rules = ClientRules::new(&ClientHeaders {
        platform: name("X-Platform"),
        version: name("X-App-Version"),
        network: name("X-Net"),
        state: name("X-State"),
        installation: name("X-Device-Id"),
        ..ClientHeaders::default()
    });
    let context = read_with(
        &rules,
        &[
            ("x-platform", "IOS"),
            ("x-app-version", "2.0"),
            ("x-net", "WiFi"),
            ("x-state", "Background"),
            ("x-device-id", "D-1"),
            ("plimsoll-client", "version=\"9.9\""),
            ("user-agent", "okhttp/4.12.0"),
        ],
    );
    assert_eq!(told(&context), (Platform::Ios, "9.9", UNKNOWN, UNKNOWN, UNKNOWN));
    assert_eq!((context.network(), context.state()), ("wifi", AppState::Background));
    assert_eq!(context.installation_unverified(), Some("D-1"));
}

#[test]
fn client_hints_are_a_browsers() {
    let context = read(&[
        ("sec-ch-ua-platform", "\"Android\""),
        ("sec-ch-ua-platform-version", "\"14.0.0\""),
        ("sec-ch-ua-model", "\"Pixel 8\""),
        ("ect", "4g"),
        ("user-agent", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/120.0"),
    ]);
    assert_eq!(told(&context), (Platform::Web, UNKNOWN, UNKNOWN, "14.0.0", "Pixel 8"));
    assert_eq!(context.network(), "4g");
}

#[test]
fn user_agents_as_they_are_sent() {
    use Platform::{Android, Ios, Other, Unknown, Web};
    let unknown = UNKNOWN;
    for (agent, expected) in [
        ("Shop/412 CFNetwork/1490.0.4 Darwin/23.2.0", (Ios, unknown, "412", "17", unknown)),
        ("Shop/3.1.0 CFNetwork/3826.500.111 Darwin/25.1.0", (Ios, "3.1.0", unknown, "26", unknown)),
        (
            "Shop/3.1.0 (com.example.shop; build:412; iOS 17.2.0) Alamofire/5.8.1",
            (Ios, "3.1.0", "412", "17.2.0", unknown),
        ),
        (
            "Shop/3.1.0 (iPhone15,2; iOS 17.2; Scale/3.00)",
            (Ios, "3.1.0", unknown, "17.2", "iPhone15,2"),
        ),
        ("okhttp/4.12.0", (Android, unknown, unknown, unknown, unknown)),
        (
            "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)",
            (Android, unknown, unknown, "13", "Pixel 7"),
        ),
        (
            "Shop/5.2 (Android 14; Pixel 8 Pro) okhttp/4.12.0",
            (Android, "5.2", unknown, "14", "Pixel 8 Pro"),
        ),
        ("Shop/5.2 okhttp/4.12.0", (Android, "5.2", unknown, unknown, unknown)),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
            (Web, unknown, unknown, "17.2", "iPhone"),
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15",
            (Web, unknown, unknown, "16.6", "iPad"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile",
            (Web, unknown, unknown, "10", unknown),
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15",
            (Web, unknown, unknown, unknown, unknown),
        ),
        ("curl/8.5.0", (Other, unknown, unknown, unknown, unknown)),
        ("python-requests/2.32.3", (Other, unknown, unknown, unknown, unknown)),
        ("Dart/3.5 (dart:io)", (Unknown, unknown, unknown, unknown, unknown)),
        ("Shop/1.0", (Unknown, unknown, unknown, unknown, unknown)),
        ("", (Unknown, unknown, unknown, unknown, unknown)),
        ("(((;;;Android ;/", (Unknown, unknown, unknown, unknown, unknown)),
    ] {
        let context = read(&[("user-agent", agent)]);
        assert_eq!(told(&context), expected, "{agent}");
    }
}

#[test]
fn values_are_cut_and_cleaned_and_long_installations_are_none() {
    let long = format!(
        "version=\"{}\", model=\"<b>x;{{}}\", installation=\"{}\"",
        "1".repeat(300),
        "i".repeat(65)
    );
    let context = read(&[("plimsoll-client", &long)]);
    assert_eq!(context.version(), "1".repeat(VALUE_BYTES_MAX));
    assert_eq!(context.model(), "_b_x___");
    assert_eq!(context.installation_unverified(), None);
}

#[test]
fn the_context_is_small() {
    assert!(size_of::<ClientContext>() <= 40, "{}", size_of::<ClientContext>());
}

fn plain(lengths: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    let (low, high) = (lengths.start(), lengths.end());
    proptest::string::string_regex(&format!("[A-Za-z0-9.,_+()/:-]{{{low},{high}}}")).unwrap()
}

#[test]
fn what_a_mapped_header_says_is_never_remembered() {
    let headers =
        ClientHeaders { version: Some("x-app-version".parse().unwrap()), ..Default::default() };
    let rules = ClientRules::new(&headers);
    let mut memo = ClientMemo::default();
    for version in ["1.0", "2.0"] {
        let mut headers = HeaderMap::new();
        headers.insert("x-app-version", HeaderValue::from_static(version));
        let context = rules.read_again(&headers, &Fields::of(&headers), &mut memo);
        assert_eq!(context.version(), version);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_bounded(
        client in prop::collection::vec(any::<u8>(), 0..400),
        agent in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut headers = HeaderMap::new();
        for (name, bytes) in [(PLIMSOLL_CLIENT, client), (http::header::USER_AGENT, agent)] {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.insert(name, value);
            }
        }
        let context = ClientRules::default().read(&headers, &Fields::of(&headers));
        let (_, version, build, os, model) = told(&context);
        for value in [version, build, os, model, context.network()] {
            prop_assert!((1..=VALUE_BYTES_MAX).contains(&value.len()));
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"'));
        }
    }

    #[test]
    fn agents_made_of_the_patterns_are_survived(
        parts in prop::collection::vec(prop::sample::select(vec![
            "Mozilla/5.0", "Dalvik/2.1.0", "okhttp/4", "CFNetwork/1", "Darwin/", "Darwin/99999999",
            "(", ")", ";", " ", "Android ", "Android 13", "iPhone", "CPU iPhone OS ", " OS ",
            "iOS ",
            "build:", "17_2", "/", "Build/", " Build/",
        ]), 0..12),
    ) {
        let agent: String = parts.concat();
        let mut headers = HeaderMap::new();
        headers.insert(http::header::USER_AGENT, HeaderValue::from_str(&agent).unwrap());
        let context = ClientRules::default().read(&headers, &Fields::of(&headers));
        prop_assert!(context.os().len() <= VALUE_BYTES_MAX);
    }

    #[test]
    fn what_is_written_reads_back(
        platform in prop::sample::select(Platform::ALL.to_vec()),
        values in prop::collection::vec(plain(0..=VALUE_BYTES_MAX), 5),
        installation in "[A-Za-z0-9._:~-]{0,64}",
        state in prop::sample::select(vec!["foreground", "background", "prefetch", "unknown"]),
    ) {
        let field = format!(
            "platform={}, version=\"{}\", build=\"{}\", os=\"{}\", model=\"{}\", network=\"{}\", \
             installation=\"{installation}\", state={state}",
            platform.as_str(), values[0], values[1], values[2], values[3], values[4],
        );
        let context = read(&[("plimsoll-client", &field)]);
        let or_unknown = |text: &str| (if text.is_empty() { UNKNOWN } else { text }).to_owned();
        prop_assert_eq!(context.platform(), platform);
        prop_assert_eq!(context.version(), or_unknown(&values[0]));
        prop_assert_eq!(context.model(), or_unknown(&values[3]));
        prop_assert_eq!(context.network(), or_unknown(&values[4]).to_lowercase());
        prop_assert_eq!(context.state().as_str(), state);
        let written = context.to_dictionary();
        let again = if written.is_empty() {
            ClientContext::default()
        } else {
            read(&[("plimsoll-client", &written)])
        };
        prop_assert_eq!(again, context);
    }

    #[test]
    fn a_connection_that_says_something_else_is_read_anew(
        requests in proptest::collection::vec(
            (
                proptest::option::of(proptest::sample::select(SAID)),
                proptest::collection::vec(proptest::sample::select(AGENTS), 0..3),
                proptest::option::of(Just("\"Android\"")),
            ),
            1..12,
        ),
    ) {
        let mut memo = ClientMemo::default();
        for (said, agents, hint) in requests {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(PLIMSOLL_CLIENT, HeaderValue::from_static(said));
            }
            for agent in agents {
                headers.append("user-agent", HeaderValue::from_static(agent));
            }
            if let Some(hint) = hint {
                headers.insert("sec-ch-ua-platform", HeaderValue::from_static(hint));
            }
            let anew = ClientRules::default().read(&headers, &Fields::of(&headers));
            for again in read_after(&mut memo, &headers) {
                prop_assert_eq!(&again, &anew);
            }
        }
    }
}
