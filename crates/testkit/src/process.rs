//! What the kernel says about a process (`/proc`, Linux).

use std::io;
use std::time::Duration;

/// Readings of one process by its id. Every method reads afresh.
#[derive(Clone, Copy, Debug)]
pub struct ProcessFacts {
    pid: u32,
}

impl ProcessFacts {
    /// Of the process `pid`.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Resident memory in bytes (`VmRSS`).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn rss_bytes(self) -> io::Result<u64> {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was ever resident, in bytes (`VmHWM`).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn rss_peak_bytes(self) -> io::Result<u64> {
        self.status_kib("VmHWM:")
    }

    /// Open file descriptors.
    ///
    /// # Errors
    /// When the process is gone or belongs to someone else.
    pub fn fds(self) -> io::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// Threads.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn threads(self) -> io::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.pid))?.count())
    }

    /// Processor time of all threads that still live, by the scheduler's own count.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(self) -> io::Result<Duration> {
        let mut nanos = 0_u64;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            // A thread may end between the listing and the reading.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Whether the process still exists and is not a zombie.
    #[must_use]
    pub fn lives(self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
    }

    fn status_kib(self, key: &str) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other(format!("process {}: no {key}", self.pid)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself() {
        let own = ProcessFacts::of(std::process::id());
        assert!(own.rss_bytes().unwrap() > 100_000);
        assert!(own.rss_peak_bytes().unwrap() >= own.rss_bytes().unwrap() / 2);
        assert!(own.threads().unwrap() >= 1);
        let before = own.fds().unwrap();
        let held: Vec<_> =
            (0..40).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        assert!(own.fds().unwrap() >= before.saturating_sub(20) + held.len());
        assert!(own.lives());
        assert!(!ProcessFacts::of(u32::MAX - 7).lives());
    }
}
