//! No text and no change of a good token gets through.

use proptest::prelude::*;

use super::super::AuthError;
use super::helper::{Range, TestKey, claims, key_set};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever one character is changed to, the token is another one and not verified.
    #[test]
    fn no_changed_token_passes(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/ -]") {
        thread_local!(static RANGE: Range = Range::new());
        RANGE.with(|range| {
            for key in [&range.ec, &range.ed] {
                let token = key.token(&claims("alice"));
                let at = at.index(token.len());
                let mut changed = token.clone();
                changed.replace_range(at..=at, &to);
                if changed != token {
                    let result = range.world.verify(&range.authenticator, &changed);
                    assert!(matches!(result, Err(AuthError::Refused(_))), "{result:?}");
                }
            }
        });
    }

    /// No text makes the reader panic or pass.
    #[test]
    fn no_text_passes(text in ".{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 3)) {
        thread_local!(static RANGE: Range = Range::new());
        RANGE.with(|range| {
            for token in [text.clone(), parts.join(".")] {
                assert!(range.world.verify(&range.authenticator, &token).is_err());
            }
        });
    }

    /// No bytes make the key set's reader panic, and no damaged one loses its bounds.
    #[test]
    fn no_key_set_panics(text in ".{0,200}", cut in any::<prop::sample::Index>()) {
        thread_local!(static SET: String = key_set(&[&TestKey::p256("a"), &TestKey::rsa("b")]));
        SET.with(|set| {
            let cut = &set[..cut.index(set.len())];
            assert!(super::super::inspect_key_set(cut.as_bytes()).is_err());
            let member = format!("{{\"keys\":[{text}]}}");
            for bytes in [text.as_bytes(), member.as_bytes()] {
                if let Ok(report) = super::super::inspect_key_set(bytes) {
                    assert_eq!(report.usable, 0);
                }
            }
        });
    }
}
