//! The paths that every request takes allocate nothing: counted, not believed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use plimsoll_http_kit::client::ClientRules;
use plimsoll_http_kit::forwarded::{Peer, Scheme, TrustedProxies};
use plimsoll_http_kit::hygiene::{
    Bounds, Fields, ResponseFacts, check_path, check_request, strip_response,
};
use plimsoll_http_kit::request_id::Id;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one passes all calls on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more, and nobody asks it.
        COUNT.try_with(|count| count.set(count.get() + 1)).ok();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations this thread makes in `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

fn typical() -> HeaderMap {
    [
        ("host", "api.shop.example"),
        ("user-agent", "Shop/3.1.0 (com.example.shop; build:412; iOS 17.2.0) Alamofire/5.8.1"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "de-DE,de;q=0.9"),
        ("authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"),
        ("content-type", "application/json"),
        ("content-length", "42"),
        ("connection", "keep-alive"),
        ("x-request-id", "4ac7e1f0-6d0c-4b7f-9a53-1f8a0f9be0aa"),
        ("x-app-version", "3.1.0"),
        ("cookie", "session=abcdef"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1u8; 64]))) > 0);
}

#[test]
fn looking_at_a_request_allocates_nothing() {
    let headers = typical();
    let uri = Uri::from_static("/v1.2/orders/4711/items?limit=20");
    let bounds = Bounds { headers_max: 100, header_bytes_max: 32 * 1024 };
    let count = allocations(|| {
        let (fields, version) = (Fields::of(&headers), Version::HTTP_11);
        let checked = check_request(&Method::POST, &uri, version, &headers, &fields, &bounds);
        assert!(checked.is_ok());
        assert!(check_path("/a/%2Fb/../c").is_err());
        assert!(Id::from_fields(&fields).is_some());
    });
    assert_eq!(count, 0);
}

#[test]
fn a_stranger_and_an_unknown_client_cost_no_allocation() {
    let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    let peer = Peer::new([203, 0, 113, 9].into(), Scheme::Https);
    let mut headers = typical();
    headers.remove("user-agent");
    let rules = ClientRules::default();
    let mut answer = typical();
    answer.remove("connection");
    let count = allocations(|| {
        let client = peer.client(&headers, &trusted);
        assert_eq!(client.address, peer.address());
        let fields = Fields::of(&headers);
        assert_eq!(rules.read(&headers, &fields).version(), "unknown");
        let facts = ResponseFacts::of(&answer);
        strip_response(&mut answer, &facts);
    });
    assert_eq!(count, 0);
}

#[test]
fn a_known_client_costs_one_allocation() {
    let headers = typical();
    let rules = ClientRules::default();
    let fields = Fields::of(&headers);
    let count = allocations(|| assert_eq!(rules.read(&headers, &fields).build(), "412"));
    // The text is written into a buffer that may be larger, and then cut to size.
    assert!(count <= 2, "{count}");
}
