//! The manifest that `plimsoll init` writes: everything that the contract tells, set; everything
//! else, there as a comment with its default, so that the file teaches what it can hold.

mod words;

use plimsoll_snapshot::{OperationRoute, Security};

use crate::Document;
use crate::load::routed_operations;
use words::Kind;

/// Most operations named in one comment or list; the rest of a long contract is left to the team.
const LISTED_MAX: usize = 12;

/// A commented manifest for one service: `contract` is the document and the file it stands in, as
/// the manifest should name it; `upstream` is where the service runs.
///
/// The text is a sound manifest: limits for each caller and each address, a stricter one for
/// operations that look like sign-in, costs for operations that look expensive.
#[must_use]
pub fn draft_manifest(contract: Option<(&Document, &str)>, upstream: &str) -> String {
    let operations: Vec<OperationRoute> = contract
        .and_then(|(document, _)| routed_operations(document, None).ok())
        .map(|(found, _)| found.into_iter().map(|found| found.route).collect())
        .unwrap_or_default();
    let mut text = String::new();
    text.push_str(HEAD);
    let name = contract.and_then(|(document, _)| document.title()).map(words::name);
    let name = quoted(name.as_deref().unwrap_or("backend"));
    service(&mut text, &name, contract, upstream, operations.len());
    text.push_str(&auth(&operations));
    limits(&mut text, &operations);
    policies(&mut text, &operations);
    text.push_str(&TAIL.replace("SERVICE", &name));
    text
}

const HEAD: &str = r#"# plimsoll.toml: what stands behind the edge, and what the edge does about it.
# `plimsoll check` tells every fault with its line; `plimsoll schema` describes every key.
# A change is picked up while the server runs; one with a fault is refused, and the old one goes on.
# No secret stands here: secrets are environment variables, or files that they name.

[edge]
listen = ["127.0.0.1:8080"]        # where the apps connect; "0.0.0.0:8080" lets others in
# trusted_proxies = ["10.0.0.0/8"] # load balancers whose word about the client's address counts
# body_bytes_max = "16MiB"         # a bigger request body is answered 413; per operation below
# connections_per_ip_max = 1024

# With TLS here, HTTP/2 comes with it. The files are read again when they change.
# [edge.tls]
# certificate_file = "tls/cert.pem"
# key_file = "tls/key.pem"

[ops]
listen = "127.0.0.1:8081"          # console, /metrics, /healthz, /readyz: for operators only
"#;

const WITH_CONTRACT: &str = "\
# A path or method that the contract does not name is answered 404 or 405. While the contract is
# not complete, let them through:
# unknown_paths = \"pass\"
";

const WITHOUT_CONTRACT: &str = "\
# With an OpenAPI document (3.0, 3.1 or Swagger 2.0; JSON or YAML), operations have names, and
# paths that are not in it are refused:
# contract = \"openapi.json\"
";

const TIMEOUTS: &str = "\
# [service.timeouts]
# connect = \"1s\"
# first_byte = \"10s\"               # then 504
# total = \"30s\"
";

const AUDIT: &str =
    "# audit = true                     # each call leaves an entry in the ledger\n";

const TAIL: &str = r#"
# Long-lived exchanges that a contract cannot describe: WebSocket, server-sent events, gRPC. They
# have no total timeout.
# [[passthrough]]
# prefix = "/ws"
# service = SERVICE
# kinds = ["websocket"]

# Where your apps already say what they are. Without this, `Plimsoll-Client` and then the
# User-Agent tell platform and version in figures and logs.
# [client.headers]
# platform = "X-Platform"
# version = "X-App-Version"

# [telemetry]
# access_log = "auto"              # json, human (on a terminal), off
# objective_latency = "300ms"      # answers within it are counted exactly

# Spans and metrics go to an OpenTelemetry receiver; failed and slow requests are always among them.
# [telemetry.otlp]
# endpoint = "http://127.0.0.1:4318"
# sample_ratio = 0.1
"#;

fn service(
    text: &mut String,
    name: &str,
    contract: Option<(&Document, &str)>,
    upstream: &str,
    operations: usize,
) {
    text.push_str("\n# Your backend. Every figure, log line and policy calls it by this name.\n");
    text.push_str(&format!("[[service]]\nname = {name}\n"));
    if let Some((_, file)) = contract {
        text.push_str(&format!(
            "# {operations} operations; the file is read again when it changes.\ncontract = {}\n",
            quoted(file)
        ));
    }
    text.push_str(&format!("urls = [{}]\n", quoted(upstream)));
    text.push_str(if contract.is_some() { WITH_CONTRACT } else { WITHOUT_CONTRACT });
    text.push_str(TIMEOUTS);
}

