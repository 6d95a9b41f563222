//! Parser: `plimsoll_edge::router` (path templates and paths). Input: lines `METHOD /template`, an
//! empty line, then lines `METHOD /path`; the answers are held against a naive matcher.

use http::{HeaderMap, Method};
use plimsoll_edge::router::{Match, Router, RouterOptions};
use plimsoll_snapshot::{OperationRoute, Routes, ServiceRoutes};

use crate::head::decode;

const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::HEAD];

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (table, requests) = text.split_once("\n\n").unwrap_or((&text, ""));
    let table: Vec<(Method, &str)> = table.lines().take(24).filter_map(line).collect();
    let pass = data.first().is_some_and(|byte| byte % 2 == 1);
    let options = RouterOptions {
        pass_unknown: if pass { vec!["shop".into()] } else { Vec::new() },
        passthrough: Vec::new(),
    };
    let Ok(router) = Router::build(&routes(&table), &options) else {
        return;
    };
    for (method, path) in requests.lines().take(24).filter_map(line) {
        let found = router.find(&method, path, &HeaderMap::new());
        let fitting: Vec<u32> =
            (0..).zip(&table).filter(|(_, (_, t))| fits(t, path)).map(|(index, _)| index).collect();
        check(&table, &method, path, found, &fitting, pass);
    }
}

fn check(
    table: &[(Method, &str)],
    method: &Method,
    path: &str,
    found: Match<'_>,
    fitting: &[u32],
    pass: bool,
) {
    let answers = |index: &u32| {
        let held = &table[*index as usize].0;
        held == method || (method == Method::HEAD && held == Method::GET)
    };
    match found {
        Match::Operation(operation) => {
            assert!(fitting.contains(&operation.index), "{path:?} is no {}", operation.template);
            assert!(answers(&operation.index), "{method} got {}", operation.method);
        }
        Match::Options { .. } => assert_eq!(method, Method::OPTIONS),
        Match::MethodNotAllowed { allow } => {
            assert!(!fitting.is_empty() && !fitting.iter().any(answers), "{method} {path:?}");
            let allow = allow.to_string();
            for index in fitting {
                assert!(allow.split(", ").any(|m| m == table[*index as usize].0.as_str()));
            }
        }
        Match::Unknown { .. } => {
            assert!(pass && !fitting.iter().any(answers), "{method} {path:?}");
        }
        Match::NotFound => assert!(fitting.is_empty(), "{path:?} fits and was not found"),
        Match::Passthrough(_) => panic!("there is no passthrough"),
    }
}

fn line(text: &str) -> Option<(Method, &str)> {
    let (method, path) = text.split_once(' ')?;
    let method = METHODS.into_iter().find(|m| m.as_str() == method)?;
    Some((method, path))
}

fn routes(table: &[(Method, &str)]) -> Routes {
    let operations = table.iter().enumerate().map(|(index, (method, template))| {
        OperationRoute::new(format!("op{index}"), method.to_string(), (*template).to_owned())
    });
    Routes::new(vec![ServiceRoutes {
        service: "shop".into(),
        version: None,
        has_contract: true,
        operations: operations.collect(),
        document: None,
    }])
}

/// Segment by segment, every way to cut the text.
fn fits(template: &str, path: &str) -> bool {
    let (mut left, mut right) = (template.split('/'), path.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(pattern), Some(text)) if segment_fits(pattern, text) => {}
            _ => return false,
        }
    }
}

fn segment_fits(pattern: &str, text: &str) -> bool {
    let mut parts: Vec<Option<Vec<u8>>> = Vec::new();
    let mut rest = pattern;
    while let Some((literal, inside)) = rest.split_once('{') {
        if !literal.is_empty() {
            parts.push(Some(decode(literal.as_bytes())));
        }
        parts.push(None);
        rest = inside.split_once('}').map_or("", |(_, after)| after);
    }
    if !rest.is_empty() {
        parts.push(Some(decode(rest.as_bytes())));
    }
    // ends[i]: the parts so far can match exactly the first i bytes.
    let text = decode(text.as_bytes());
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in &parts {
        let mut next = vec![false; text.len() + 1];
        for from in (0..=text.len()).filter(|i| ends[*i]) {
            match part {
                Some(literal) if text[from..].starts_with(literal) => {
                    next[from + literal.len()] = true;
                }
                Some(_) => {}
                None => next[from + 1..].fill(true),
            }
        }
        ends = next;
    }
    ends[text.len()]
}
