//! Users who ask for the same under every rule there is: nobody ever gets what was another's.

use fastrand::Rng;
use plimsoll_testkit::{Plimsoll, RawClient, TestIssuer};
use serde_json::json;

use super::several::Fleet;
use super::{Asked, Kept, Said};
use crate::scene::claims;

/// How many requests are made; `PLIMSOLL_CACHE_FUZZ` says how many else.
const REQUESTS: usize = 6_000;

/// What an answer may say of itself.
const CONTROLS: [&str; 11] = [
    "max-age=60",
    "max-age=60,public",
    "s-maxage=60",
    "max-age=60,must-revalidate",
    "private,max-age=60",
    "no-store",
    "no-cache",
    "max-age=0",
    "max-age=1,stale-while-revalidate=60",
    "max-age=60,public,no-cache",
    "max-age=60,proxy-revalidate",
];

const VARIES: [&str; 4] = ["", "authorization", "cookie", "x-notes-key, accept"];

/// Whoever asks, by everything they could be told by.
#[derive(Clone, Debug)]
struct User {
    name: String,
    fields: Vec<(&'static str, String)>,
}

fn users(issuer: &TestIssuer) -> Vec<User> {
    let verified = |name: &str, scope: &str, more: Option<(&'static str, &str)>| {
        let claims = claims().with("sub", json!(name)).scope(scope);
        let bearer = format!("Bearer {}", issuer.mint(&claims).unwrap());
        let mut fields = vec![("authorization", bearer)];
        fields.extend(more.map(|(name, value)| (name, value.to_owned())));
        User { name: format!("{name}/{scope}/{more:?}"), fields }
    };
    let shown = |name: &str, field: &'static str, value: &str| User {
        name: name.to_owned(),
        fields: vec![(field, value.to_owned())],
    };
    vec![
        verified("alice", "read", None),
        verified("alice", "read write", None),
        verified("alice", "read", Some(("cookie", "s=1"))),
        verified("bob", "read", None),
        verified("bob", "read", Some(("x-notes-key", "k"))),
        shown("cookie 1", "cookie", "s=1"),
        shown("cookie 2", "cookie", "s=2"),
        shown("key 1", "x-notes-key", "1"),
        shown("key 2", "x-notes-key", "2"),
        shown("basic 1", "authorization", "Basic YTpi"),
        shown("basic 2", "authorization", "Basic YTpj"),
        User { name: "nobody".to_owned(), fields: Vec::new() },
    ]
}

/// What the backend takes a user for: everything they showed.
fn shown(asked: &Asked) -> String {
    let show = |name: &str| asked.field(name).unwrap_or("-").to_owned();
    ["authorization", "cookie", "x-notes-key"].map(show).join("|")
}

fn is_for_all(control: &str) -> bool {
    let says = |word: &str| control.split(',').any(|held| held.trim().starts_with(word));
    says("public") || says("s-maxage")
}

/// Says what was shown on the terms that the query names, or carelessly that what is held holds.
fn handler() -> impl Fn(&Asked) -> Said + Send + Sync + 'static {
    |asked| {
        let control = asked.query("cc").unwrap_or_default();
        let said = Said::ok(shown(asked)).with("cache-control", control).with("etag", "\"e\"");
        let said = match asked.query("vary") {
            Some(vary) if !vary.is_empty() => said.with("vary", vary),
            _ => said,
        };
        match asked.field("if-none-match") {
            Some(_) if asked.query("careless").is_some() => {
                Said { body: String::new(), ..said.status(304) }
            }
            _ => said,
        }
    }
}

fn many() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let many = std::env::var("PLIMSOLL_CACHE_FUZZ").ok().and_then(|text| text.parse().ok());
    many.unwrap_or(REQUESTS)
}

fn cross(nodes: &[&Plimsoll], users: &[User]) {
    let (seed, threads, many) = (fastrand::u64(..), 4, many());
    let crossed: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..threads)
            .map(|thread| {
                let rng = Rng::with_seed(seed + thread);
                scope.spawn(move || walk(nodes, users, rng, many / threads as usize))
            })
            .collect();
        asking.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert!(crossed.is_empty(), "seed {seed}: {} crossed, first {}", crossed.len(), crossed[0]);
    let hits = |node: &&Plimsoll| node.metric("plimsoll_cache_requests_total{result=\"hit\"}");
    let hits: f64 = nodes.iter().map(|node| hits(node).unwrap().unwrap_or_default()).sum();
    assert!(hits > many as f64 / 20.0, "{hits} of {many} from the store prove little");
}

#[test]
fn no_answer_ever_crosses_from_one_user_to_another() {
    let kept = Kept::start("", handler());
    cross(&[&kept.edge], &users(&kept.issuer));
}

#[test]
fn no_answer_ever_crosses_from_one_user_to_another_between_nodes() {
    let fleet = Fleet::start(2, "", handler());
    let nodes: Vec<&Plimsoll> = fleet.nodes.iter().collect();
    cross(&nodes, &users(&fleet.issuer));
    let shared = fleet.counted("plimsoll_cache_shared_answers_total{result=\"hit\"}");
    assert!(shared > 10.0, "{shared} from the other node prove little");
}

fn walk(nodes: &[&Plimsoll], users: &[User], mut rng: Rng, many: usize) -> Vec<String> {
    let mut clients: Vec<RawClient> = nodes.iter().map(|node| node.client().unwrap()).collect();
    let mut crossed = Vec::new();
    for _ in 0..many {
        let client = rng.choice(&mut clients).unwrap();
        let me = rng.choice(users).unwrap();
        let control = CONTROLS[rng.usize(..CONTROLS.len())];
        let vary = VARIES[rng.usize(..VARIES.len())].replace(' ', "+");
        let careless = if rng.u8(..4) == 0 { "&careless=1" } else { "" };
        let target = format!("/notes/{}?cc={control}&vary={vary}{careless}", rng.u8(..2));
        let mut fields: Vec<(&str, &str)> =
            me.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match rng.u8(..12) {
            0 => fields.push(("cache-control", "no-cache")),
            1 => fields.push(("cache-control", "max-stale")),
            2 => fields.push(("range", "bytes=0-")),
            3 => fields.push(("if-none-match", "\"other\"")),
            _ => {}
        }
        if rng.u8(..40) == 0 {
            client.request("PUT", &target, &fields, b"").unwrap();
            continue;
        }
        let answer = client.request("GET", &target, &fields, b"").unwrap();
        let expected = shown(&Asked {
            fields: me.fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect(),
            ..Asked::default()
        });
        let text = answer.text();
        if !matches!(answer.status, 200 | 206) || text == expected {
            continue;
        }
        let owner = users.iter().find(|user| {
            let fields = user.fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
            shown(&Asked { fields, ..Asked::default() }) == text
        });
        if owner.is_none() || !is_for_all(control) {
            let owner = owner.map(|owner| owner.name.as_str());
            crossed.push(format!("{} got {owner:?}'s answer with {control} at {target}", me.name));
        }
    }
    crossed
}
