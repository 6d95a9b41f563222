//! What is kept, what happens without it, and the spans of its queries.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::{Method, Request};
use mvp::client::{Connection, LocalUrl};
use mvp::store::{LIKES_PER_POST_MAX, MEDIA_BYTES_MAX, MEDIA_TOTAL_BYTES_MAX, POSTS_MAX, Store};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::postgres::Postgres;
use crate::support::{ANY_PORT, Backend, request, token};

#[tokio::test]
async fn what_was_posted_is_there_after_a_restart_and_nothing_is_seeded_twice() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let new = json!({ "text": "Still here" });
    let (_, post) = client.call("createPost", "/v1/posts", Some(&token("ava")), Some(new)).await;
    let again = Backend::with(backend.end().await, None).await;
    let mut client = again.client();
    let (_, feed) = client.call("getFeed", "/v1/feed?limit=50", None, None).await;
    let items = feed["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]), (46, &post));
}

#[tokio::test]
async fn both_ways_to_make_the_feed_give_the_same() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    for who in ["ava", "noor"] {
        client.call("likePost", "/v1/posts/post_44/like", Some(&token(who)), None).await;
    }
    for page in ["/v1/feed?limit=50", "/v1/feed?limit=7"] {
        backend.set("getFeed", &json!({ "n_plus_one": true })).await;
        let (_, often) = client.call("getFeed", page, None, None).await;
        backend.set("getFeed", &json!({ "n_plus_one": false })).await;
        let (_, once) = client.call("getFeed", page, None, None).await;
        assert_eq!(often, once);
        assert_eq!(once["items"][1]["likes"], 2);
    }
}

#[tokio::test]
async fn without_its_database_it_answers_503_and_comes_back_with_it() {
    let mut backend = Backend::start().await;
    let mut api = Connection::to(backend.api);
    assert_eq!(request(&mut api, Method::GET, "/v1/feed", None, None).await.status, 200);
    backend.postgres.stop();
    let away = request(&mut api, Method::GET, "/v1/feed", None, None).await;
    assert_eq!(away.status, 503);
    assert!(String::from_utf8_lossy(&away.body).contains("database_away"), "{:?}", away.body);
    let products = request(&mut api, Method::GET, "/v1/products", None, None).await;
    assert_eq!(products.status, 200, "what needs no database goes on");
    backend.postgres.start_again();
    assert_eq!(request(&mut api, Method::GET, "/v1/feed", None, None).await.status, 200);
}

#[tokio::test]
async fn tables_are_bounded() {
    let postgres = Postgres::start();
    let store = Store::open(&postgres.url(), || 0).await.unwrap();
    let run = async |sql: &'static str, many: u32| {
        sqlx::query(sql).bind(i64::from(many)).execute(store.pool()).await.unwrap();
    };
    let posts = "insert into posts (author, text, created_at_ms) \
                 select 1, 'x', 0 from generate_series(1, $1)";
    run(posts, POSTS_MAX + 10).await;
    let new = |media_id| mvp::model::NewPost { text: "x".to_owned(), media_id };
    let post = store.create_post("ava", new(None)).await.unwrap();
    let count = async |sql: &'static str| {
        sqlx::query_as::<_, (i64,)>(sql).fetch_one(store.pool()).await.unwrap().0
    };
    assert_eq!(count("select count(*) from posts").await, i64::from(POSTS_MAX));

    let likes = "insert into likes (post, handle) select (select max(number) from posts), \
                 who::text from generate_series(1, $1) who";
    run(likes, LIKES_PER_POST_MAX).await;
    let liked = store.set_like("ava", &post.id, true).await.unwrap();
    assert_eq!(liked.likes, u64::from(LIKES_PER_POST_MAX), "one more is not counted");

    let big = Bytes::from(vec![7; MEDIA_BYTES_MAX]);
    let first = store.add_media("image/png".to_owned(), big.clone()).await.unwrap();
    let with_picture = store.create_post("ava", new(Some(first.id.clone()))).await.unwrap();
    for _ in 0..MEDIA_TOTAL_BYTES_MAX / MEDIA_BYTES_MAX {
        store.add_media("image/png".to_owned(), big.clone()).await.unwrap();
    }
    assert!(store.media(&first.id).await.is_err(), "the oldest made room");
    let total = count("select sum(bytes)::bigint from media").await;
    assert_eq!(usize::try_from(total).unwrap(), MEDIA_TOTAL_BYTES_MAX);
    assert_eq!(store.post(&with_picture.id).await.unwrap().media_id, Some(first.id));
}

