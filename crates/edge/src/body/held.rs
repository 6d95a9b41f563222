//! A request's body that was read whole before anything of it is sent, and can be sent more than
//! once: in memory to [`MEMORY_BYTES_MAX`], beyond that in a temporary file without a name,
//! encrypted under a key that is nowhere else and goes with it.
//!
//! It never leaves a readable byte of a body on a disk, and never takes more of the disk than
//! [`FILES_BYTES_MAX`] over all requests of the process.

use std::fs::File;
use std::future::{Future as _, poll_fn};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use plimsoll_base::SharedClock;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{InboundState, Polled};

/// Bytes of one body that are kept in memory; a longer one goes to a file.
const MEMORY_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are encrypted, written and read at once, and how much longer that makes them.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// Bytes of all bodies in files at the same time.
const FILES_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Why a body cannot be held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotHeld {
    /// Its sender did not send it whole, or it is too long: the body's own state says which.
    #[error("it did not come whole: {0}")]
    NotWhole(#[source] io::Error),
    /// Files hold as much as they may.
    #[error("bodies in files have reached {FILES_BYTES_MAX} bytes")]
    Full,
    /// The disk.
    #[error("the temporary file failed: {0}")]
    File(#[source] io::Error),
}

/// Where bodies are held, and how much of them there is.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    used: AtomicU64,
}

/// A body, whole.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Bytes,
    file: Option<Arc<Spilled>>,
    bytes: u64,
    trailers: Option<HeaderMap>,
    digest: [u8; 32],
}

/// The part that is in a file: all of it.
#[derive(Debug)]
struct Spilled {
    file: File,
    key: LessSafeKey,
    taken: Taken,
}

/// A share of the place's bytes, given back when it is dropped.
#[derive(Debug)]
struct Taken {
    place: Arc<Place>,
    bytes: AtomicU64,
}

/// A held body on its way out, once.
pub(crate) struct Sending {
    held: Arc<Held>,
    state: Arc<InboundState>,
    clock: SharedClock,
    at: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    trailers: Option<HeaderMap>,
}

impl Place {
    /// Files go into this directory, without a name there.
    pub(crate) fn new(directory: PathBuf) -> Arc<Self> {
        Arc::new(Self { directory, used: AtomicU64::new(0) })
    }

    /// Reads `body` to its end.
    pub(crate) async fn hold<B>(self: &Arc<Self>, mut body: B) -> Result<Held, NotHeld>
    where
        B: Body<Data = Bytes, Error = io::Error> + Unpin,
    {
        let mut holding = Holding::new(self);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match frame.map_err(NotHeld::NotWhole)?.into_data() {
                Ok(data) => holding.add(data).await?,
                Err(frame) => holding.trailers = frame.into_trailers().ok(),
            }
        }
        holding.end().await
    }
}

/// A body while it comes in.
struct Holding<'p> {
    place: &'p Arc<Place>,
    buffer: BytesMut,
    file: Option<Arc<Spilled>>,
    chunks: u64,
    bytes: u64,
    digest: digest::Context,
    trailers: Option<HeaderMap>,
}

impl<'p> Holding<'p> {
    fn new(place: &'p Arc<Place>) -> Self {
        Self {
            place,
            buffer: BytesMut::new(),
            file: None,
            chunks: 0,
            bytes: 0,
            digest: digest::Context::new(&digest::SHA256),
            trailers: None,
        }
    }

    async fn add(&mut self, data: Bytes) -> Result<(), NotHeld> {
        self.digest.update(&data);
        self.bytes += data.len() as u64;
        self.buffer.extend_from_slice(&data);
        while self.buffer.len() > MEMORY_BYTES_MAX {
            let chunk = self.buffer.split_to(CHUNK_BYTES);
            self.spill(&chunk).await?;
        }
        Ok(())
    }

    /// Writes a chunk. Not on this thread: a disk may stand still, an edge core must not.
    async fn spill(&mut self, plain: &[u8]) -> Result<(), NotHeld> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let place = Arc::clone(self.place);
                let made = blocking(move || Spilled::create(place)).await.map_err(NotHeld::File)?;
                Arc::clone(self.file.insert(Arc::new(made)))
            }
        };
        if !file.taken.more((CHUNK_BYTES + TAG_BYTES) as u64) {
            return Err(NotHeld::Full);
        }
        let (number, plain) = (self.chunks, plain.to_vec());
        self.chunks += 1;
        blocking(move || file.write(number, plain)).await.map_err(NotHeld::File)
    }

    async fn end(mut self) -> Result<Held, NotHeld> {
        if self.file.is_some() && !self.buffer.is_empty() {
            let rest = std::mem::take(&mut self.buffer);
            self.spill(&rest).await?;
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.finish().as_ref());
        Ok(Held {
            memory: self.buffer.freeze(),
            file: self.file,
            bytes: self.bytes,
            trailers: self.trailers,
            digest,
        })
    }
}