fn auth(operations: &[OperationRoute]) -> String {
    let count = |wanted: fn(&Security) -> bool| {
        operations.iter().filter(|operation| wanted(&operation.security)).count()
    };
    let public = count(|security| matches!(security, Security::Public));
    let token = count(|security| matches!(security, Security::Token { .. }));
    let backend = count(|security| matches!(security, Security::PassThrough));
    let told = if operations.is_empty() {
        String::new()
    } else {
        format!(
            "# By the contract, {token} operations then ask for a token, {public} are public, and \
             {backend} leave credentials\n# to the backend.\n"
        )
    };
    format!(
        "\n# Who may call. Without an issuer nothing is verified and credentials pass through to \
         the backend.\n# With one, every operation asks for a valid token, unless its contract \
         says `security: []`.\n{told}\
         # [[auth.issuer]]\n# issuer = \"https://id.example.com\" # its keys are found by OIDC \
         discovery\n# audience = [\"api\"]             # what `aud` must name\n"
    )
}

fn limits(text: &mut String, operations: &[OperationRoute]) {
    text.push_str(
        r#"
# Rate limits. A request is charged to all that apply or to none; the answer says what is left in
# `RateLimit`, a refusal (429) when to come back in `Retry-After`.
[[limit]]
name = "per-caller"                # one user, on all devices
per = "caller"
quota = 600
window = "60s"
burst = 100

[[limit]]
name = "per-ip"                    # only while a request is anonymous: behind a mobile carrier,
per = "ip"                         # thousands share an address
quota = 1200
window = "60s"
burst = 300
"#,
    );
    let sign_in = of_kind(operations, Kind::SignIn);
    let listed = list(&sign_in);
    if sign_in.is_empty() {
        text.push_str(
            "\n# A sign-in that may be tried without end is guessed sooner or later.\n\
             # [[limit]]\n# name = \"sign-in\"\n# per = \"ip\"\n# quota = 20\n# window = \"60s\"\n\
             # operations = [\"signIn\"]\n",
        );
    } else {
        text.push_str(
            "\n# These look like sign-in: what may be tried without end is guessed sooner or \
             later.\n[[limit]]\nname = \"sign-in\"\nper = \"ip\"\nquota = 20\nwindow = \"60s\"\n",
        );
        text.push_str(&format!("operations = [{listed}]\n"));
    }
}

fn policies(text: &mut String, operations: &[OperationRoute]) {
    text.push_str(
        "\n# What one operation needs that others do not. This wins over the contract's word.\n",
    );
    let money = of_kind(operations, Kind::Money);
    let mut any = !money.is_empty();
    for operation in money.iter().take(LISTED_MAX) {
        text.push_str(&format!(
            "# {} {}: moves money, by its name.\n[[operation]]\nid = {}\ncost = 5\n\
             body_bytes_max = \"64KiB\"\n",
            operation.method,
            comment(&operation.template),
            quoted(&operation.id),
        ));
        text.push_str("# scopes = [\"payments:write\"]\n");
        text.push_str(AUDIT);
        text.push('\n');
    }
    for operation in of_kind(operations, Kind::Heavy).iter().take(LISTED_MAX) {
        any = true;
        text.push_str(&format!(
            "# {} {}: looks like much work.\n[[operation]]\nid = {}\ncost = 10\n\
             # total_timeout = \"60s\"\n\n",
            operation.method,
            comment(&operation.template),
            quoted(&operation.id),
        ));
    }
    if any {
        text.push_str("# `cost` counts in limits with `units = \"cost\"`:\n");
    }
    text.push_str(
        "# [[limit]]\n# name = \"work\"\n# per = \"caller\"\n# units = \"cost\"\n# quota = 1000\n\
         # window = \"60s\"\n",
    );
    if money.is_empty() {
        text.push_str(
            "# [[operation]]\n# id = \"createOrder\"\n# cost = 5\n# body_bytes_max = \"64KiB\"\n\
             # scopes = [\"orders:write\"]\n",
        );
        text.push_str(AUDIT);
    }
}

fn of_kind(operations: &[OperationRoute], kind: Kind) -> Vec<&OperationRoute> {
    operations.iter().filter(|operation| words::kind(operation) == Some(kind)).collect()
}

fn list(operations: &[&OperationRoute]) -> String {
    let ids: Vec<String> =
        operations.iter().take(LISTED_MAX).map(|operation| quoted(&operation.id)).collect();
    ids.join(", ")
}

/// A TOML basic string (TOML 1.0 "String").
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            _ if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A text as it may stand in a comment: on one line.
fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_toml() {
        for text in ["a", "with \"quotes\" and \\", "tab's", "ü #"] {
            let parsed = plimsoll_manifest::parse(
                &format!(
                    "[[service]]\nname = \"a\"\ncontract = {}\nurls = [\"http://a\"]",
                    quoted(text)
                ),
                std::path::Path::new("x"),
            );
            let service = parsed.unwrap().services.remove(0);
            assert_eq!(service.contract.unwrap(), std::path::Path::new(text));
        }
        assert_eq!(comment("a\nb = 1"), "a b = 1");
    }
}
