//! The router against an oracle that knows no tree: it tries every template on every path, segment
//! by segment, and takes the one that the rules prefer.

use std::cmp::Reverse;

use http::{HeaderMap, Method};
use plimsoll_snapshot::{OperationRoute, Routes, ServiceRoutes};
use proptest::prelude::*;

use super::{Match, Router, RouterFault, RouterOptions};

/// Text with its escapes decoded, the slow way.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = text
            .get(at..at + 3)
            .and_then(|three| three.strip_prefix('%'))
            .filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    out
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(Vec<u8>),
    Any,
}

fn parts(segment: &str) -> Vec<Part> {
    let mut found = Vec::new();
    for (index, piece) in segment.split('{').enumerate() {
        let text = if index == 0 {
            piece
        } else {
            found.push(Part::Any);
            piece.split_once('}').unwrap().1
        };
        if !text.is_empty() {
            found.push(Part::Text(decode(text)));
        }
    }
    found
}

/// Every way to cut the text, until one fits.
fn fits(parts: &[Part], text: &[u8]) -> bool {
    match parts {
        [] => text.is_empty(),
        [Part::Text(literal), rest @ ..] => {
            text.starts_with(literal) && fits(rest, &text[literal.len()..])
        }
        [Part::Any, rest @ ..] => (1..=text.len()).any(|cut| fits(rest, &text[cut..])),
    }
}

type Preference = (u8, Reverse<usize>, usize, Vec<Part>);

fn preference(parts: &[Part]) -> Preference {
    let text = |part: &Part| {
        if let Part::Text(text) = part { text.len() } else { 0 }
    };
    match parts {
        [] | [Part::Text(_)] => (0, Reverse(0), 0, Vec::new()),
        [Part::Any] => (2, Reverse(0), 0, Vec::new()),
        _ => (1, Reverse(parts.iter().map(text).sum()), parts.len(), parts.to_vec()),
    }
}

/// How much a template that matches is preferred (less = earlier), or `None` if it does not match.
fn matches(template: &str, path: &str) -> Option<Vec<Preference>> {
    let mut segments = template.split('/');
    let mut order = Vec::new();
    for text in path.split('/') {
        let parts = parts(segments.next()?);
        if !fits(&parts, &decode(text)) {
            return None;
        }
        order.push(preference(&parts));
    }
    segments.next().is_none().then_some(order)
}

#[derive(Debug, PartialEq)]
enum Answer {
    Operation(u32),
    Options,
    NotFound,
    NotAllowed(Vec<String>),
}

fn oracle(table: &[(Method, String)], method: &Method, path: &str) -> Answer {
    let mut matching: Vec<_> = (0u32..)
        .zip(table)
        .filter_map(|(index, (held, template))| Some((matches(template, path)?, held, index)))
        .collect();
    // HEAD prefers a HEAD of the same template to its GET.
    matching.sort_by_key(|(order, held, _)| (order.clone(), *held != method));
    let answers =
        |held: &Method| held == method || (*method == Method::HEAD && *held == Method::GET);
    if let Some((_, _, index)) = matching.iter().find(|(_, held, _)| answers(held)) {
        return Answer::Operation(*index);
    }
    if matching.is_empty() {
        return Answer::NotFound;
    }
    if *method == Method::OPTIONS {
        return Answer::Options;
    }
    let mut allowed: Vec<String> = matching.iter().map(|(_, held, _)| held.to_string()).collect();
    if allowed.contains(&"GET".to_owned()) {
        allowed.push("HEAD".to_owned());
    }
    allowed.push("OPTIONS".to_owned());
    allowed.sort();
    allowed.dedup();
    Answer::NotAllowed(allowed)
}

fn asked(router: &Router, method: &Method, path: &str) -> Answer {
    match router.find(method, path, &HeaderMap::new()) {
        Match::Operation(found) => Answer::Operation(found.index),
        Match::Options { .. } => Answer::Options,
        Match::NotFound => Answer::NotFound,
        Match::MethodNotAllowed { allow } => {
            let mut allowed: Vec<String> =
                allow.to_string().split(", ").map(str::to_owned).collect();
            allowed.sort();
            Answer::NotAllowed(allowed)
        }
        other => panic!("the table has no such thing: {other:?}"),
    }
}