impl Held {
    /// SHA-256 of the body.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The body, to be sent once more, and what becomes of that; `None` where there is nothing to
    /// send.
    pub(super) fn send(
        self: &Arc<Self>,
        clock: &SharedClock,
    ) -> Option<(Sending, Arc<InboundState>)> {
        if self.bytes == 0 && self.trailers.is_none() {
            return None;
        }
        let state = Arc::new(InboundState::default());
        Some((Sending::new(self, &state, clock), state))
    }
}

impl Spilled {
    fn create(place: Arc<Place>) -> io::Result<Self> {
        let file = tempfile::tempfile_in(&place.directory)?;
        let mut secret = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(secret.as_mut()).map_err(|_| io::Error::other("no randomness"))?;
        let key = UnboundKey::new(&AES_256_GCM, secret.as_ref());
        let key = key.map_err(|_| io::Error::other("no key"))?;
        let taken = Taken { place, bytes: AtomicU64::new(0) };
        Ok(Self { file, key: LessSafeKey::new(key), taken })
    }

    /// The key is of this file alone and a chunk is written once, so its number is its nonce.
    fn nonce(number: u64) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn offset(number: u64) -> u64 {
        number * (CHUNK_BYTES + TAG_BYTES) as u64
    }

    fn write(&self, number: u64, mut chunk: Vec<u8>) -> io::Result<()> {
        self.key
            .seal_in_place_append_tag(Self::nonce(number), Aad::empty(), &mut chunk)
            .map_err(|_| io::Error::other("not encrypted"))?;
        self.file.write_all_at(&chunk, Self::offset(number))
    }

    fn read(&self, number: u64, plain_bytes: usize) -> io::Result<Bytes> {
        let mut chunk = vec![0; plain_bytes + TAG_BYTES];
        self.file.read_exact_at(&mut chunk, Self::offset(number))?;
        self.key
            .open_in_place(Self::nonce(number), Aad::empty(), &mut chunk)
            .map_err(|_| io::Error::other("the temporary file was changed"))?;
        chunk.truncate(plain_bytes);
        Ok(chunk.into())
    }
}

impl Taken {
    fn more(&self, bytes: u64) -> bool {
        let used = &self.place.used;
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= FILES_BYTES_MAX);
        let taken = used.try_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.place.used.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(io::Error::other)?
}

impl Sending {
    fn new(held: &Arc<Held>, state: &Arc<InboundState>, clock: &SharedClock) -> Self {
        Self {
            held: Arc::clone(held),
            state: Arc::clone(state),
            clock: Arc::clone(clock),
            at: 0,
            reading: None,
            trailers: held.trailers.clone(),
        }
    }

    /// The same from its beginning, watched by whoever watches this one.
    pub(super) fn again(&self) -> Self {
        Self::new(&self.held, &self.state, &self.clock)
    }

