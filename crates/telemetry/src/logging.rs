//! The process's own log, to standard error, so that standard output belongs to the access log.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is logged when nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// How the process's own log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, with colours on a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why the process's own log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is no list of directives.
    #[error("the log filter `{filter}` is not a list such as `info,plimsoll_edge=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A log is set up already.
    #[error("a log is set up already")]
    Already(#[from] TryInitError),
}

/// Sends `tracing` events of level `info` and above to standard error. Once a process.
///
/// # Errors
/// When a log is set up already.
pub fn init_logging(format: LogFormat) -> Result<(), LogError> {
    init_logging_filtered(format, DEFAULT_FILTER)
}

/// The same with a filter of `tracing` directives, such as `info,plimsoll_edge=debug`.
///
/// # Errors
/// When the filter cannot be read, or a log is set up already.
pub fn init_logging_filtered(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let directives = EnvFilter::from_str(filter).map_err(|source| LogError::Filter {
        filter: filter.chars().take(200).collect(),
        source,
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(directives)
        .with_writer(std::io::stderr)
        .with_ansi(format == LogFormat::Human && std::io::stderr().is_terminal());
    match format {
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).finish().try_init()?;
        }
        LogFormat::Human => log.with_target(false).compact().finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named_and_a_second_log_refused() {
        let wrong = init_logging_filtered(LogFormat::Human, "info,=x=");
        assert!(matches!(wrong, Err(LogError::Filter { .. })));
        init_logging(LogFormat::Json).unwrap();
        assert!(matches!(init_logging(LogFormat::Human), Err(LogError::Already(_))));
    }
}
