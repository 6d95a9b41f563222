//! One simulated phone: its connection, its person's pauses, and how its app behaves when refused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::USER_AGENT;
use super::device::Device;
use super::pace::Pacer;
use super::session;
use super::starts::Starts;
use super::tally::Tally;
use crate::client::{Answer, Connection};

/// How long the app waits after a connection failed.
const BACKOFF: Duration = Duration::from_millis(700);
/// The longest `Retry-After` that is waited for; what is longer ends the session.
const RETRY_AFTER_MAX: u64 = 20;

/// A phone.
#[derive(Debug)]
pub(super) struct Phone {
    pub connection: Connection,
    pub device: Device,
    /// What a load balancer in front of the edge would say the phone's address is.
    pub address: String,
    /// Whoever is signed in.
    pub token: Option<String>,
    pub dice: fastrand::Rng,
    pub pacer: Arc<Pacer>,
    pub tally: Arc<Tally>,
    pub starts: Arc<Starts>,
}

/// The app has nothing more to do in this session: offline, or told to wait for long.
#[derive(Debug)]
pub(super) struct GivenUp;

/// What the app got.
pub(super) type Got = Result<Answer, GivenUp>;

impl Phone {
    /// One session after another, until it is aborted.
    pub(super) async fn live(mut self) {
        // Nobody opens the app at the very same moment as everybody else.
        self.think(0.8, 3.0).await;
        let mut cold = true;
        loop {
            if cold {
                let took = self.device.cold_start(&mut self.dice);
                self.starts.add(&self.device, took);
            }
            // Most often the system has kept the app in memory since the last time.
            cold = self.chance(40);
            // A session that was given up is over like any other.
            drop(session::play(&mut self).await);
            self.connection.close();
            self.think(0.5, 4.0).await;
        }
    }

    /// The person looks at the screen for a while; longer where the network is slow. Unit: seconds.
    pub(super) async fn think(&mut self, min: f64, max: f64) {
        let seconds = (min + self.dice.f64() * (max - min)) * self.device.slowness();
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Whether something happens, with this chance of 100.
    pub(super) fn chance(&mut self, of_100: u8) -> bool {
        self.dice.u8(..100) < of_100
    }

    pub(super) async fn get(&mut self, path: &str) -> Got {
        self.send(Method::GET, path, "foreground", None).await
    }

    /// A refresh while the app is not on the screen.
    pub(super) async fn get_in_background(&mut self, path: &str) -> Got {
        self.send(Method::GET, path, "background", None).await
    }

    pub(super) async fn put(&mut self, path: &str) -> Got {
        self.send(Method::PUT, path, "foreground", None).await
    }

    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Got {
        let body = ("application/json", Bytes::from(body.to_string()));
        self.send(Method::POST, path, "foreground", Some(body)).await
    }

    pub(super) async fn upload(&mut self, path: &str, picture: Bytes) -> Got {
        self.send(Method::POST, path, "foreground", Some(("image/jpeg", picture))).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        state: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Got {
        let request = self.request(method, path, state, body).ok_or(GivenUp)?;
        self.pacer.slot().await;
        let Ok(answer) = self.connection.send(request).await else {
            self.tally.failed();
            sleep(BACKOFF).await;
            return Err(GivenUp);
        };
        self.tally.answered(answer.status, Instant::now());
        if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        {
            self.wait_as_told(&answer).await?;
        }
        Ok(answer)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        state: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Option<Request<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::USER_AGENT, USER_AGENT)
            .header("plimsoll-client", self.device.client_header(state))
            .header("x-forwarded-for", &self.address);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some((content_type, body)) => {
                request = request.header(header::CONTENT_TYPE, content_type);
                body
            }
            None => Bytes::new(),
        };
        // `None` only for a path that came from an answer and is no path.
        request.body(body).ok()
    }

    async fn wait_as_told(&self, answer: &Answer) -> Result<(), GivenUp> {
        let told = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        match told.and_then(|seconds| seconds.parse::<u64>().ok()) {
            Some(seconds) if seconds > RETRY_AFTER_MAX => Err(GivenUp),
            Some(seconds) => {
                sleep(Duration::from_secs(seconds)).await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
