//! Tokens for a benchmark: `COUNT ISSUER AUDIENCE SCOPES DIRECTORY` writes `jwks.json` and
//! `tokens.txt` (one token a line, each with another subject, good for an hour).

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use plimsoll_testkit::{Claims, TestIssuer};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            writeln!(std::io::stderr(), "plimsoll-bench-tokens: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [count, issuer, audience, scopes, directory] = args else {
        return Err("usage: COUNT ISSUER AUDIENCE SCOPES DIRECTORY".into());
    };
    let count: usize = count.parse()?;
    let signer = TestIssuer::new("bench")?;
    let mut tokens = String::new();
    for number in 0..count {
        let subject = format!("user-{number:06}");
        let claims = Claims::new(issuer, audience, &subject).scope(scopes);
        tokens.push_str(&signer.mint(&claims)?);
        tokens.push('\n');
    }
    let directory = Path::new(directory);
    std::fs::write(directory.join("jwks.json"), signer.jwks())?;
    std::fs::write(directory.join("tokens.txt"), tokens)?;
    Ok(())
}
