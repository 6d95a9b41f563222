//! A load of clients that check every answer and never retry, so that each fault of what they talk
//! to is a fault of theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_base::{Clock as _, SystemClock};

use crate::body::BodyPattern;
use crate::client::{ClientError, RawClient, RawResponse};
use crate::judge::{ClientAnswer, Got};
use crate::origin::ID_HEADER;

/// What the clients do.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Whom they ask.
    pub addr: SocketAddr,
    /// How many clients, each with one connection at a time.
    pub clients: usize,
    /// Requests a connection carries before the client opens another; 1 opens one for each.
    pub requests_per_connection: usize,
    /// Request targets, taken in turn.
    pub targets: Vec<String>,
    /// Further fields of each request.
    pub fields: Vec<(String, String)>,
    /// How long a client rests after each answer.
    pub pause: Duration,
    /// Patience for one answer.
    pub patience: Duration,
    /// Start of each id, to keep several loads apart.
    pub prefix: String,
    /// A client stops by itself after so many requests.
    pub requests_max: usize,
}

impl LoadPlan {
    /// Eight clients on kept connections, `GET /`, 10 s patience, at most 100,000 requests each.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            clients: 8,
            requests_per_connection: usize::MAX,
            targets: vec!["/".into()],
            fields: Vec::new(),
            pause: Duration::ZERO,
            patience: Duration::from_secs(10),
            prefix: "load".into(),
            requests_max: 100_000,
        }
    }
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<TimedAnswer>>>,
}

/// An answer and how long it took from the first byte sent (the connect included where there was
/// one).
#[derive(Clone, Debug)]
pub struct TimedAnswer {
    /// The answer.
    pub answer: ClientAnswer,
    /// The time.
    pub took: Duration,
}

/// Starts the clients.
#[must_use]
pub fn start(plan: &LoadPlan) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let threads = (0..plan.clients)
        .map(|number| {
            let (plan, stop, done) = (plan.clone(), Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || run(&plan, number, &stop, &done))
        })
        .collect();
    Load { stop, done, threads }
}

impl Load {
    /// Requests that have ended so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets each client finish the request it is in, and gives every answer.
    #[must_use]
    pub fn stop(self) -> Vec<TimedAnswer> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

/// The answers alone, as [`crate::judge::judge`] takes them.
#[must_use]
pub fn answers(timed: &[TimedAnswer]) -> Vec<ClientAnswer> {
    timed.iter().map(|t| t.answer.clone()).collect()
}

fn run(plan: &LoadPlan, number: usize, stop: &AtomicBool, done: &AtomicU64) -> Vec<TimedAnswer> {
    let clock = SystemClock::new();
    let mut out = Vec::new();
    let mut connection: Option<(RawClient, usize)> = None;
    for sequence in 0..plan.requests_max {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{}-{number}-{sequence}", plan.prefix);
        let target = plan.targets.get(sequence % plan.targets.len().max(1)).map_or("/", |t| t);
        let begun = clock.now();
        let got = ask(plan, &mut connection, &id, target);
        let took = clock.now().since(begun);
        if matches!(got, Got::Failure(_)) {
            connection = None;
        }
        out.push(TimedAnswer { answer: ClientAnswer { id, got }, took });
        done.fetch_add(1, Ordering::Relaxed);
        if !plan.pause.is_zero() {
            std::thread::sleep(plan.pause);
        }
    }
    out
}

fn ask(
    plan: &LoadPlan,
    connection: &mut Option<(RawClient, usize)>,
    id: &str,
    target: &str,
) -> Got {
    let (mut client, used) = match connection.take() {
        Some(kept) => kept,
        None => match RawClient::connect(plan.addr) {
            Ok(fresh) => (fresh, 0),
            Err(error) => return Got::Failure(error.to_string()),
        },
    };
    client.set_patience(plan.patience);
    let last = used + 1 >= plan.requests_per_connection;
    let mut fields: Vec<(&str, &str)> = vec![(ID_HEADER, id)];
    fields.extend(plan.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    if last {
        fields.push(("connection", "close"));
    }
    match client.get(target, &fields) {
        Ok(response) => {
            if !client.leftover().is_empty() {
                let more = String::from_utf8_lossy(client.leftover()).into_owned();
                return Got::Failure(format!("trailing bytes {more:?}"));
            }
            if !last && response.keeps_alive() {
                *connection = Some((client, used + 1));
            }
            classify(id, &response)
        }
        Err(error) => Got::Failure(failure(&error, used)),
    }
}

fn failure(error: &ClientError, used: usize) -> String {
    format!("request {used} of its connection: {error}")
}

/// Reads an answer the way [`crate::judge::judge`] wants it.
#[must_use]
pub fn classify(id: &str, response: &RawResponse) -> Got {
    let Some(echoed) = response.headers.get(ID_HEADER) else {
        let code = response.json().ok().and_then(|p| p.get("code")?.as_str().map(str::to_owned));
        let what = code.unwrap_or_else(|| response.text().chars().take(80).collect());
        return Got::Problem { status: response.status, what };
    };
    Got::Answer {
        status: response.status,
        echoed: echoed.to_owned(),
        body_bytes: response.body.len() as u64,
        differs_at: BodyPattern::new(id).first_difference(0, &response.body),
    }
}
