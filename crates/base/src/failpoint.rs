//! Named places where a test can make the program fail or die, to prove that a crash between two
//! steps loses nothing.
//!
//! [`hit`] stands where one step ends and the next begins. Without the feature `failpoints` it is
//! an empty function; with it, a test arms a name by `fail` (this thread sees an error there),
//! by `fail_everywhere` (every thread does, from then on) or by `kill_after` (the process dies
//! there, as by SIGKILL). Each name stands once in a test.

/// Whether names can be armed in this build at all.
pub const ENABLED: bool = cfg!(feature = "failpoints");

/// Does nothing, unless a test armed this name.
///
/// # Errors
/// An error of kind `Other` where a test armed it.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_name: &'static str) -> std::io::Result<()> {
    Ok(())
}

/// Does nothing: see [`ENABLED`].
#[cfg(not(feature = "failpoints"))]
pub fn fail_everywhere(_names: &str) {}

#[cfg(feature = "failpoints")]
pub use armed::{Armed, fail, fail_everywhere, hit, kill_after};

#[cfg(feature = "failpoints")]
mod armed {
    use std::cell::RefCell;
    use std::io;
    use std::marker::PhantomData;
    use std::sync::{Mutex, OnceLock};

    thread_local! {
        static FAILING: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    static DYING: Mutex<Option<(String, u64)>> = Mutex::new(None);

    static FAILING_EVERYWHERE: OnceLock<Vec<String>> = OnceLock::new();

    /// Does nothing, unless a test armed this name.
    ///
    /// # Errors
    /// An error of kind `Other` where a test armed it.
    pub fn hit(name: &'static str) -> io::Result<()> {
        if let Ok(mut dying) = DYING.lock()
            && let Some((armed, left)) = dying.as_mut()
            && armed == name
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                std::process::abort();
            }
        }
        let everywhere =
            || FAILING_EVERYWHERE.get().is_some_and(|all| all.iter().any(|n| n == name));
        if FAILING.with_borrow(|failing| failing.contains(&name)) || everywhere() {
            return Err(io::Error::other(format!("failpoint {name}")));
        }
        Ok(())
    }

    /// Makes `name` fail on this thread until the guard is dropped.
    #[must_use]
    pub fn fail(name: &'static str) -> Armed {
        FAILING.with_borrow_mut(|failing| failing.push(name));
        Armed { name, this_thread: PhantomData }
    }

    /// Makes the names of this list, commas between them, fail on every thread. A name with `=die`
    /// behind it is where the process dies instead ([`kill_after`]). Once a process.
    pub fn fail_everywhere(names: &str) {
        let (dying, failing): (Vec<&str>, Vec<&str>) =
            names.split(',').map(str::trim).partition(|name| name.ends_with("=die"));
        for name in dying {
            kill_after(name.trim_end_matches("=die"), 1);
        }
        let names = failing.into_iter().map(str::to_owned).collect();
        // A process is told once; a second list would be a test's mistake.
        let _told_before = FAILING_EVERYWHERE.set(names).is_err();
    }

    /// Makes the process die, without any clean-up, when `name` is met for the `times`th time.
    pub fn kill_after(name: &str, times: u64) {
        if let Ok(mut dying) = DYING.lock() {
            *dying = Some((name.to_owned(), times.max(1)));
        }
    }

    /// Disarms when dropped.
    #[derive(Debug)]
    pub struct Armed {
        name: &'static str,
        this_thread: PhantomData<*const ()>,
    }

    impl Drop for Armed {
        fn drop(&mut self) {
            FAILING.with_borrow_mut(|failing| failing.retain(|name| *name != self.name));
        }
    }
}
