//! What a reload cannot put into force, because it was made when the process started.

use std::net::SocketAddr;

use plimsoll_manifest::Manifest;

/// The keys in which `now` differs from what the process was started with, and which need a
/// restart.
pub(super) fn needed(begun_with: &Manifest, now: &Manifest) -> Vec<&'static str> {
    let (edge, telemetry) = (&begun_with.edge, &begun_with.telemetry);
    [
        ("edge.listen", edge.listen != now.edge.listen),
        ("edge.cores", edge.cores != now.edge.cores),
        ("ops.listen", begun_with.ops.listen != now.ops.listen),
        ("telemetry.access_log", telemetry.access_log != now.telemetry.access_log),
        ("telemetry.series_max", telemetry.series_max != now.telemetry.series_max),
        (
            "telemetry.objective_latency",
            telemetry.objective_latency != now.telemetry.objective_latency,
        ),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

/// Why the manifest must not be served on these sockets: the manifest is checked by the addresses
/// that stand in it, and sockets of `LISTEN_FDS` may be open to more than those.
pub(crate) fn development_exposed(manifest: &Manifest, listeners: &[SocketAddr]) -> Option<String> {
    let index = manifest.auth.issuers.iter().position(|issuer| issuer.development)?;
    let exposed = listeners.iter().find(|address| !address.ip().to_canonical().is_loopback())?;
    Some(format!(
        "auth.issuer[{index}].development: the development issuer is trusted while the edge listens \
         on {exposed}; expected an edge that listens on loopback only, by LISTEN_FDS, too"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_at_the_start_needs_another() {
        let before = Manifest::default();
        let mut now = before.clone();
        now.edge.keep_alive = plimsoll_base::HumanDuration::from_secs(40);
        assert_eq!(needed(&before, &now), Vec::<&str>::new());
        now.edge.cores = 7;
        now.telemetry.series_max = 100;
        assert_eq!(needed(&before, &now), ["edge.cores", "telemetry.series_max"]);
        assert_eq!(needed(&now, &now), Vec::<&str>::new());
    }
}