fn build(table: &[(Method, String)]) -> Result<Router, RouterFault> {
    let operations = table
        .iter()
        .enumerate()
        .map(|(index, (method, template))| {
            OperationRoute::new(format!("op{index}"), method.to_string(), template.clone())
        })
        .collect();
    let service = ServiceRoutes {
        service: "shop".into(),
        version: None,
        has_contract: true,
        operations,
        document: None,
    };
    Router::build(&Routes::new(vec![service]), &RouterOptions::default())
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::GET,
        Method::GET,
        Method::POST,
        Method::HEAD,
        Method::OPTIONS,
        Method::DELETE,
    ])
}

fn template() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a", "b", "ab", "{x}", "{y}", "{x}.b", "a{x}", "{x}b", "{x}.{y}", "a{x}b", "{x}a{y}",
        "%61", "a%2Fb", "", "%25", "{x}{y}", "a.b",
    ]);
    prop::collection::vec(segment, 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        8 => prop::sample::select(vec![
            "a", "b", "ab", "aab", "abb", "a.b", "%61", "%61b", "a%2Fb", "", "%", "%25", "%zz",
            "aba",
        ]).prop_map(str::to_owned),
        2 => "[ab.%126]{0,6}",
    ];
    prop::collection::vec(segment, 1..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// Two templates of one method that match the same paths, by their parts.
fn twice(table: &[(Method, String)]) -> bool {
    let shapes: Vec<_> = table
        .iter()
        .map(|(method, template)| (method, template.split('/').map(parts).collect::<Vec<_>>()))
        .collect();
    (1..shapes.len()).any(|index| shapes[..index].contains(&shapes[index]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn the_router_finds_what_the_oracle_finds(
        table in prop::collection::vec((method(), template()), 1..14),
        requests in prop::collection::vec((method(), path()), 8),
    ) {
        let built = build(&table);
        if twice(&table) {
            let refused = matches!(built, Err(RouterFault::Conflict { .. }));
            prop_assert!(refused, "two operations on the same paths were taken");
        } else {
            let router = built.unwrap();
            for (method, path) in &requests {
                prop_assert_eq!(
                    asked(&router, method, path),
                    oracle(&table, method, path),
                    "{} {}", method, path
                );
            }
            // Each template is a path too, and so is each with its parameters filled in.
            for (_, template) in &table {
                let filled = template.replace("{x}", "b").replace("{y}", "%2Fa");
                for path in [template.as_str(), &filled] {
                    prop_assert_eq!(
                        asked(&router, &Method::GET, path),
                        oracle(&table, &Method::GET, path),
                        "GET {}", path
                    );
                }
            }
        }
    }

    #[test]
    fn any_text_gets_an_answer(
        table in prop::collection::vec((method(), template()), 1..9),
        path in ".{0,60}",
    ) {
        if let Ok(router) = build(&table) {
            let found = router.find(&Method::GET, &path, &HeaderMap::new());
            prop_assert!(path.starts_with('/') || matches!(found, Match::NotFound));
        }
    }
}

/// Thirty levels, each with a literal, a mixed segment and a parameter that all match: a search
/// without the tree's bound would take 3^30 steps.
#[test]
fn backtracking_is_bounded_by_the_table() {
    let mut table = Vec::new();
    for first in ["a", "a{x}", "{x}"] {
        for second in ["a", "a{x}", "{x}"] {
            let middle = "/{x}".repeat(40);
            table.push((Method::GET, format!("/{first}/{second}{middle}/end")));
        }
    }
    let router = build(&table).unwrap();
    let path = format!("/{}", ["aa"; 43].join("/"));
    assert_eq!(asked(&router, &Method::GET, &path), Answer::NotFound);
    let path = format!("/aa/aa{}/end", "/aa".repeat(40));
    assert_eq!(asked(&router, &Method::GET, &path), oracle(&table, &Method::GET, &path));
}
