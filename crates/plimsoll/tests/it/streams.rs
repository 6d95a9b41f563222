//! Long-lived exchanges: WebSocket, server-sent events, gRPC and long poll, each live from end to
//! end and let go when one side leaves.

mod events;
mod grpc;
mod operations;
mod rpc_origin;
mod tunnel;
mod websocket;

use crate::scene::Scene;

/// Every kind under a prefix of its own; no total deadline may apply to any.
const PASSTHROUGH: &str = r#"
[[passthrough]]
prefix = "/ws"
service = "app"
kinds = ["websocket"]
[[passthrough]]
prefix = "/events"
service = "app"
kinds = ["sse"]
[[passthrough]]
prefix = "/echo.Echo"
service = "app"
kinds = ["grpc"]
"#;

/// Half a second is all that an ordinary exchange may take.
const SHORT: &str = "[service.timeouts]\ntotal = \"500ms\"\n";

fn scene() -> Scene {
    Scene::open("", SHORT, PASSTHROUGH)
}
