//! Every refusal and failure that the edge answers with, under a code that never changes meaning.
//!
//! A code is for machines and for search; its title is for people; its page under `docs/errors/`
//! says what happened, why, and what the app developer and the operator do. A code that is no
//! longer used keeps its number and its page. `docs/errors/README.md` is made from this file
//! ([`index_markdown`]) and the tests prove that pages and codes match both ways.

use std::fmt;

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $number:literal, $status:ident, $title:literal,
        $detail:literal;)+) => {
        /// A stable code of an answer made by the edge itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// The code as clients and logs see it, such as `PLM-EDGE-0007`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => concat!("PLM-EDGE-", $number),)+
                }
            }

            /// The problem type (RFC 9457 §3.1.1): the address of the code's page.
            #[must_use]
            pub const fn type_uri(self) -> &'static str {
                match self {
                    $(Code::$name => concat!("https://plimsoll.dev/errors/PLM-EDGE-", $number),)+
                }
            }

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Code::$name => StatusCode::$status,)+
                }
            }

            /// The problem's title (RFC 9457 §3.1.3): the same in every answer with this code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Code::$name => $title,)+
                }
            }

            /// What the answer says when nothing more is known about this very request.
            #[must_use]
            pub const fn detail(self) -> &'static str {
                match self {
                    $(Code::$name => $detail,)+
                }
            }
        }
    };
}

