//! A Unix socket in the data directory, for its owner alone: bound, kept, and served.
//!
//! Two processes may live at once while one takes over from the other, and both want the name. A
//! socket is bound under a name of its own first and then put in its place, so that the name leads
//! somewhere at every moment. Whoever listens looks now and then whether the name still leads to
//! it.

use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// A head must be there within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// What open connections get at the end to finish an answer.
const GOODBYE: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often the name is looked at: so long nobody may answer when one process follows another.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Who does not take a connection within this is busy, not gone.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// The socket's place. Its path may be longer than an address can be (107 bytes): on Linux it is
/// reached by way of the open directory.
#[derive(Debug)]
pub(crate) struct Place {
    _directory: File,
    folder: PathBuf,
    name: &'static str,
}

/// When a name that leads to another process is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// When that process listens no more.
    WhenFree,
    /// At once: what it holds it keeps, new connections come here.
    AtOnce,
}

/// A socket that listens, with the file it is known by.
struct Bound {
    listener: UnixListener,
    file: (u64, u64),
}

impl Place {
    pub(crate) fn of(data_dir: &Path, name: &'static str) -> io::Result<Self> {
        let directory = File::open(data_dir)?;
        let folder = if cfg!(target_os = "linux") {
            PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
        } else {
            data_dir.to_owned()
        };
        Ok(Self { _directory: directory, folder, name })
    }

    fn address(&self) -> PathBuf {
        self.folder.join(self.name)
    }

    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.address()).await
    }

    /// Binds the socket for the owner alone, in the place of whatever is there.
    fn bind(&self) -> io::Result<Bound> {
        let own = self.folder.join(format!("{}.{}", self.name, std::process::id()));
        match fs::remove_file(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _removed_or_not_there => {}
        }
        let listener = UnixListener::bind(&own)?;
        fs::set_permissions(&own, Permissions::from_mode(0o600))?;
        let file = file_of(&own)?;
        fs::rename(&own, self.address())?;
        Ok(Bound { listener, file })
    }

    /// Binds the socket where the name does not lead to us, and may.
    async fn keep(&self, bound: &mut Option<Bound>, takeover: Takeover) -> io::Result<()> {
        let there = file_of(&self.address()).ok();
        let ours = bound.as_ref().map(|bound| bound.file);
        if there.is_some() && there == ours {
            return Ok(());
        }
        // Taken from us by a successor: then it is that one's for as long as it lives.
        let at_once = takeover == Takeover::AtOnce && bound.is_none();
        if at_once || there.is_none() || !self.is_listened_to().await {
            *bound = Some(self.bind()?);
        }
        Ok(())
    }

    async fn is_listened_to(&self) -> bool {
        match tokio::time::timeout(CONNECT_MAX, self.connect()).await {
            Ok(connected) => connected.is_ok(),
            Err(_busy) => true,
        }
    }
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// A socket before there is something to answer with: who connects waits until it is served.
pub(crate) struct Opened {
    place: Place,
    takeover: Takeover,
    bound: Option<Bound>,
}

impl Opened {
    /// A name that cannot be taken yet is tried again while it is served.
    pub(crate) async fn at(place: Place, takeover: Takeover) -> Self {
        let mut bound = None;
        let _told_when_served = place.keep(&mut bound, takeover).await.is_ok();
        Self { place, takeover, bound }
    }
}

/// How a socket is served.
pub(crate) struct Serving<F> {
    pub(crate) opened: Opened,
    /// Connections served at once; one more is closed.
    pub(crate) connections_max: usize,
    /// What answers a connection; none closes it.
    pub(crate) router: F,
    /// Told when the end has come.
    pub(crate) stop: watch::Sender<bool>,
}

impl<F: Fn(&UnixStream) -> Option<Router> + Send> Serving<F> {
    /// Serves until `shutdown` is done. A socket that cannot be bound is tried again.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Opened { place, takeover, mut bound } = self.opened;
        let name = place.name;
        let places = Arc::new(Semaphore::new(self.connections_max));
        let mut connections = JoinSet::new();
        let mut failed: Option<String> = None;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                _ = look.tick() => {
                    let kept = place.keep(&mut bound, takeover).await;
                    let error = kept.err().map(|error| error.to_string());
                    if let Some(error) = error.as_ref().filter(|_| error != failed) {
                        tracing::error!(error, "{name} cannot be listened on; trying again");
                    }
                    failed = error;
                    continue;
                }
                accepted = accept(bound.as_ref()) => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let Ok(held) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let Some(router) = (self.router)(&stream) else { continue };
                    connections.spawn(async move {
                        let _held = held;
                        connection(stream, router, name).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "{name} could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(bound);
        self.stop.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GOODBYE, ended).await.is_err() {
            connections.shutdown().await;
        }
    }
}

async fn accept(bound: Option<&Bound>) -> io::Result<UnixStream> {
    match bound {
        Some(bound) => bound.listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn connection(stream: UnixStream, router: Router, name: &str) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of {name} ended");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn place(folder: &Path) -> Place {
        Place::of(folder, "test.sock").unwrap()
    }

    #[tokio::test]
    async fn a_name_is_taken_when_it_is_free_and_never_from_one_who_listens() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (place(folder.path()), place(folder.path()));
        let (mut a, mut b) = (None, None);
        first.keep(&mut a, Takeover::WhenFree).await.unwrap();
        let mode = fs::metadata(folder.path().join("test.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        second.keep(&mut b, Takeover::WhenFree).await.unwrap();
        assert!(b.is_none(), "the first one listens");
        drop(a);
        second.keep(&mut b, Takeover::WhenFree).await.unwrap();
        assert!(b.is_some());
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "no other name is left");
    }

    #[tokio::test]
    async fn who_connects_before_it_is_served_is_answered_when_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Opened::at(place(folder.path()), Takeover::WhenFree).await;
        let mut client = place(folder.path()).connect().await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let serving = Serving {
            opened,
            connections_max: 1,
            router: |_: &UnixStream| Some(Router::new()),
            stop: watch::channel(false).0,
        };
        let mut answer = String::new();
        tokio::select! {
            () = serving.run(std::future::pending()) => {}
            read = client.read_to_string(&mut answer) => assert!(read.is_ok(), "{read:?}"),
        }
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }

    #[tokio::test]
    async fn a_name_that_was_lost_comes_back_when_the_one_who_took_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (place(folder.path()), place(folder.path()));
        let (mut a, mut b) = (None, None);
        first.keep(&mut a, Takeover::AtOnce).await.unwrap();
        second.keep(&mut b, Takeover::AtOnce).await.unwrap();
        let taken = b.as_ref().unwrap().file;
        first.keep(&mut a, Takeover::AtOnce).await.unwrap();
        assert_ne!(a.as_ref().unwrap().file, taken, "the second one listens");
        assert_eq!(file_of(&first.address()).unwrap(), taken);
        drop(b);
        first.keep(&mut a, Takeover::AtOnce).await.unwrap();
        assert_eq!(file_of(&first.address()).unwrap(), a.as_ref().unwrap().file);
        fs::remove_file(first.address()).unwrap();
        first.keep(&mut a, Takeover::AtOnce).await.unwrap();
        assert_eq!(file_of(&first.address()).unwrap(), a.as_ref().unwrap().file);
    }
}
