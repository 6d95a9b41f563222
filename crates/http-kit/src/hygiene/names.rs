//! Which header names mean what to hygiene.
//!
//! Names arrive in lower case (`http::HeaderName` holds no other). The first byte decides most
//! names at once, so that a typical header costs a few instructions.

/// What a header name means to hygiene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: passed on.
    Plain,
    /// `Host`.
    Host,
    /// `Content-Length`.
    ContentLength,
    /// `Authorization`.
    Authorization,
    /// `Transfer-Encoding`: ours to write anew.
    TransferEncoding,
    /// `Connection`.
    Connection,
    /// `Upgrade`.
    Upgrade,
    /// `TE`.
    Te,
    /// `Expect`: the edge answers 100 itself when it begins to read the body.
    Expect,
    /// Another field that concerns only one connection.
    HopByHop,
    /// Says where a request came from or went to; ours to write anew.
    Forwarding,
    /// Asserts who is asking; only a gateway may say that.
    Identity,
    /// `Plimsoll-*`: ours.
    Own,
    /// A name that a CGI-like service cannot tell from one of the above, such as `x_user_id`.
    Disguised,
}

/// The kind of a lower-case header name.
#[inline]
pub(super) fn classify(name: &str) -> Kind {
    match classify_exact(name) {
        Kind::Plain if has_underscore(name.as_bytes()) => classify_underscored(name),
        kind => kind,
    }
}

#[inline]
fn classify_exact(name: &str) -> Kind {
    let Some(first) = name.as_bytes().first() else {
        return Kind::Plain;
    };
    match first {
        b'a' if name == "authorization" => Kind::Authorization,
        b'c' => match name {
            "content-length" => Kind::ContentLength,
            "connection" => Kind::Connection,
            "cf-connecting-ip" => Kind::Forwarding,
            "client-cert" | "client-cert-chain" => Kind::Identity,
            _ => Kind::Plain,
        },
        b'e' if name == "expect" => Kind::Expect,
        b'f' => match name {
            "forwarded" | "fastly-client-ip" => Kind::Forwarding,
            _ => Kind::Plain,
        },
        b'h' => match name {
            "host" => Kind::Host,
            "http2-settings" => Kind::HopByHop,
            _ => Kind::Plain,
        },
        b'k' if name == "keep-alive" => Kind::HopByHop,
        b'p' if name.starts_with("plimsoll-") => Kind::Own,
        b'p' => match name {
            "proxy-connection" | "proxy-authorization" | "proxy-authenticate" => Kind::HopByHop,
            _ => Kind::Plain,
        },
        b'r' => match name {
            "remote-email" | "remote-groups" | "remote-name" | "remote-user" => Kind::Identity,
            _ => Kind::Plain,
        },
        b't' => match name {
            "te" => Kind::Te,
            "transfer-encoding" => Kind::TransferEncoding,
            "true-client-ip" => Kind::Forwarding,
            _ => Kind::Plain,
        },
        b'u' if name == "upgrade" => Kind::Upgrade,
        b'x' => classify_x(name),
        _ => Kind::Plain,
    }
}

/// `x-` and the letter after it split these names into handfuls.
fn classify_x(name: &str) -> Kind {
    let identity = match name.as_bytes().get(2) {
        Some(b'a') => {
            matches!(
                name,
                "x-anonymous-consumer"
                    | "x-authenticated-groups"
                    | "x-authenticated-scope"
                    | "x-authenticated-user"
                    | "x-authenticated-userid"
            ) || name.starts_with("x-amzn-oidc-")
                || name.starts_with("x-auth-request-")
        }
        Some(b'c') => match name {
            "x-client-ip" | "x-cluster-client-ip" => return Kind::Forwarding,
            "x-client-cert" | "x-client-verify" | "x-credential-identifier" => true,
            _ => name.starts_with("x-consumer-"),
        },
        Some(b'e') if name == "x-envoy-external-address" => return Kind::Forwarding,
        Some(b'f') => return classify_x_forwarded(name),
        Some(b'g') => {
            name == "x-goog-iap-jwt-assertion" || name.starts_with("x-goog-authenticated-user-")
        }
        Some(b'h') if name == "x-host" => return Kind::Forwarding,
        Some(b'j') => name == "x-jwt-assertion",
        Some(b'm') => name.starts_with("x-ms-client-principal"),
        // Old frameworks route by `x-original-url` and `x-rewrite-url` in place of the request
        // target, past every policy.
        Some(b'o') => match name {
            "x-original-forwarded-for" | "x-original-host" | "x-original-url" => {
                return Kind::Forwarding;
            }
            _ => false,
        },
        Some(b'p') if name == "x-proxyuser-ip" => return Kind::Forwarding,
        Some(b'r') => match name {
            "x-real-ip" | "x-rewrite-url" => return Kind::Forwarding,
            _ => name == "x-remote-user",
        },
        Some(b's') => name == "x-ssl-cert" || name.starts_with("x-ssl-client-"),
        Some(b'u') => matches!(name, "x-user" | "x-user-email" | "x-user-id" | "x-userinfo"),
        Some(b'w') => name == "x-webauth-user",
        _ => false,
    };
    if identity { Kind::Identity } else { Kind::Plain }
}

