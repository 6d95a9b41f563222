//! The scripted origin as a program, for tests that kill it. Flags: `--listen ADDR`, `--log FILE`
//! and, for requests that bring none, `--script SCRIPT`. Says `listening ADDR` on stdout, then
//! serves until it is killed.

use std::io::Write as _;
use std::process::ExitCode;

use plimsoll_testkit::{Origin, OriginOptions, Script};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            writeln!(std::io::stderr(), "plimsoll-test-origin: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = OriginOptions::default();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => options.listen = Some(value.parse()?),
            "--log" => options.log_file = Some(value.into()),
            "--script" => options.default_script = Script::parse(&value)?,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    let origin = Origin::start_with(options)?;
    writeln!(std::io::stdout(), "listening {}", origin.addr())?;
    loop {
        std::thread::park();
    }
}
