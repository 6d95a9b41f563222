//! The keeper of the tests' Postgres. The first test that needs it starts it; it ends by itself.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "standard error is its log")]
fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(plimsoll_testkit::database::keep())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
