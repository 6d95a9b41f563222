use proptest::prelude::*;

use super::*;

const OURS: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

fn chosen(text: &str) -> Accepted {
    negotiate([&HeaderValue::from_str(text).unwrap()], &OURS)
}

fn coding(text: &str) -> Option<&'static str> {
    chosen(text).coding.map(Coding::as_str)
}

#[test]
fn what_clients_really_send() {
    for (who, text, expected) in [
        ("Chromium", "gzip, deflate, br, zstd", Some("br")),
        ("Safari, URLSession", "gzip, deflate, br", Some("br")),
        ("curl --compressed", "deflate, gzip, br, zstd", Some("br")),
        ("OkHttp", "gzip", Some("gzip")),
        ("Dart", "gzip", Some("gzip")),
        ("Java", "gzip, x-gzip, deflate", Some("gzip")),
        ("requests", "gzip, deflate", Some("gzip")),
        ("Go", "gzip", Some("gzip")),
        ("wget", "identity", None),
        ("range requests of browsers", "identity;q=1, *;q=0", None),
        ("empty", "", None),
        ("deflate alone", "deflate", None),
        ("dictionaries", "gzip, deflate, br, zstd, dcb, dcz", Some("br")),
    ] {
        assert_eq!(coding(text), expected, "{who}");
    }
}

#[test]
fn weights_are_obeyed() {
    for (text, expected) in [
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("br;q=0.001", Some("br")),
        ("br;q=0, gzip", Some("gzip")),
        ("br;q=0", None),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0.5, identity;q=0.5", Some("gzip")),
        ("gzip ; q=0.8 , zstd;Q=0.9", Some("zstd")),
        ("zstd;q=0.8,br;q=0.8,gzip;q=0.8", Some("br")),
        ("GZIP", Some("gzip")),
        ("gzip;q=1.001, br;q=2", None),
        ("gzip;q=0.0001", None),
        ("gzip;q=", None),
        ("gzip;q=x", None),
        ("gzip;level=9;q=0", None),
        ("gzip;q=0, gzip;q=1", None),
        ("*", Some("gzip")),
        ("*;q=0", None),
        ("br, *;q=0", Some("br")),
        ("gzip;q=0, *", None),
        ("gzipp, br2, xgzip", None),
    ] {
        assert_eq!(coding(text), expected, "{text}");
    }
}

#[test]
fn identity_can_be_refused() {
    for (text, expected) in [
        ("gzip", true),
        ("gzip, identity;q=0", false),
        ("gzip, *;q=0", false),
        ("gzip, identity;q=0.1, *;q=0", true),
        ("identity;q=0", false),
        ("", true),
        ("*", true),
    ] {
        assert_eq!(chosen(text).identity, expected, "{text}");
    }
}

#[test]
fn several_lines_are_one_list_and_none_is_identity() {
    let lines = ["gzip;q=0.5", "br"].map(HeaderValue::from_static);
    assert_eq!(negotiate(&lines, &OURS).coding, Some(Coding::Brotli));
    assert_eq!(negotiate(std::iter::empty(), &OURS), Accepted::IDENTITY);
}

#[test]
fn only_what_is_offered_is_chosen_and_its_order_decides() {
    let field = HeaderValue::from_static("gzip, br, zstd");
    assert_eq!(negotiate([&field], &[Coding::Zstd, Coding::Brotli]).coding, Some(Coding::Zstd));
    assert_eq!(negotiate([&field], &[Coding::Gzip]).coding, Some(Coding::Gzip));
    assert_eq!(negotiate([&field], &[]).coding, None);
}

#[test]
fn members_beyond_the_bound_are_not_accepted() {
    let mut text = "a,".repeat(MEMBERS_MAX);
    text.push_str("gzip");
    assert_eq!(coding(&text), None);
    assert_eq!(coding(&text["a,".len()..]), Some("gzip"));
}

proptest! {
    #[test]
    fn no_field_is_too_strange(bytes in prop::collection::vec(0x20u8..=0xff, 0..80)) {
        let Ok(field) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let accepted = negotiate([&field], &OURS);
        // What was never named is never chosen.
        if let Some(coding) = accepted.coding {
            let lower = bytes.to_ascii_lowercase();
            let name = coding.as_str().as_bytes();
            let named = lower.windows(name.len()).any(|some| some == name);
            prop_assert!(named || (coding == Coding::Gzip && bytes.contains(&b'*')));
        }
    }

    #[test]
    fn a_weight_means_its_number(thousandths in 0u16..=1000, digits in 1usize..=3) {
        let shown = format!("{:.digits$}", f64::from(thousandths) / 1000.0);
        let number: f64 = shown.parse().unwrap();
        let read = f64::from(qvalue(shown.as_bytes()).unwrap()) / 1000.0;
        prop_assert!((read - number).abs() < 1e-9);
    }
}
