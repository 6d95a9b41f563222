//! Parser: `plimsoll_manifest::parse`. Input: the text of a manifest. A text that is refused must
//! be told why, in one line a fault, with a line that exists.

use std::path::Path;

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = text.lines().count().max(1) + 1;
    match plimsoll_manifest::parse(text, Path::new("plimsoll.toml")) {
        Ok(manifest) => {
            for service in &manifest.services {
                assert!(manifest.service(service.name.as_str()).is_some());
                let release = service.active_release();
                assert!(release.is_some_and(|r| !r.urls.is_empty()), "a service without a URL");
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a word");
            for fault in faults {
                assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault}");
                assert!(!fault.to_string().contains('\n'), "a fault of several lines: {fault}");
                serde_json::to_string(&fault).expect("a fault cannot be told as JSON");
            }
        }
    }
}
