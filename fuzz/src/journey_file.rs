//! Parser: `plimsoll_drills::journey::parse`. Input: the text of a journey. What is wrong must be
//! told in one line, at a line that exists; what is right must have steps, in the order of their
//! lines.

use std::path::Path;

use plimsoll_drills::journey::{FAULTS_MAX, STEPS_MAX, parse};

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = text.split('\n').count();
    match parse(text, Path::new("journeys/a.hurl")) {
        Ok(journey) => {
            assert!((1..=STEPS_MAX).contains(&journey.steps.len()));
            let starts: Vec<usize> = journey.steps.iter().map(|step| step.line).collect();
            assert!(starts.is_sorted_by(|one, next| one < next), "{starts:?}");
            assert!(starts.iter().all(|line| (1..=lines).contains(line)), "{starts:?}");
            assert!(journey.steps.iter().all(|step| !step.url().is_empty()));
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= FAULTS_MAX + 1);
            for fault in &faults {
                assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault}");
                assert!(!fault.to_string().contains('\n'), "a fault of several lines: {fault}");
            }
        }
    }
}
