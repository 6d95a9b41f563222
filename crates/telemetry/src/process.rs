//! What the process itself uses, from the kernel's files. Linux only; elsewhere nothing is said.

use std::fs;

/// The kernel counts CPU time towards user space in hundredths of a second on every platform that
/// Rust supports (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) open_fds: usize,
    pub(crate) started_unix_seconds: f64,
}

pub(crate) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Fields are counted after the name, which stands in brackets and may hold anything (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let booted = fs::read_to_string("/proc/stat").ok()?;
    let after = |text: &str, key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
    };
    let resident_kib: u64 = after(&status, "VmRSS:")?;
    let booted_at: u64 = after(&booted, "btime ")?;
    let started_unix_seconds = booted_at as f64 + ticks(22)? / TICKS_PER_SECOND;
    Some(Usage {
        cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        resident_bytes: resident_kib.saturating_mul(1024),
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count(),
        started_unix_seconds,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.open_fds >= 3);
        assert!(usage.started_unix_seconds > 1_500_000_000.0);
    }
}
