//! A running backend and a client that holds every answer against `openapi.json`.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request};
use mvp::client::{Answer, Connection, LocalUrl};
use mvp::otlp::Url;
use mvp::serve::{self, Options};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::contract::Contract;
use crate::postgres::Postgres;

/// A backend on free ports, stopped when it goes.
pub(crate) struct Backend {
    pub(crate) postgres: Postgres,
    pub(crate) api: LocalUrl,
    pub(crate) switches: LocalUrl,
    pub(crate) end: Option<oneshot::Sender<()>>,
    pub(crate) server: JoinSet<()>,
}

pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl Backend {
    pub(crate) async fn start() -> Self {
        Self::with(Postgres::start(), None).await
    }

    /// On that server, with its spans going there.
    pub(crate) async fn with(postgres: Postgres, otlp: Option<Url>) -> Self {
        let options = Options {
            database_url: postgres.url(),
            otlp,
            say: |_| {},
            listen: ANY_PORT,
            switches_listen: Some(ANY_PORT),
            pace: Duration::ZERO,
            seed: 1,
        };
        let bound = serve::bind(&options, || 1_795_000_000_000).await.unwrap();
        let (api, switches) = (bound.address, bound.switches_address.unwrap());
        let (end, ended) = oneshot::channel();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let until = async {
                drop(ended.await);
            };
            bound.run(until).await.unwrap();
        });
        let (api, switches) = (LocalUrl(api), LocalUrl(switches));
        Self { postgres, api, switches, end: Some(end), server }
    }

    /// Ends it and gives its database back, with what is in it.
    pub(crate) async fn end(mut self) -> Postgres {
        self.end.take().unwrap().send(()).unwrap();
        while self.server.join_next().await.is_some() {}
        self.postgres
    }

    pub(crate) fn client(&self) -> Client {
        Client { connection: Connection::to(self.api), contract: Contract::load() }
    }

    /// Sets a switch.
    pub(crate) async fn set(&self, operation: &str, switch: &Value) -> Answer {
        let path = format!("/_switches/{operation}");
        request(&mut Connection::to(self.switches), Method::PUT, &path, None, Some(switch)).await
    }
}

/// A client of the API.
pub(crate) struct Client {
    connection: Connection,
    contract: Contract,
}

impl Client {
    /// Calls an operation by its id; the answer must be one that the contract names.
    pub(crate) async fn call(
        &mut self,
        operation: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let method = self.contract.method(operation, path);
        let answer = request(&mut self.connection, method, path, token, body.as_ref()).await;
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        self.contract.check(operation, answer.status.as_u16(), &json);
        (answer.status.as_u16(), json)
    }

    pub(crate) async fn raw(&mut self, request: Request<Bytes>) -> Answer {
        self.connection.send(request).await.unwrap()
    }
}

/// One request on a connection.
pub(crate) async fn request(
    connection: &mut Connection,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let bytes = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    connection.send(request.body(bytes).unwrap()).await.unwrap()
}

/// A token as the edge would have verified it.
pub(crate) fn token(handle: &str) -> String {
    let claims = serde_json::json!({ "sub": handle, "scope": "orders:write" });
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}
