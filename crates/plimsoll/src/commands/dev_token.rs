//! `plimsoll dev token`: an access token of the development issuer.

use std::io::{self, Write as _};

use plimsoll_base::{Clock as _, HumanDuration, SystemClock};
use plimsoll_edge::auth::dev_issuer::{DevIssuer, ISSUER, Mint};

use crate::cli::Token;
use crate::data_dir::DataDir;
use crate::exit::Failure;

/// The claim that `--tenant` fills; name it in `[auth] tenant_claim`.
const TENANT_CLAIM: &str = "tenant";

pub(crate) fn run(arguments: &Token) -> Result<(), Failure> {
    let ttl: HumanDuration =
        arguments.ttl.parse().map_err(|error| Failure::Failed(format!("--ttl: {error}")))?;
    let directory = DataDir::open(arguments.data_dir.as_deref())?;
    let issuer = DevIssuer::open(directory.path()).map_err(Failure::failed)?;
    let scopes: Vec<String> =
        arguments.scope.iter().flat_map(|s| s.split_whitespace()).map(str::to_owned).collect();
    let mint = Mint {
        issuer: ISSUER,
        subject: &arguments.sub,
        scopes: &scopes,
        audience: &arguments.audience,
        tenant: arguments.tenant.as_deref().map(|tenant| (TENANT_CLAIM, tenant)),
        ttl: ttl.0,
    };
    let token = issuer.mint(&mint, SystemClock::new().unix_seconds()).map_err(Failure::failed)?;
    writeln!(io::stdout(), "{token}").map_err(Failure::unwritten)
}
