//! `docs/metrics.md` says what the code says.

#[test]
fn the_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == plimsoll_telemetry::metrics_page(),
        "docs/metrics.md is stale: \
         cargo run -p plimsoll-telemetry --example metrics_page > docs/metrics.md"
    );
}