fn classify_x_forwarded(name: &str) -> Kind {
    match name.strip_prefix("x-forwarded") {
        Some(
            "-access-token"
            | "-client-cert"
            | "-email"
            | "-groups"
            | "-preferred-username"
            | "-user",
        ) => Kind::Identity,
        Some(rest) if rest.is_empty() || rest.starts_with('-') => Kind::Forwarding,
        _ => Kind::Plain,
    }
}

/// Whether what a service reads under this name is the edge's word and not the client's: what came
/// under it was taken out, or written anew.
#[must_use]
pub fn is_written_by_the_edge(name: &str) -> bool {
    matches!(name, "x-request-id" | "traceparent" | "tracestate")
        || matches!(classify(name), Kind::Forwarding | Kind::Identity | Kind::Own | Kind::Disguised)
}

/// Whether a lower-case header name is one by which gateways tell a service who is asking. Such a
/// field from a client is never passed on.
#[must_use]
pub fn is_identity_header(name: &str) -> bool {
    classify_exact(name) == Kind::Identity
}

/// Whether a `Connection` field must not name this (lower-case) field: taking it out would change
/// what the request means or who it comes from.
pub(super) fn is_protected(name: &str) -> bool {
    match classify(name) {
        Kind::Host
        | Kind::ContentLength
        | Kind::TransferEncoding
        | Kind::Authorization
        | Kind::Expect
        | Kind::Forwarding
        | Kind::Identity
        | Kind::Own
        | Kind::Disguised => true,
        Kind::Connection | Kind::Upgrade | Kind::Te | Kind::HopByHop => false,
        Kind::Plain => matches!(
            name,
            "accept"
                | "api-key"
                | "cache-control"
                | "content-encoding"
                | "content-range"
                | "content-type"
                | "cookie"
                | "date"
                | "dpop"
                | "idempotency-key"
                | "if-match"
                | "if-none-match"
                | "if-modified-since"
                | "if-unmodified-since"
                | "origin"
                | "range"
                | "request-id"
                | "set-cookie"
                | "traceparent"
                | "tracestate"
                | "via"
                | "x-api-key"
                | "x-request-id"
        ),
    }
}

/// CGI, WSGI and their kin turn `-` and `_` into the same character, so `x_user_id` reaches such a
/// service as `X-User-Id`, and `content_length` as `Content-Length`.
#[cold]
fn classify_underscored(name: &str) -> Kind {
    let mut buffer = [0u8; 64];
    let Some(buffer) = buffer.get_mut(..name.len()) else {
        // No name of interest is that long, but a prefix may be.
        return if name.starts_with("plimsoll_") || name.starts_with("x_forwarded_") {
            Kind::Disguised
        } else {
            Kind::Plain
        };
    };
    for (to, from) in buffer.iter_mut().zip(name.bytes()) {
        *to = if from == b'_' { b'-' } else { from };
    }
    match std::str::from_utf8(buffer).map(classify_exact) {
        Ok(Kind::Plain) | Err(_) => Kind::Plain,
        Ok(_) => Kind::Disguised,
    }
}

/// Eight bytes at a time: a name is rarely longer than 24.
#[inline]
fn has_underscore(name: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        let x = u64::from_ne_bytes(*word) ^ (ONES * b'_' as u64);
        if x.wrapping_sub(ONES) & !x & (ONES << 7) != 0 {
            return true;
        }
    }
    rest.contains(&b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_gateways_assert_is_identity() {
        for name in ["client-cert", "x-user", "x-webauth-user", "remote-user", "x-forwarded-user"] {
            assert!(is_identity_header(name), "{name}");
        }
        for name in ["x-auth-request-email", "x-amzn-oidc-data", "x-ms-client-principal-id"] {
            assert_eq!(classify(name), Kind::Identity, "{name}");
        }
    }

    #[test]
    fn what_a_service_could_mistake_is_disguised() {
        for name in [
            "x_user_id",
            "x-user_id",
            "content_length",
            "transfer_encoding",
            "plimsoll_subject",
            "x_forwarded_for",
            "remote_user",
            "authorization_",
            "proxy_connection",
        ] {
            let expected = if name == "authorization_" { Kind::Plain } else { Kind::Disguised };
            assert_eq!(classify(name), expected, "{name}");
        }
        let long = format!("plimsoll_{}", "x".repeat(80));
        assert_eq!(classify(&long), Kind::Disguised);
    }

    #[test]
    fn what_apps_send_is_plain() {
        for name in [
            "accept",
            "accept-encoding",
            "content-type",
            "cookie",
            "user-agent",
            "x-api-key",
            "x-platform",
            "x-tenant-id",
            "x-request-id",
            "traceparent",
            "trailer",
            "range",
            "x-requested-with",
            "x-http-method-override",
            "x-csrf-token",
            "x_custom",
        ] {
            assert_eq!(classify(name), Kind::Plain, "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_word_search_agrees_with_the_plain_one(
            name in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            prop_assert_eq!(has_underscore(&name), name.contains(&b'_'));
        }
    }
}
