//! The task registry: the one door to `tokio::spawn`. It counts what runs by kind, so that drain
//! knows what it waits for and a leak shows as a figure.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;

/// What a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One client connection; drain waits for it.
    Connection,
    /// One HTTP/2 stream; drain waits for its connection.
    Stream,
    /// One pooled connection to an upstream; ends when it is dropped from its pool.
    Upstream,
    /// A tunnel after an upgrade; drain cuts it at the deadline.
    Tunnel,
    /// One keyed write under way: a request in flight, whether or not its client is still there.
    Write,
    /// Housekeeping of a core; ends with the core.
    Housekeeping,
    /// A health check; ends by itself.
    Check,
    /// A newer answer fetched for the cache; nobody waits for it.
    Refresh,
}

/// How many there are, by the last of them.
const KINDS: usize = Kind::Refresh as usize + 1;

/// Counts of running tasks, shared by every clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    counts: Arc<[AtomicUsize; KINDS]>,
}

struct Counted {
    tasks: Tasks,
    kind: Kind,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tasks.counts[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tasks {
    /// Runs `future` on the current runtime and counts it until it ends or is aborted.
    #[expect(clippy::disallowed_methods, reason = "this is the registry the ban points to")]
    pub(crate) fn spawn<F>(&self, kind: Kind, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
        let counted = Counted { tasks: self.clone(), kind };
        tokio::spawn(async move {
            let _counted = counted;
            future.await;
        })
    }

    /// How many tasks of `kind` run now.
    pub(crate) fn running(&self, kind: Kind) -> usize {
        self.counts[kind as usize].load(Ordering::Relaxed)
    }
}

/// Lets hyper run its HTTP/2 streams and connection tasks through the registry.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub(crate) tasks: Tasks,
    pub(crate) kind: Kind,
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.kind, async move {
            let _output = future.await;
        });
    }
}
