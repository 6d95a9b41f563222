//! The label values that are known here: each set an enum, so that it is closed.

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every label value, in the order of the variants.
            pub const LABELS: &'static [&'static str] = &[$($label),+];

            /// The label value.
            #[must_use]
            pub const fn label(self) -> &'static str {
                Self::LABELS[self as usize]
            }
        }
    };
}

labels! {
    /// Why a connection was closed before it was served.
    ConnectionRefusal {
        /// `connections_max` was reached.
        Total => "connections_max",
        /// `connections_per_ip_max` was reached.
        PerIp => "connections_per_ip_max",
        /// The node drains.
        Draining => "draining",
        /// No file descriptor was left.
        Descriptors => "descriptors",
    }
}

labels! {
    /// What a slow client held open when it was cut off.
    SlowClient {
        /// The head did not arrive within `header_timeout`.
        Header => "header",
        /// The body stood still for `body_idle_timeout`.
        Body => "body",
        /// The client did not read for `write_stall_timeout`.
        Write => "write",
        /// The connection was idle for `keep_alive`.
        KeepAlive => "keep_alive",
    }
}

labels! {
    /// How a health check ended.
    HealthCheck {
        /// The answer was 2xx.
        Passed => "passed",
        /// It was another, or there was none in time.
        Failed => "failed",
    }
}

labels! {
    /// When a call was refused that could leave no entry.
    AuditRefusal {
        /// Before anything was sent to the service.
        BeforeSending => "before_sending",
        /// The service has had it.
        AfterSending => "after_sending",
    }
}

labels! {
    /// What became of a write with a key.
    KeyedWrite {
        /// It was sent to the service, and its answer is kept.
        Executed => "executed",
        /// It was sent, and the service said "come again": nothing is kept.
        Declined => "declined",
        /// It was to be sent, and nothing of it can have been executed.
        NotSent => "not_sent",
        /// It was answered with the first one's answer.
        Replayed => "replayed",
        /// It waited for the first one, and that was not done in time.
        InProgress => "in_progress",
        /// Its key was used for another request.
        OtherRequest => "other_request",
        /// Its key was used by another caller.
        OtherCaller => "other_caller",
        /// It may have been executed.
        Unknown => "unknown",
        /// No record could be made, and it was not sent.
        Unrecorded => "unrecorded",
        /// No record could be made, and it was sent: `on_store_down = "pass"`.
        PassedUnrecorded => "passed_unrecorded",
        /// It was answered, and that could not be noted in time.
        AnswerNotNoted => "answer_not_noted",
    }
}

labels! {
    /// How authenticating a request ended.
    AuthOutcome {
        /// A token was verified.
        Verified => "verified",
        /// The operation is public.
        Public => "public",
        /// Credentials were passed to the backend unread.
        PassedThrough => "passed_through",
        /// No token.
        Missing => "missing",
        /// Not a token this edge can read.
        Malformed => "malformed",
        /// Expired, or not valid yet.
        Expired => "expired",
        /// Issued by nobody configured.
        UnknownIssuer => "unknown_issuer",
        /// Meant for another audience.
        WrongAudience => "wrong_audience",
        /// Signed by a key the issuer does not publish.
        UnknownKey => "unknown_key",
        /// An algorithm that is not allowed.
        WrongAlgorithm => "wrong_algorithm",
        /// The signature does not match.
        BadSignature => "bad_signature",
        /// Refused by any other rule.
        Refused => "refused",
        /// Verified, but without the scope.
        ScopeMissing => "scope_missing",
        /// Verified, but revoked.
        Revoked => "revoked",
        /// The issuer's keys could not be had, or which tokens are revoked is not known.
        Unavailable => "unavailable",
    }
}

labels! {
    /// What the verified-token cache answered.
    CacheResult {
        /// The token stood in the cache.
        Hit => "hit",
        /// It had to be verified.
        Miss => "miss",
    }
}

labels! {
    /// What the response cache did with a request.
    CacheOutcome {
        /// Answered from the store.
        Hit => "hit",
        /// Answered from the store although stale.
        Stale => "stale",
        /// Answered from the store after the service said that it still holds.
        Revalidated => "revalidated",
        /// Answered by the service, and stored.
        Miss => "miss",
        /// Answered with what another request was answered.
        Collapsed => "collapsed",
    }
}

