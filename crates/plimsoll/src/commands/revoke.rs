//! `plimsoll revoke`: take back a token, or all that was issued to somebody until now.

use http::Method;
use plimsoll_base::HumanDuration;
use serde_json::{Value, json};

use crate::cli::{Output, Revoke};
use crate::commands::ask::{ask, data_dir, say, say_json};
use crate::exit::Failure;

pub(crate) fn run(arguments: &Revoke) -> Result<(), Failure> {
    let kept: HumanDuration =
        arguments.keep.parse().map_err(|error| Failure::Failed(format!("--keep: {error}")))?;
    let mut asked = json!({ "kept_seconds": kept.0.as_secs() });
    let named = [
        ("sub", &arguments.sub),
        ("jti", &arguments.jti),
        ("issuer", &arguments.issuer),
        ("reason", &arguments.reason),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            asked[name] = Value::from(value.as_str());
        }
    }
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let answer = ask(&directory, Method::POST, "/api/v1/revocations", Some(&asked))?;
    if arguments.running.output == Output::Json {
        return say_json(&answer);
    }
    let what = match (&arguments.sub, &arguments.jti) {
        (Some(sub), _) => format!("every token issued to {sub} until now"),
        (None, jti) => format!("the token {}", jti.as_deref().unwrap_or_default()),
    };
    say(format!(
        "revoked: {what}, from epoch {} on; `plimsoll nodes` says which nodes have it",
        answer["epoch"]
    ))
}
