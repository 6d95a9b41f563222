//! What the API does. Every answer here is also held against the contract.

use std::collections::HashSet;

use bytes::Bytes;
use http::Request;
use mvp::store::MEDIA_BYTES_MAX;
use serde_json::json;

use crate::support::{Backend, token};

#[tokio::test]
async fn a_person_signs_up_posts_and_is_liked() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let alice = token("alice");
    let (status, _) = client.call("getProfile", "/v1/me", Some(&alice), None).await;
    assert_eq!(status, 409, "no profile yet");
    let sign_up = json!({ "handle": "alice", "display_name": "Alice" });
    let (status, person) = client.call("signUp", "/v1/people", None, Some(sign_up.clone())).await;
    assert_eq!((status, person["handle"].as_str()), (201, Some("alice")));
    let (status, error) = client.call("signUp", "/v1/people", None, Some(sign_up)).await;
    assert_eq!((status, error["error"].as_str()), (409, Some("handle_taken")));
    let change = json!({ "bio": "Tea." });
    let (_, me) = client.call("updateProfile", "/v1/me", Some(&alice), Some(change)).await;
    assert_eq!((me["bio"].as_str(), me["display_name"].as_str()), (Some("Tea."), Some("Alice")));
    let (_, seen) = client.call("getPerson", "/v1/people/alice", None, None).await;
    assert_eq!(seen, me);

    let new = json!({ "text": "First cup" });
    let (status, post) = client.call("createPost", "/v1/posts", Some(&alice), Some(new)).await;
    assert_eq!((status, post["author"].as_str()), (201, Some("alice")));
    let path = format!("/v1/posts/{}", post["id"].as_str().unwrap());
    let like = format!("{path}/like");
    for _ in 0..2 {
        let (_, liked) = client.call("likePost", &like, Some(&token("ava")), None).await;
        assert_eq!(liked["likes"], 1, "twice is as good as once");
    }
    let (_, unliked) = client.call("unlikePost", &like, Some(&token("ava")), None).await;
    assert_eq!(unliked["likes"], 0);
    let (_, feed) = client.call("getFeed", "/v1/feed?limit=1", None, None).await;
    assert_eq!(feed["items"][0], unliked, "the newest stands first");
}

#[tokio::test]
async fn the_feed_is_read_to_its_end_without_a_double() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let mut seen = HashSet::new();
    let mut path = "/v1/feed?limit=10".to_owned();
    for page_number in 1.. {
        let (status, page) = client.call("getFeed", &path, None, None).await;
        assert_eq!(status, 200);
        for post in page["items"].as_array().unwrap() {
            assert!(seen.insert(post["id"].as_str().unwrap().to_owned()));
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(page_number, 5);
            break;
        };
        path = format!("/v1/feed?limit=10&cursor={cursor}");
    }
    assert_eq!(seen.len(), 45);
    for bad in ["limit=0", "limit=51", "limit=x", "cursor=!", "cursor=AAAA", "page=2"] {
        let (status, _) = client.call("getFeed", &format!("/v1/feed?{bad}"), None, None).await;
        assert_eq!(status, 422, "{bad}");
    }
}