labels! {
    /// What became of an answer between this node's cache and the others'.
    SharedCache {
        /// Another node had stored one that is used.
        Hit => "hit",
        /// None had.
        Miss => "miss",
        /// One had, and nobody can tell what was written since it was asked for.
        Unproven => "unproven",
        /// Redis did not answer in time, or too many asked.
        Slow => "slow",
        /// Redis is gone.
        Away => "away",
        /// One of this node's was stored for the others.
        Stored => "stored",
        /// One was not, because too many waited or Redis is gone.
        Dropped => "dropped",
    }
}

labels! {
    /// Of which writes other nodes heard before they were answered.
    CacheTold {
        /// All that may use what they stored have heard of it.
        Told => "told",
        /// Not all, within the time that a write waits.
        Late => "late",
        /// None: Redis is gone, and none uses what it stored for whoever writes.
        Alone => "alone",
    }
}

labels! {
    /// How fetching an issuer's keys ended.
    KeyRefresh {
        /// Fetched.
        Ok => "ok",
        /// Failed; the keys at hand stay in use until they are too old.
        Failed => "failed",
    }
}

labels! {
    /// What became of a changed manifest.
    Reload {
        /// In use.
        Ok => "ok",
        /// Refused; the one before goes on.
        Refused => "refused",
    }
}

labels! {
    /// What became of an installation.
    InstallationOutcome {
        /// An app was given a new one.
        Given => "given",
        /// An app was given none, because its address had its share.
        Bounded => "bounded",
        /// One was presented whose mark is wrong.
        Forged => "forged",
    }
}

labels! {
    /// The content coding of an answer.
    AnswerCoding {
        /// Brotli.
        Br => "br",
        /// Zstandard.
        Zstd => "zstd",
        /// gzip.
        Gzip => "gzip",
    }
}

labels! {
    /// How a request to an upstream failed.
    UpstreamErrorKind {
        /// No connection.
        Connect => "connect",
        /// No connection within the connect timeout.
        ConnectTimeout => "connect_timeout",
        /// No answer within the first-byte timeout.
        FirstByteTimeout => "first_byte_timeout",
        /// No complete answer within the total timeout.
        TotalTimeout => "total_timeout",
        /// The connection was reset or closed before an answer.
        Reset => "reset",
        /// The answer's body broke off.
        Body => "body",
        /// The answer was no HTTP, or broke a framing rule.
        Protocol => "protocol",
        /// Every URL of the release is ejected.
        NoneHealthy => "none_healthy",
        /// The pool's bound on connections was reached.
        PoolFull => "pool_full",
    }
}

labels! {
    /// A kind of telemetry.
    OtlpSignal {
        /// Spans.
        Traces => "traces",
        /// Figures.
        Metrics => "metrics",
        /// Log records.
        Logs => "logs",
    }
}

labels! {
    /// Why a span was not exported.
    SpanDrop {
        /// The core's own buffer was full.
        BufferFull => "buffer_full",
        /// Too many waited to be sent.
        QueueFull => "queue_full",
        /// The receiver could not be reached or refused the batch.
        ExportFailed => "export_failed",
        /// The receiver took the batch, but not this span.
        Refused => "refused",
        /// The process ended before it could be sent.
        Shutdown => "shutdown",
    }
}

labels! {
    /// Why a request to `/otlp` was refused.
    OtlpRefusal {
        /// Neither protocol buffers nor JSON.
        MediaType => "media_type",
        /// Larger than the bound, before or after inflating.
        TooLarge => "too_large",
        /// Not what it says it is.
        Malformed => "malformed",
        /// Too many at once.
        Busy => "busy",
    }
}

labels! {
    /// The bound that a database call met.
    CallBound {
        /// Traces that wait to be put together.
        Traces => "traces",
        /// Spans of one trace.
        SpansOfTrace => "spans_of_trace",
        /// Operations told apart.
        Operations => "operations",
        /// Statements of one operation told apart.
        Statements => "statements",
    }
}
