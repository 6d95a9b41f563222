//! `[cors]`: which web pages elsewhere may call the API.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HeaderName, Method, WebOrigin};

/// Which web pages elsewhere may call the API (CORS, Fetch standard section 3.2). With it the edge
/// answers preflights itself, without a token, and what services say of CORS is replaced; without
/// it both are the services' affair. Native apps need none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorsSection {
    /// The origins of the pages, as browsers send them: scheme, host and port, compared exactly;
    /// no default port, no wildcard inside. `*` alone allows every page. Since 0.1.
    #[schemars(length(min = 1, max = 256))]
    pub origins: Vec<WebOrigin>,
    /// The methods that a page may use. Default: those that the contract has at the path, or the
    /// one asked for where no contract names the path. Since 0.1.
    #[schemars(length(min = 1, max = 16))]
    pub methods: Option<Vec<Method>>,
    /// The request headers that a page may send beside those that always may be. Since 0.1.
    #[schemars(length(max = 64))]
    pub headers: Vec<HeaderName>,
    /// The response headers that a page may read beside those that always may be. Since 0.1.
    #[schemars(length(max = 64))]
    pub expose: Vec<HeaderName>,
    /// Whether a page may send cookies and HTTP credentials of its user; not with `*`. A bearer
    /// token that the page puts in itself needs none of this. Since 0.1.
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight. Browsers have bounds of their
    /// own, two hours for most. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "24h"))]
    pub max_age: HumanDuration,
}

impl Default for CorsSection {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().filter_map(|name| name.parse().ok()).collect();
        Self {
            origins: Vec::new(),
            methods: None,
            headers: names(&[
                "authorization",
                "content-type",
                "idempotency-key",
                "plimsoll-client",
            ]),
            expose: names(&["ratelimit", "ratelimit-policy", "retry-after", "x-request-id"]),
            credentials: false,
            max_age: HumanDuration::from_secs(600),
        }
    }
}
