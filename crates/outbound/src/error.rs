//! Why a call failed, and what to do.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;

/// How far a call had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Waiting for one of the few places for outbound calls.
    Queue,
    /// Asking for the name's addresses.
    Resolve,
    /// Opening the connection.
    Connect,
    /// Agreeing on TLS.
    Handshake,
    /// Waiting for the status line and headers.
    Answer,
    /// Reading the body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for a free place among the outbound calls",
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Handshake => "agreeing on TLS",
            Self::Answer => "waiting for the answer's headers",
            Self::Body => "reading the body",
        })
    }
}

/// Why a call failed. The text says what to do; it names a host and port at most, never a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// The URL is not one we call.
    #[error("the URL cannot be called: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header field that cannot be sent. Neither its name nor its value is shown.
    #[error("header field {index} cannot be sent: use a token as name and visible ASCII as value")]
    Header {
        /// Which one, counted from one.
        index: usize,
    },
    /// An address of the host is one we do not call.
    #[error("{host} is {address}, {why}: {advice}")]
    Forbidden {
        /// Host and port of the URL.
        host: String,
        /// The address that was refused.
        address: IpAddr,
        /// What kind of address it is.
        why: &'static str,
        /// What can be done about it.
        advice: &'static str,
    },
    /// Plain `http` to an address that is not private.
    #[error("{host} would be called without TLS over the internet: use an https URL")]
    PlainHttp {
        /// Host and port of the URL.
        host: String,
    },
    /// The name did not resolve.
    #[error("{host} did not resolve: {source}; check the name and this machine's DNS")]
    Resolve {
        /// Host and port of the URL.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address accepted a connection. The source is the last one's fault.
    #[error(
        "no connection to {host}: {source}; check that it runs and that a firewall lets us out"
    )]
    Connect {
        /// Host and port of the URL.
        host: String,
        /// The fault at the last address tried.
        source: io::Error,
    },
    /// TLS could not be agreed on.
    #[error(
        "no TLS with {host}: {source}; if its certificate comes from a private authority, add that \
         authority's certificate to the extra roots"
    )]
    Tls {
        /// Host and port of the URL.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The machine has no root certificates, so no certificate can be believed.
    #[error(
        "{host} cannot be called over TLS: this machine has no root certificates; install the \
         package ca-certificates or give extra roots"
    )]
    NoRoots {
        /// Host and port of the URL.
        host: String,
    },
    /// The extra roots given to us could not be used.
    #[error("the extra root certificates cannot be used: {reason}; give them as PEM")]
    ExtraRoots {
        /// What is wrong.
        reason: String,
    },
    /// The TLS library refused our settings.
    #[error("TLS could not be set up: {0}")]
    TlsSetup(#[source] rustls::Error),
    /// The deadline passed.
    #[error("{host} did not finish within {deadline:?} (it passed while {phase})")]
    Deadline {
        /// Host and port of the URL.
        host: String,
        /// The total time the call was given.
        deadline: Duration,
        /// What we were doing.
        phase: Phase,
    },
    /// The peer wants us to go elsewhere. We never do: a redirect could lead past the checks.
    #[error("{host} answered with a redirect ({status}): configure the final URL")]
    Redirect {
        /// Host and port of the URL.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The body is larger than the caller takes.
    #[error(
        "{host} answered with more than {bytes_max} bytes: check that the URL is the right one"
    )]
    TooLarge {
        /// Host and port of the URL.
        host: String,
        /// The caller's cap, bytes.
        bytes_max: usize,
    },
    /// The body came encoded although we asked for it plain.
    #[error("{host} answered with a compressed body, which was not asked for")]
    Encoded {
        /// Host and port of the URL.
        host: String,
    },
    /// The answer is not valid HTTP/1.1, or the connection broke.
    #[error("{host} did not answer in valid HTTP: {source}")]
    Http {
        /// Host and port of the URL.
        host: String,
        /// What went wrong.
        source: hyper::Error,
    },
}
