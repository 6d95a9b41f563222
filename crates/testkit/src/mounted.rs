//! A small file system of its own, to be filled or made read-only.

use std::io;
use std::path::Path;
use std::process::Command;

/// Unmounted when it is dropped.
#[derive(Debug)]
pub struct Mounted(tempfile::TempDir);

impl Mounted {
    /// One of so many KiB; `None`, with a reason printed, where nothing may be mounted.
    ///
    /// # Errors
    /// When there is nowhere to mount it, or no `mount`.
    pub fn small(kib: u32) -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            say("skipped: only root can mount a small file system");
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("plimsoll-mounted-").tempdir()?;
        let size = format!("size={kib}k,mode=0711");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(folder.path())
            .output()?;
        if !mounted.status.success() {
            say(&format!("skipped: {}", String::from_utf8_lossy(&mounted.stderr).trim()));
            return Ok(None);
        }
        Ok(Some(Self(folder)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// With other options, such as `ro`.
    ///
    /// # Errors
    /// When that is refused.
    pub fn remount(&self, options: &str) -> io::Result<()> {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(self.path()).status()?;
        if done.success() { Ok(()) } else { Err(io::Error::other(format!("mount says {done}"))) }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            say(&format!("{} was not unmounted", self.path().display()));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn say(text: &str) {
    eprintln!("{text}");
}
