//! Where telemetry goes: a base URL that paths can be put behind.

use super::Context;

const KEY: &str = "telemetry.otlp.endpoint";
const EXPECTED: &str = "the receiver's base URL, such as \"http://127.0.0.1:4318\"";

pub(super) fn check(cx: &mut Context<'_>) {
    let Some(endpoint) = &cx.manifest.telemetry.otlp.endpoint else { return };
    let text = endpoint.as_str().trim_end_matches('/').to_owned();
    if endpoint.has_query() {
        cx.refuse(KEY, "a path cannot be put behind a query", EXPECTED);
        return;
    }
    for signal in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
        if let Some(base) = text.strip_suffix(signal) {
            let message = format!("`{signal}` is put behind it by itself");
            cx.suggest(KEY, message, EXPECTED, Some(format!("\"{base}\"")));
        }
    }
    if text.ends_with(":4317") {
        let message = "4317 is the port of OTLP over gRPC; Plimsoll speaks OTLP over HTTP";
        let http = text.replace(":4317", ":4318");
        cx.suggest(KEY, message, EXPECTED, Some(format!("\"{http}\"")));
    }
}