#[tokio::test]
async fn pages_join_without_gap_or_double_while_posts_arrive() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let (mut seen, mut path) = (Vec::new(), "/v1/feed?limit=7".to_owned());
    loop {
        let (_, page) = client.call("getFeed", &path, None, None).await;
        let ids = page["items"].as_array().unwrap().iter().map(|post| post["id"].clone());
        seen.extend(ids);
        let new = json!({ "text": "meanwhile" });
        client.call("createPost", "/v1/posts", Some(&token("ava")), Some(new)).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/feed?limit=7&cursor={cursor}");
    }
    let all: Vec<Value> = (1..=45).rev().map(|n| json!(format!("post_{n}"))).collect();
    assert_eq!(seen, all);
}

/// Somebody who takes OTLP, below `/otlp`.
struct Receiver {
    url: String,
    messages: Arc<Mutex<Vec<Value>>>,
    _server: JoinSet<()>,
}

impl Receiver {
    async fn start() -> Self {
        type Messages = Arc<Mutex<Vec<Value>>>;
        let messages = Messages::default();
        let take = async |State(all): State<Messages>, Json(message): Json<Value>| {
            all.lock().unwrap().push(message);
            Json(json!({}))
        };
        let router =
            Router::new().route("/otlp/v1/traces", post(take)).with_state(Arc::clone(&messages));
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
        let url = format!("http://{}/otlp", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, messages, _server: server }
    }

    /// All spans that came.
    fn spans(&self) -> Vec<Value> {
        let messages = self.messages.lock().unwrap();
        let each = |value: &Value, name: &str| value[name].as_array().unwrap().clone();
        let resources = messages.iter().flat_map(|message| each(message, "resourceSpans"));
        let scopes = resources.flat_map(|resource| each(&resource, "scopeSpans"));
        scopes.flat_map(|scope| each(&scope, "spans")).collect()
    }
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|one| one["key"] == key).map_or(&Value::Null, |one| &one["value"])
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn ask(api: LocalUrl, path: &str, flags: &str) {
    let request = Request::get(path)
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-{flags}"))
        .body(Bytes::new())
        .unwrap();
    assert_eq!(Connection::to(api).send(request).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_recorded_request_is_a_server_span_and_a_client_span_for_each_query() {
    let receiver = Receiver::start().await;
    let backend = Backend::with(Postgres::start(), Some(receiver.url.parse().unwrap())).await;
    ask(backend.api, "/v1/feed?limit=10", "01").await;
    ask(backend.api, "/v1/feed?limit=10", "00").await;
    backend.set("getFeed", &json!({ "n_plus_one": false })).await;
    ask(backend.api, "/v1/feed?limit=10", "01").await;
    drop(backend.end().await);
    let spans = receiver.spans();
    assert!(spans.iter().all(|span| span["traceId"] == TRACE));
    let servers: Vec<&Value> = spans.iter().filter(|span| span["kind"] == 2).collect();
    assert_eq!(servers.len(), 2, "the one that is not sampled is not recorded");
    for server in &servers {
        assert_eq!(server["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(server["name"], "GET /v1/feed");
        assert_eq!(attribute(server, "http.route")["stringValue"], "/v1/feed");
        assert_eq!(attribute(server, "http.response.status_code")["intValue"], "200");
    }
    let below = |server: &Value| {
        let id = &server["spanId"];
        spans.iter().filter(|span| span["parentSpanId"] == *id).collect::<Vec<_>>()
    };
    let (often, once) = (below(servers[0]), below(servers[1]));
    assert_eq!((often.len(), once.len()), (11, 1), "one for the page, and one a post");
    for query in often.iter().chain(&once) {
        assert_eq!(query["kind"], 3);
        assert_eq!(attribute(query, "db.system.name")["stringValue"], "postgresql");
        assert_eq!(attribute(query, "db.namespace")["stringValue"], "postgres");
        let time = |name: &str| query[name].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("startTimeUnixNano") < time("endTimeUnixNano"));
    }
    let text = |query: &Value| attribute(query, "db.query.text")["stringValue"].clone();
    assert!(often[1..].iter().all(|query| text(query) == text(often[1])), "the same, ten times");
}

#[tokio::test]
async fn a_receiver_that_is_gone_holds_nothing_up() {
    let backend =
        Backend::with(Postgres::start(), Some("http://127.0.0.1:1/otlp".parse().unwrap())).await;
    for _ in 0..20 {
        ask(backend.api, "/v1/feed?limit=50", "01").await;
    }
    drop(backend.end().await);
}