codes! {
    // 00xx: the request's own form.

    /// The length of the body is stated twice, in conflict, or not as RFC 9112 §6 allows.
    BadFraming = "0001", BAD_REQUEST, "Ambiguous message framing",
        "Content-Length or Transfer-Encoding is missing, repeated, in conflict or malformed.";
    /// The target's path is one that two servers could read in two ways.
    BadPath = "0002", BAD_REQUEST, "Refused request path",
        "The request target is not one that every server reads in the same way.";
    /// `Host` or `:authority` is missing, repeated, malformed or in conflict.
    BadHost = "0003", BAD_REQUEST, "Missing or invalid Host",
        "Exactly one valid Host is needed, and it must agree with the request target.";
    /// `Connection` names a field that must not be taken out of a request.
    BadConnection = "0004", BAD_REQUEST, "Forbidden Connection option",
        "The Connection field is malformed or names a field that must reach the service.";
    /// The header section has too many fields or too many bytes.
    HeadersTooLarge = "0005", REQUEST_HEADER_FIELDS_TOO_LARGE, "Header section too large",
        "The request has too many header fields, or too many bytes in them.";
    /// The request target is too long.
    TargetTooLong = "0006", URI_TOO_LONG, "Request target too long",
        "The path and query together are longer than the edge accepts.";
    /// The body is larger than the operation allows.
    BodyTooLarge = "0007", PAYLOAD_TOO_LARGE, "Request body too large",
        "The request body is larger than this operation allows.";
    /// `Expect` asks for something other than `100-continue`.
    BadExpectation = "0008", EXPECTATION_FAILED, "Unsupported expectation",
        "The only expectation the edge knows is 100-continue.";
    /// The client stopped sending its request body.
    BodyTimeout = "0009", REQUEST_TIMEOUT, "Request body stalled",
        "No byte of the request body came for longer than the edge waits.";
    /// A method that the edge never forwards.
    MethodUnsupported = "0010", NOT_IMPLEMENTED, "Method not supported",
        "The edge does not forward this method.";
    /// An upgrade was asked for where the manifest declares none.
    UpgradeNotDeclared = "0011", FORBIDDEN, "Upgrade not declared here",
        "No passthrough is declared for this path, so the connection cannot change protocol here.";
    /// The request body broke its own framing while it was read.
    BadBody = "0012", BAD_REQUEST, "Broken request body",
        "The request body ended early or is not encoded as its header section says.";
    /// The head is not HTTP/1.1 (RFC 9112 §2).
    BadHead = "0013", BAD_REQUEST, "Malformed request head",
        "The request line or a header field is not HTTP/1.1.";
    /// A page asks whether it may call, and may not (Fetch standard §3.2).
    OriginNotAllowed = "0014", FORBIDDEN, "Origin not allowed",
        "Pages of this origin may not call this API.";

    // 01xx: routing.

    /// No contract knows the path.
    NotFound = "0101", NOT_FOUND, "No such operation",
        "No operation of any service has this path.";
    /// The path is known, the method is not.
    MethodNotAllowed = "0102", METHOD_NOT_ALLOWED, "Method not allowed",
        "Operations exist at this path, but not with this method; Allow lists those that do.";

    // 02xx: who is asking.

    /// The operation needs a token and none came.
    TokenMissing = "0201", UNAUTHORIZED, "Access token required",
        "This operation needs an access token: Authorization: Bearer followed by the token.";
    /// What came is no signed JWT.
    TokenMalformed = "0202", UNAUTHORIZED, "Malformed access token",
        "The access token is not a signed JWT in compact form.";
    /// The token's time is over.
    TokenExpired = "0203", UNAUTHORIZED, "Access token expired",
        "The access token has expired; get a new one and ask again.";
    /// The token's time has not begun.
    TokenNotYetValid = "0204", UNAUTHORIZED, "Access token not valid yet",
        "The access token is not valid yet; its nbf or iat lies in the future.";
    /// The token comes from an issuer that the manifest does not name.
    TokenIssuer = "0205", UNAUTHORIZED, "Unknown token issuer",
        "The access token was issued by nobody whom this edge trusts.";
    /// The token is meant for somebody else.
    TokenAudience = "0206", UNAUTHORIZED, "Wrong token audience",
        "The access token was issued for another audience.";
    /// The token is signed in a way that the issuer's entry does not allow.
    TokenAlgorithm = "0207", UNAUTHORIZED, "Token algorithm not allowed",
        "The access token is unsigned, or signed with an algorithm that is not allowed.";
    /// The signature is not the issuer's.
    TokenSignature = "0208", UNAUTHORIZED, "Invalid token signature",
        "The signature of the access token does not verify.";
    /// The issuer publishes no such key.
    TokenKey = "0209", UNAUTHORIZED, "Unknown token key",
        "The issuer publishes no key with the id that the access token names.";
    /// The token is of a type, or demands an extension, that the edge does not take.
    TokenType = "0210", UNAUTHORIZED, "Token type not accepted",
        "The access token is of another type, or demands an extension that is not understood.";
    /// The token is good and not enough.
    InsufficientScope = "0211", FORBIDDEN, "Insufficient scope",
        "The access token does not carry the scope that this operation needs.";
    /// The issuer's keys cannot be had, so nothing can be verified.
    AuthKeysUnavailable = "0212", SERVICE_UNAVAILABLE, "Token keys unavailable",
        "The issuer's keys cannot be had at the moment, so the token cannot be verified.";
    /// Credentials came more than once.
    CredentialsAmbiguous = "0213", BAD_REQUEST, "Ambiguous credentials",
        "Credentials were sent more than once; exactly one Authorization field is allowed.";
    /// The token was good until it was revoked.
    TokenRevoked = "0214", UNAUTHORIZED, "Access token revoked",
        "The access token was revoked; sign in again.";
    /// Which tokens were revoked of late is not known, and the operation insists on knowing.
    RevocationsUnknown = "0215", SERVICE_UNAVAILABLE, "Revocations not known",
        "Which tokens were revoked of late is not known here at the moment; ask again.";
    /// The token is bound to a key of its holder, and the edge checks no proof of it.
    TokenBound = "0216", UNAUTHORIZED, "Key-bound access token",
        "The access token is bound to a key of its holder (cnf); only plain ones are taken.";

    // 03xx: limits.

    /// A rate limit is used up.
    RateLimited = "0301", TOO_MANY_REQUESTS, "Rate limit exceeded",
        "A rate limit is used up; wait as long as Retry-After says.";
    /// Too many tokens that were never seen before from one address.
    UnverifiedLimited = "0302", TOO_MANY_REQUESTS, "Too many unverified tokens",
        "Too many tokens that had to be verified came from this address; wait and ask again.";
    /// One address has too many connections open.
    ConnectionsPerIp = "0303", TOO_MANY_REQUESTS, "Too many connections",
        "Too many connections are open from this address.";
    /// The edge has too many connections open.
    ConnectionsTotal = "0304", SERVICE_UNAVAILABLE, "Connection limit reached",
        "The edge has as many connections open as it is allowed to.";

    // 04xx: the service behind the edge.

    /// No connection to the service could be made.
    UpstreamConnect = "0401", BAD_GATEWAY, "Service unreachable",
        "The service behind the edge refused the connection or could not be reached.";
    /// The connection broke before the answer was whole.
    UpstreamReset = "0402", BAD_GATEWAY, "Service closed the connection",
        "The service behind the edge closed the connection before it had answered.";
    /// The answer is not HTTP, or not HTTP that may be passed on.
    UpstreamInvalid = "0403", BAD_GATEWAY, "Invalid answer from the service",
        "The service behind the edge sent an answer that is not valid HTTP.";
    /// Connecting took too long.
    UpstreamConnectTimeout = "0404", GATEWAY_TIMEOUT, "Service connect timeout",
        "No connection to the service behind the edge could be made in time.";
    /// The answer did not begin in time.
    UpstreamFirstByteTimeout = "0405", GATEWAY_TIMEOUT, "Service answer timeout",
        "The service behind the edge did not begin to answer in time.";
    /// The whole exchange took too long.
    UpstreamTotalTimeout = "0406", GATEWAY_TIMEOUT, "Request deadline exceeded",
        "The request was not done by its deadline.";
    /// Every address of the release is ejected.
    UpstreamUnhealthy = "0407", SERVICE_UNAVAILABLE, "No healthy service address",
        "No address of the service behind the edge is healthy at the moment.";
    /// All connections to the service are in use.
    UpstreamBusy = "0408", SERVICE_UNAVAILABLE, "Service connections exhausted",
        "All connections to the service behind the edge are in use.";
    /// The operation failed again and again, and is not sent on for a while.
    BreakerOpen = "0409", SERVICE_UNAVAILABLE, "Operation set aside",
        "This operation failed too often of late; it is tried again after Retry-After.";
    /// The service has all that it can take, and no place to wait was left.
    Shed = "0410", SERVICE_UNAVAILABLE, "Service at its limit",
        "The service has as much to do as it can take; ask again after Retry-After.";

    // 05xx: the edge itself.

    /// The edge is going down and takes no new work.
    Draining = "0501", SERVICE_UNAVAILABLE, "Edge draining",
        "This edge is shutting down; ask again on a new connection.";
    /// A defect of the edge.
    Internal = "0502", INTERNAL_SERVER_ERROR, "Internal error",
        "The edge failed; the request id finds the cause in the operator's log.";
    /// The operation must leave an entry in the ledger, and none can be taken.
    AuditUnavailable = "0503", SERVICE_UNAVAILABLE, "Audit not available",
        "This operation must be written down, and at the moment it cannot be.";

    // 06xx: keyed writes.

    /// The operation needs a key and none came.
    KeyMissing = "0601", BAD_REQUEST, "Idempotency key required",
        "This operation needs an Idempotency-Key: one for each write, the same when sent again.";
    /// What came is no key.
    KeyMalformed = "0602", BAD_REQUEST, "Malformed idempotency key",
        "Idempotency-Key is one quoted string (RFC 9651) or plain value of at most 255 characters.";
    /// The first request with the key is not done.
    KeyInUse = "0603", CONFLICT, "Write in progress",
        "The first request with this Idempotency-Key is not done yet; ask again with the same key.";
    /// The key was used for another request.
    KeyOtherRequest = "0604", UNPROCESSABLE_ENTITY, "Idempotency key reused",
        "This Idempotency-Key was used for another request; each write needs a key of its own.";
    /// The key was used by another caller.
    KeyOtherCaller = "0605", CONFLICT, "Idempotency key of another caller",
        "This Idempotency-Key was used by another caller; its answer is not shown.";
    /// The write may have been executed.
    OutcomeUnknown = "0606", GATEWAY_TIMEOUT, "Outcome of the write unknown",
        "The write may have been done; find out before you send it with another key.";
    /// No record of the write can be made.
    RecordUnavailable = "0607", SERVICE_UNAVAILABLE, "Write not recorded",
        "A write with an Idempotency-Key is recorded first, and at the moment it cannot be.";
    /// The body of a keyed write cannot be kept until it is sent.
    BodyNotHeld = "0608", SERVICE_UNAVAILABLE, "Request body not kept",
        "The body of a write with an Idempotency-Key is read first, and it cannot be kept now.";

    // 07xx: the cache.

    /// The client wants nothing but what is stored, and nothing is.
    NotStored = "0701", GATEWAY_TIMEOUT, "Nothing stored",
        "The request says only-if-cached, and nothing stored answers it.";
}

