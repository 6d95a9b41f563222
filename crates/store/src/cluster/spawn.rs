//! Starting a program of Postgres as the right user, so that it does not outlive us.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::Signal;

use crate::cluster::user::RunAs;

/// Runs the command as that user, without any of our supplementary groups (the standard library
/// drops them together with root).
pub(crate) fn as_user(command: &mut Command, run_as: &RunAs) {
    if let RunAs::User { uid, gid, .. } = run_as {
        command.uid(*uid).gid(*gid);
    }
}

/// Makes the kernel send `signal` to the child when the *thread* that starts it ends, which is
/// also when this process is killed. Where there is no such thing (macOS), what is left running is
/// stopped at the next start.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the death signal can be asked for only between fork and exec")]
pub(crate) fn end_with_us(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // We may have died before the child could ask; then nobody would tell it.
        match rustix::process::getppid() {
            Some(now) if now == parent => Ok(()),
            _ => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are sound. `ask` makes two bare
    // system calls (prctl, getppid), allocates nothing, takes no lock, and captures plain integers.
    unsafe { command.pre_exec(ask) };
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_us(_command: &mut Command, _signal: Signal) {}
