use plimsoll_base::SystemClock;
use plimsoll_telemetry::{Metrics, MetricsOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

fn guarded(io: DuplexStream, state: &Arc<ConnState>) -> Guarded<DuplexStream> {
    let limits = GuardLimits {
        keep_alive: Duration::from_millis(200),
        header_timeout: Duration::from_millis(100),
        write_stall: Duration::from_millis(200),
    };
    let objective = Duration::from_millis(300);
    let metrics = Metrics::new(MetricsOptions { cores: 1, series_max: 10, objective });
    let shard = metrics.shard(0);
    Guarded::new(io, Arc::clone(state), limits, SystemClock::shared(), shard, Arc::default())
}

/// hyper looks at the socket while a request is under way, and not again when its answer is
/// out: only the guard's own timer ends a connection that then falls silent.
#[tokio::test]
async fn a_connection_that_falls_silent_after_a_long_answer_is_closed() {
    let (mut client, io) = tokio::io::duplex(64);
    let state = Arc::new(ConnState::default());
    let mut guarded = guarded(io, &state);
    let clock = Arc::clone(&guarded.clock);
    client.write_all(b"GET").await.unwrap();
    let mut head = [0; 3];
    guarded.read_exact(&mut head).await.unwrap();
    state.request_begins();
    let read = async { guarded.read(&mut [0; 1]).await.unwrap_err().kind() };
    let answer = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        state.request_ends(clock.now());
    };
    let both = async { tokio::join!(read, answer).0 };
    let ended = tokio::time::timeout(Duration::from_secs(5), both).await;
    assert_eq!(ended, Ok(io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn the_next_head_is_scanned_after_a_chunked_body() {
    let (mut client, io) = tokio::io::duplex(1024);
    let state = Arc::new(ConnState::default());
    let mut guarded = guarded(io, &state);
    let clock = Arc::clone(&guarded.clock);
    let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    client.write_all(chunked).await.unwrap();
    guarded.read_exact(&mut vec![0; chunked.len()]).await.unwrap();
    state.request_begins();
    state.request_ends(clock.now());
    let twice = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
    client.write_all(twice).await.unwrap();
    guarded.read_exact(&mut vec![0; twice.len()]).await.unwrap();
    assert!(state.is_ambiguous());
}

#[tokio::test]
async fn a_head_that_trickles_behind_another_has_a_heads_time() {
    let (mut client, io) = tokio::io::duplex(1024);
    let state = Arc::new(ConnState::default());
    let mut guarded = guarded(io, &state);
    let clock = Arc::clone(&guarded.clock);
    client.write_all(b"GET").await.unwrap();
    guarded.read_exact(&mut [0; 3]).await.unwrap();
    state.request_begins();
    state.request_ends(clock.now());
    client.write_all(b"G").await.unwrap();
    guarded.read_exact(&mut [0; 1]).await.unwrap();
    let begun = guarded.clock.now();
    let ended = guarded.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    let took = guarded.clock.now().since(begun);
    assert!(took < guarded.limits.keep_alive, "{took:?}");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// Reads until the guard ends the connection; says when it was told to go, and when it ended.
async fn ends(
    mut guarded: Guarded<DuplexStream>,
    state: &ConnState,
) -> (Option<Duration>, Duration) {
    let clock = Arc::clone(&guarded.clock);
    let begun = clock.now();
    let mut told = None;
    let mut bytes = [0; 64];
    loop {
        let read = std::pin::pin!(guarded.read(&mut bytes));
        match tokio::time::timeout(Duration::from_millis(10), read).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                return (told, clock.now().since(begun));
            }
            Err(_nothing_yet) if state.is_idle_over() => {
                told.get_or_insert_with(|| clock.now().since(begun));
            }
            Err(_nothing_yet) => {}
        }
    }
}

/// A phone that connects before it asks has the time of an idle connection, and is told to go.
#[tokio::test]
async fn a_multiplexed_connection_may_wait_with_its_first_request() {
    let (mut client, io) = tokio::io::duplex(1024);
    let state = Arc::new(ConnState::default());
    state.set_multiplexed();
    let guarded = guarded(io, &state);
    let limits = guarded.limits;
    client.write_all(&[PREFACE, SETTINGS, PING].concat()).await.unwrap();
    let (told, ended) = ends(guarded, &state).await;
    let told = told.expect("a goodbye");
    assert!(told >= limits.keep_alive && told < limits.keep_alive * 3, "{told:?}");
    assert!(ended >= told + GOODBYE_MAX / 2, "{ended:?}");
}

/// One that trickles in what it opens with, or the head of its first request, has a head's time.
#[tokio::test]
async fn a_preface_and_a_multiplexed_head_that_trickle_have_a_heads_time() {
    const HALF_HEAD: &[u8] = &[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82];
    for sent in [&PREFACE[..20], &[PREFACE, &SETTINGS[..4]].concat(), &{
        [PREFACE, SETTINGS, HALF_HEAD].concat()
    }] {
        let (mut client, io) = tokio::io::duplex(1024);
        let state = Arc::new(ConnState::default());
        state.set_multiplexed();
        let guarded = guarded(io, &state);
        let limits = guarded.limits;
        client.write_all(sent).await.unwrap();
        let (told, ended) = ends(guarded, &state).await;
        assert_eq!(told, None);
        assert!(ended < limits.keep_alive, "{ended:?}");
    }
}

/// hyper looks at the socket long after the answer is out; the time until then counts.
#[tokio::test]
async fn a_connection_is_idle_from_its_answers_end_on() {
    let (mut client, io) = tokio::io::duplex(64);
    let state = Arc::new(ConnState::default());
    let mut guarded = guarded(io, &state);
    let clock = Arc::clone(&guarded.clock);
    client.write_all(b"GET").await.unwrap();
    guarded.read_exact(&mut [0; 3]).await.unwrap();
    state.request_begins();
    let begun = clock.now();
    state.request_ends(begun);
    tokio::time::sleep(guarded.limits.keep_alive * 3 / 4).await;
    let ended = guarded.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    let took = clock.now().since(begun);
    assert!(took < guarded.limits.keep_alive * 3 / 2, "{took:?}");
}