    pub(super) fn begin_anew(&self) {
        self.state.begin_anew();
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Polled<io::Error> {
        let polled = self.poll_piece(cx);
        if polled.is_ready() && self.is_end() {
            self.state.complete(self.clock.now());
        }
        polled
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Polled<io::Error> {
        if self.at == self.held.bytes {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Some(file) = &self.held.file else {
            self.at = self.held.bytes;
            self.state.bytes.fetch_add(self.at, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(self.held.memory.clone()))));
        };
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let (file, number) = (Arc::clone(file), self.at / CHUNK_BYTES as u64);
                let left = usize::try_from(self.held.bytes - self.at).unwrap_or(usize::MAX);
                let bytes = left.min(CHUNK_BYTES);
                none.insert(tokio::task::spawn_blocking(move || file.read(number, bytes)))
            }
        };
        let read = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other);
        self.reading = None;
        let chunk = read.flatten()?;
        self.at += chunk.len() as u64;
        self.state.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    pub(super) fn is_end(&self) -> bool {
        self.at == self.held.bytes && self.trailers.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.held.bytes - self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A body of these frames.
    struct Frames(VecDeque<io::Result<Frame<Bytes>>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled<io::Error> {
            Poll::Ready(self.0.pop_front())
        }
    }

    fn body(length: usize, frame: usize) -> (Vec<u8>, Frames) {
        let whole: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        let pieces = whole.chunks(frame).map(|piece| Ok(Frame::data(piece.to_vec().into())));
        (whole.clone(), Frames(pieces.collect()))
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
    }

    async fn sent(held: &Arc<Held>) -> (Vec<u8>, Option<HeaderMap>) {
        let clock = plimsoll_base::SystemClock::shared();
        let Some((mut sending, state)) = held.send(&clock) else { return (Vec::new(), None) };
        let (mut out, mut trailers) = (Vec::new(), None);
        assert_eq!(sending.size_hint().exact(), Some(held.bytes));
        while let Some(frame) = poll_fn(|cx| sending.poll(cx)).await {
            assert!(
                sending.is_end() == (state.outcome() == super::super::InboundOutcome::Complete)
            );
            match frame.unwrap().into_data() {
                Ok(data) => out.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        assert_eq!(state.bytes(), out.len() as u64);
        (out, trailers)
    }

    #[test]
    fn what_is_held_is_sent_as_it_came_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path().to_owned());
        for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 700_001] {
            run(async {
                let (whole, frames) = body(length, 10_007);
                let held = Arc::new(place.hold(frames).await.unwrap());
                assert_eq!(held.file.is_some(), length > MEMORY_BYTES_MAX, "{length}");
                let expected = digest::digest(&digest::SHA256, &whole);
                assert_eq!(held.digest().as_slice(), expected.as_ref());
                for _ in 0..2 {
                    assert!(sent(&held).await.0 == whole, "{length}");
                }
                assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has a name");
            });
            assert_eq!(place.used.load(Ordering::Relaxed), 0, "{length}");
        }
    }

    #[test]
    fn trailers_stay_with_it() {
        run(async {
            let (whole, mut frames) = body(10, 4);
            let trailers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-sum"),
                http::HeaderValue::from_static("1"),
            )]);
            frames.0.push_back(Ok(Frame::trailers(trailers.clone())));
            let held = Arc::new(Place::new("/nowhere".into()).hold(frames).await.unwrap());
            assert_eq!(sent(&held).await, (whole, Some(trailers)));
        });
    }

    #[test]
    fn the_file_says_nothing_and_what_was_changed_in_it_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path().to_owned());
        run(async {
            let secret = b"a card number, again and again. ".repeat(8_000);
            let frames = VecDeque::from([Ok(Frame::data(Bytes::from(secret)))]);
            let held = Arc::new(place.hold(Frames(frames)).await.unwrap());
            let file = &held.file.as_ref().unwrap().file;
            let mut on_disk = vec![0; 200_000];
            file.read_exact_at(&mut on_disk, 0).unwrap();
            assert!(!on_disk.windows(11).any(|w| w == b"card number"), "it can be read");
            file.write_all_at(&[on_disk[70_000] ^ 1], 70_000).unwrap();
            let (mut sending, _) = held.send(&plimsoll_base::SystemClock::shared()).unwrap();
            assert!(poll_fn(|cx| sending.poll(cx)).await.unwrap().is_ok());
            assert!(poll_fn(|cx| sending.poll(cx)).await.unwrap().is_err());
        });
    }

    #[test]
    fn what_does_not_come_whole_does_not_fit_or_cannot_be_written_is_not_held() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path().to_owned());
        run(async {
            let (_, mut frames) = body(100_000, 10_000);
            frames.0.push_back(Err(io::ErrorKind::FileTooLarge.into()));
            assert!(matches!(place.hold(frames).await, Err(NotHeld::NotWhole(_))));
            assert_eq!(place.used.load(Ordering::Relaxed), 0);
            place.used.store(FILES_BYTES_MAX, Ordering::Relaxed);
            assert!(matches!(place.hold(body(100_000, 10_000).1).await, Err(NotHeld::Full)));
            assert_eq!(place.used.load(Ordering::Relaxed), FILES_BYTES_MAX);
            assert!(place.hold(body(10_000, 1_000).1).await.is_ok(), "memory is not the disk");
            let nowhere = Place::new("/nowhere".into());
            assert!(matches!(nowhere.hold(body(100_000, 10_000).1).await, Err(NotHeld::File(_))));
        });
    }
}