#[tokio::test]
async fn an_order_is_placed_and_paid_once_by_its_owner_alone() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let (ava, noor) = (token("ava"), token("noor"));
    let (_, catalogue) = client.call("listProducts", "/v1/products", None, None).await;
    let product = &catalogue["items"][0];
    let lines = json!({ "lines": [{ "sku": product["sku"], "quantity": 3 }] });
    let (status, order) = client.call("createOrder", "/v1/orders", Some(&ava), Some(lines)).await;
    assert_eq!((status, order["state"].as_str()), (201, Some("open")));
    assert_eq!(order["total_cents"], product["price_cents"].as_u64().unwrap() * 3);
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let payment = format!("{path}/payment");
    let pay = |t: &str| Some(json!({ "payment_token": t }));
    let expected = [
        (&noor, "ok", 404, "not_found"),
        (&ava, "declined", 402, "declined"),
        (&ava, "", 422, "invalid"),
    ];
    for (who, with, status, code) in expected {
        let (seen, error) = client.call("payOrder", &payment, Some(who), pay(with)).await;
        assert_eq!((seen, error["error"].as_str()), (status, Some(code)));
    }
    let (status, paid) = client.call("payOrder", &payment, Some(&ava), pay("ok")).await;
    assert_eq!((status, paid["state"].as_str()), (200, Some("paid")));
    let (status, _) = client.call("payOrder", &payment, Some(&ava), pay("ok")).await;
    assert_eq!(status, 409);
    assert_eq!(client.call("getOrder", &path, Some(&ava), None).await, (200, paid.clone()));
    assert_eq!(client.call("getOrder", &path, Some(&noor), None).await.0, 404);
    let (_, own) = client.call("listOrders", "/v1/orders", Some(&ava), None).await;
    assert_eq!(own["items"], json!([paid]));
    let (_, none) = client.call("listOrders", "/v1/orders", Some(&noor), None).await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn what_the_contract_forbids_is_refused_in_the_apis_own_words() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let ava = token("ava");
    let lines = |quantity: i64| json!({ "lines": [{ "sku": "whisk", "quantity": quantity }] });
    let orders = [
        json!({ "lines": [] }),
        lines(0),
        lines(100),
        json!({ "lines": [{ "sku": "whisk", "quantity": 1 }], "coupon": "x" }),
        json!({ "lines": [{ "sku": "nothing", "quantity": 1 }] }),
    ];
    for order in orders {
        let answer =
            client.call("createOrder", "/v1/orders", Some(&ava), Some(order.clone())).await;
        assert_eq!(answer.0, 422, "{order}");
    }
    for handle in ["A", "a", "1a", "a-b", "äb", &"a".repeat(31)] {
        let body = json!({ "handle": handle, "display_name": "x" });
        let (status, _) = client.call("signUp", "/v1/people", None, Some(body)).await;
        assert_eq!(status, 422, "{handle}");
    }
    let long = json!({ "text": "x".repeat(1_001) });
    assert_eq!(client.call("createPost", "/v1/posts", Some(&ava), Some(long)).await.0, 422);
    let ghost = json!({ "text": "x", "media_id": "media_0" });
    assert_eq!(client.call("createPost", "/v1/posts", Some(&ava), Some(ghost)).await.0, 404);
    let order = Some(json!({ "lines": [] }));
    assert_eq!(client.call("createOrder", "/v1/orders", None, order).await.0, 401);
}

#[tokio::test]
async fn media_comes_back_as_it_was_and_is_bounded() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let upload = |kind: &str, content: Bytes| {
        Request::post("/v1/media")
            .header("authorization", format!("Bearer {}", token("ava")))
            .header("content-type", kind)
            .body(content)
            .unwrap()
    };
    let picture = Bytes::from((0..MEDIA_BYTES_MAX).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let stored = client.raw(upload("image/png", picture.clone())).await;
    assert_eq!(stored.status, 201);
    let info: serde_json::Value = serde_json::from_slice(&stored.body).unwrap();
    assert_eq!(info["bytes"], MEDIA_BYTES_MAX);
    let path = format!("/v1/media/{}", info["id"].as_str().unwrap());
    let got = client.raw(Request::get(path).body(Bytes::new()).unwrap()).await;
    assert_eq!(
        (got.status.as_u16(), &got.headers["content-type"]),
        (200, &"image/png".parse().unwrap())
    );
    assert!(got.body == picture, "the very same bytes");

    let too_large = Bytes::from(vec![0; MEDIA_BYTES_MAX + 1]);
    assert_eq!(client.raw(upload("image/png", too_large)).await.status, 413);
    assert_eq!(client.raw(upload("text/html", Bytes::from_static(b"<b>"))).await.status, 415);
    assert_eq!(client.raw(upload("image/png", Bytes::new())).await.status, 422);
}

#[tokio::test]
async fn what_is_no_operation_is_404_or_405_and_head_comes_with_get() {
    let backend = Backend::start().await;
    let mut client = backend.client();
    let send = |method: &str, path: &str| {
        Request::builder().method(method).uri(path).body(Bytes::new()).unwrap()
    };
    assert_eq!(client.raw(send("GET", "/v1/stories")).await.status, 404);
    assert_eq!(client.raw(send("GET", "/_switches")).await.status, 404, "not on this listener");
    let wrong = client.raw(send("DELETE", "/v1/feed")).await;
    assert_eq!(wrong.status, 405);
    assert!(wrong.headers["allow"].to_str().unwrap().contains("GET"));
    let head = client.raw(send("HEAD", "/v1/feed")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(client.raw(send("GET", "/healthz")).await.body, "ok\n");
}