impl Code {
    /// Whether the connection must not be used again after this answer: where the next request
    /// begins is in doubt, the rest of a body is unread, or the edge is going away. The caller
    /// closes it (`Connection: close` over HTTP/1.1; over HTTP/2 only the stream ends).
    #[must_use]
    pub const fn closes_connection(self) -> bool {
        matches!(
            self,
            Code::BadFraming
                | Code::BadConnection
                | Code::BadHost
                | Code::HeadersTooLarge
                | Code::BodyTooLarge
                | Code::BodyTimeout
                | Code::BadBody
                | Code::BadHead
                | Code::MethodUnsupported
                | Code::ConnectionsPerIp
                | Code::ConnectionsTotal
                | Code::Draining
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text of `docs/errors/README.md`. `cargo run -p plimsoll-http-kit --example errors_index`
/// prints it.
#[must_use]
pub fn index_markdown() -> String {
    let mut text = String::from(
        "# Error codes\n\n\
         Every answer that the edge itself makes is a problem document (RFC 9457) with one of \
         these codes.\nA code never changes its meaning. This page is made from \
         `crates/http-kit/src/codes.rs`.\n\n\
         | Code | Status | Title |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let name = code.as_str();
        let status = code.status().as_u16();
        text.push_str(&format!("| [{name}]({name}.md) | {status} | {} |\n", code.title()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_ascending_and_statuses_are_errors() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{} {}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code}");
            assert_eq!(code.as_str().len(), "PLM-EDGE-0000".len());
            assert!(code.type_uri().ends_with(code.as_str()));
            assert!(code.detail().ends_with('.') && !code.title().ends_with('.'), "{code}");
        }
    }
}
