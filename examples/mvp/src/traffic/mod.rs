//! The simulator: phones that use the example backend through the edge.
//!
//! It is bounded in rate, in phones and in time, speaks to this machine alone, says what it is when
//! it starts (and in its `User-Agent`), and ends by itself: when its time is up, on SIGTERM or
//! Ctrl-C, and when the edge is gone for [`EDGE_GONE_MAX`].

mod device;
mod pace;
mod phone;
mod session;
mod starts;
mod tally;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::client::{Connection, LocalUrl};
use crate::store::WallClock;
use crate::{otlp, token};
use pace::Pacer;
use phone::Phone;
use starts::Starts;
pub use tally::Summary;
use tally::Tally;

/// The highest rate. Unit: requests a second.
pub const RPS_MAX: u32 = 500;
/// The longest run.
pub const FOR_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long the edge may be gone before the simulator gives up.
pub const EDGE_GONE_MAX: Duration = Duration::from_secs(30);
/// The most tokens that are used. Unit: tokens.
pub const TOKENS_MAX: usize = 1_000;
/// The `User-Agent` of every simulated request.
pub const USER_AGENT: &str = concat!("plimsoll-example-simulator/", env!("CARGO_PKG_VERSION"));

/// How often a verbose run says how it goes.
const SUMMARY_EVERY: Duration = Duration::from_secs(30);
/// Phones for each request a second: one request, then a pause of about a second and a half.
const PHONES_PER_RPS: f64 = 2.0;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The edge.
    pub edge: LocalUrl,
    /// Bearer tokens of the people who are signed in; none: everybody is anonymous.
    pub tokens: Vec<String>,
    /// Unit: requests a second, at most; the day's waves keep it a little below.
    pub rps: u32,
    /// Where the apps' own metrics go, such as how long they take to start; `None`: nowhere.
    pub otlp: Option<otlp::Url>,
    /// The time of day, for those.
    pub unix_ms: WallClock,
    /// When it stops by itself.
    pub run_for: Duration,
    /// How long the edge may be gone; [`EDGE_GONE_MAX`] unless a test is in a hurry.
    pub edge_gone_max: Duration,
    /// Whether summaries are said while it runs.
    pub verbose: bool,
    /// The seed of all dice.
    pub seed: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The time was up.
    TimeUp,
    /// Somebody asked for it.
    Asked,
    /// The edge did not answer for [`Options::edge_gone_max`].
    EdgeGone,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Why it ended.
    pub ended: Ended,
    /// What was sent and answered.
    pub summary: Summary,
}

/// Simulates until the time is up, `end` comes or the edge is gone. `say` gets a line now and then.
pub async fn run(options: Options, end: impl Future<Output = ()>, say: impl Fn(String)) -> Report {
    let mut dice = fastrand::Rng::with_seed(options.seed);
    let tally = Arc::new(Tally::new(Instant::now()));
    let pacer = Arc::new(Pacer::new(options.rps, Instant::now()));
    let starts = Arc::new(Starts::default());
    let mut phones = JoinSet::new();
    if let Some(to) = options.otlp.clone() {
        let (starts, unix_ms) = (Arc::clone(&starts), options.unix_ms);
        phones.spawn(async move { starts.send(to, unix_ms).await });
    }
    phones.spawn(sign_up_all(options.clone(), Arc::clone(&pacer), Arc::clone(&tally)));
    for number in 0..phone_count(options.rps) {
        // Two of three are signed in, when there are tokens to be signed in with.
        let token = (number % 3 != 0 && !options.tokens.is_empty())
            .then(|| options.tokens[number as usize % options.tokens.len()].clone());
        let phone = Phone {
            connection: Connection::to(options.edge),
            device: device::pick(&mut dice),
            address: device::address(&mut dice),
            token,
            dice: fastrand::Rng::with_seed(dice.u64(..)),
            pacer: Arc::clone(&pacer),
            tally: Arc::clone(&tally),
            starts: Arc::clone(&starts),
        };
        phones.spawn(phone.live());
    }
    let ended = watch(&options, &tally, end, say).await;
    phones.abort_all();
    while phones.join_next().await.is_some() {}
    Report { ended, summary: tally.summary(Instant::now()) }
}

fn phone_count(rps: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1,000")]
    let count = (f64::from(rps) * PHONES_PER_RPS).ceil() as u32;
    count.clamp(2, 1_000)
}

/// Everybody who holds a token has a profile afterwards; one who had it before keeps it (409).
async fn sign_up_all(options: Options, pacer: Arc<Pacer>, tally: Arc<Tally>) {
    let mut connection = Connection::to(options.edge);
    for handle in options.tokens.iter().filter_map(|token| token::subject_of(token)) {
        let body = serde_json::json!({ "handle": handle, "display_name": handle }).to_string();
        let request = Request::post("/v1/people")
            .header("content-type", "application/json")
            .header("user-agent", USER_AGENT)
            .body(Bytes::from(body));
        let Ok(request) = request else { continue };
        pacer.slot().await;
        match connection.send(request).await {
            Ok(answer) => tally.answered(answer.status, Instant::now()),
            Err(_) => tally.failed(),
        }
    }
}

async fn watch(
    options: &Options,
    tally: &Tally,
    end: impl Future<Output = ()>,
    say: impl Fn(String),
) -> Ended {
    let start = Instant::now();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = start;
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Ended::Asked,
            now = tick.tick() => {
                if now.duration_since(start) >= options.run_for {
                    return Ended::TimeUp;
                }
                if tally.silence(now) >= options.edge_gone_max {
                    return Ended::EdgeGone;
                }
                if options.verbose && now.duration_since(said) >= SUMMARY_EVERY {
                    said = now;
                    say(tally.summary(now).to_string());
                }
            }
        }
    }
}
