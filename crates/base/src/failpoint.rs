//! Named places where a test can make the program fail or die, to prove that a crash between two
//! steps loses nothing.
//!
//! [`hit`] stands where one step ends and the next begins. Without the feature `failpoints` it is
//! an empty function; with it, a test arms a name by `fail` (this thread sees an error there) or
//! by `kill_after` (the process dies there, as by SIGKILL). Each name stands once in a test.

/// Does nothing, unless a test armed this name.
///
/// # Errors
/// An error of kind `Other` where a test armed it.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_name: &'static str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use armed::{Armed, fail, hit, kill_after};

#[cfg(feature = "failpoints")]
mod armed {
    use std::cell::RefCell;
    use std::io;
    use std::marker::PhantomData;
    use std::sync::Mutex;

    thread_local! {
        static FAILING: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    static DYING: Mutex<Option<(String, u64)>> = Mutex::new(None);

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
        if FAILING.with_borrow(|failing| failing.contains(&name)) {
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
