//! Listeners that cannot open together, and bounds of the edge that contradict each other.

use super::Context;

pub(super) fn check(cx: &mut Context<'_>) {
    edge_listeners(cx);
    ops_listener(cx);
    bounds(cx);
    client_headers(cx);
}

fn edge_listeners(cx: &mut Context<'_>) {
    let listen = &cx.manifest.edge.listen;
    for (index, address) in listen.iter().enumerate() {
        if let Some(other) = listen[..index].iter().find(|other| other.collides(*address)) {
            let message = format!("{address} collides with {other}");
            let key = format!("edge.listen[{index}]");
            cx.refuse(&key, message, "each address and port once");
        }
    }
}

fn ops_listener(cx: &mut Context<'_>) {
    let ops = cx.manifest.ops.listen;
    if let Some(edge) = cx.manifest.edge.listen.iter().find(|edge| edge.collides(ops)) {
        let message = format!("the ops listener {ops} collides with the edge's {edge}");
        let free = (ops.0.port().wrapping_add(1)).max(1024);
        let suggestion = std::net::SocketAddr::new(ops.0.ip(), free).to_string();
        cx.suggest("ops.listen", message, "a port that the edge does not use", Some(suggestion));
    }
}

fn bounds(cx: &mut Context<'_>) {
    let edge = &cx.manifest.edge;
    // A default never contradicts: only what the author wrote can.
    if edge.connections_per_ip_max > edge.connections_max
        && cx.written("edge.connections_per_ip_max")
    {
        let message = format!(
            "{} connections from one address are more than {} in all",
            edge.connections_per_ip_max, edge.connections_max
        );
        let expected = "at most `connections_max`";
        cx.refuse("edge.connections_per_ip_max", message, expected);
    }
}

/// Headers whose values are secrets, or which steer the request itself: reading the client context
/// from them would put a secret into logs and metrics, or trust what the edge must set.
const NO_CONTEXT: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "forwarded",
    "host",
    "proxy-authorization",
    "set-cookie",
    "te",
    "traceparent",
    "transfer-encoding",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
];

/// Whether a header can be read as plain information about the client.
pub(super) fn steers_or_hides(name: &str) -> bool {
    NO_CONTEXT.contains(&name) || name.starts_with("plimsoll-")
}

fn client_headers(cx: &mut Context<'_>) {
    let headers = &cx.manifest.client.headers;
    let mut named = Vec::new();
    for (key, header) in headers.entries() {
        let Some(header) = header else { continue };
        let key = format!("client.headers.{key}");
        if steers_or_hides(header.as_str()) {
            let message = format!("`{header}` may hold a secret or steers the request");
            cx.refuse(&key, message, "a header that only describes the app");
        }
        named.push((key, header.to_string()));
    }
    cx.refuse_repeated("header", named.into_iter());
}
