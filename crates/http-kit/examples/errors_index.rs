//! Prints `docs/errors/README.md`.

#[expect(clippy::print_stdout, reason = "printing is all it does")]
fn main() {
    print!("{}", plimsoll_http_kit::codes::index_markdown());
}
