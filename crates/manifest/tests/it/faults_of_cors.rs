//! Faults of `[cors]`.

use crate::support::{SHOP, expect, sound};

fn cors(more: &str) -> String {
    format!("[cors]\n{more}\n{SHOP}")
}

#[test]
fn every_page_may_not_use_its_visitors_cookies() {
    let all = "origins = [\"*\"]\n";
    sound(&cors(all));
    let text = cors(&format!("{all}credentials = true"));
    expect(&text, &[(3, "cors.credentials", "use its visitors' cookies")]);
    let text = cors("origins = [\"https://a.example\", \"*\"]");
    expect(&text, &[(2, "cors.origins[1]", "`*` alone")]);
}

#[test]
fn an_origin_that_would_never_match_is_told() {
    for (origin, part) in [
        ("https://a.example/", "did you mean `https://a.example`?"),
        ("https://A.example", "did you mean `https://a.example`?"),
        ("https://*.a.example", "is no origin"),
        ("a.example", "has no scheme"),
    ] {
        expect(&cors(&format!("origins = [\"{origin}\"]")), &[(2, "cors.origins[0]", part)]);
    }
    expect(&cors(""), &[(1, "cors", "no page is allowed")]);
    expect(&cors("origins = []"), &[(2, "cors.origins", "the list is empty")]);
    let text = cors("origins = [\"https://a\"]\nmax_age = \"25h\"");
    expect(&text, &[(3, "cors.max_age", "24h")]);
}
