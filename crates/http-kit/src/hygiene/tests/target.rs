//! Targets, paths and hosts.

use super::*;

#[test]
fn paths_are_plain_or_refused() {
    for good in [
        "/",
        "/a/b",
        "/v1.2/x",
        "/.well-known/x",
        "/a..b",
        "/...",
        "/..a",
        "/a/%2Fb",
        "/@s%2fname",
        "/a//b",
        "//a",
        "/a;v=1",
        "/%252e%252e/a",
        "/a%20b",
        "/%E2%82%AC",
        "/a/;/b",
        "/~x!$&'()*+,=:@",
        "/..%20",
        "/x%3F..",
    ] {
        assert_eq!(check_path(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "a",
        "*",
        "/..",
        "/../a",
        "/a/..",
        "/a/../b",
        "/.",
        "/a/./b",
        "/%2e%2e",
        "/%2E%2e/a",
        "/.%2e/a",
        "/%2e./a",
        "/a/%2e/b",
        "/..;/a",
        "/..;v=1/a",
        "/.;/a",
        "/%2e%2e%3b/a",
        "/a/..%2Fb",
        "/a%2f..%2fb",
        "/a%2F%2e%2e",
        "/a\\b",
        "/a%5cb",
        "/a%5C..",
        "/%00",
        "/a%00b",
        "/%c0%ae%c0%ae/",
        "/%C1%9c",
        "/%",
        "/%2",
        "/%zz",
        "/%u002e",
        "/a b",
        "/\u{e9}",
        "/a\tb",
        "/a\u{7f}",
    ] {
        let code = check_path(bad).map_err(|refusal| refusal.code);
        assert_eq!(code, Err(Code::BadPath), "{bad:?}");
    }
}

#[test]
fn targets_come_in_the_forms_of_the_standard() {
    let get = |target: &str| look("GET", target, Version::HTTP_11, &[("host", "a.example")]);
    assert!(get("/x?y=../..").is_ok());
    assert!(get("http://a.example/x").is_ok());
    assert!(get("http://A.EXAMPLE").is_ok());
    for (target, code) in [
        ("http://b.example/x", Code::BadHost),
        ("http://a.example:80/x", Code::BadHost),
        ("http://user@a.example/x", Code::BadHost),
        ("ftp://a.example/x", Code::BadPath),
        ("a.example:443", Code::BadPath),
        ("*", Code::BadPath),
    ] {
        assert_eq!(get(target), Err(code), "{target}");
    }
    assert!(look("OPTIONS", "*", Version::HTTP_11, &[]).is_ok());
    assert_eq!(
        look("CONNECT", "a.example:443", Version::HTTP_11, &[]),
        Err(Code::MethodUnsupported)
    );
    assert_eq!(look("TRACE", "/", Version::HTTP_11, &[]), Err(Code::MethodUnsupported));
    let long = format!("/?{}", "x".repeat(TARGET_BYTES_MAX));
    assert_eq!(get(&long), Err(Code::TargetTooLong));
}

#[test]
fn a_host_is_one_name_or_address() {
    for good in [
        "a",
        "shop.example",
        "shop.example:8080",
        "127.0.0.1:1",
        "[::1]",
        "[2001:db8::1]:443",
        "my_service",
        "A-b.C~d",
        "xn--bcher-kva.example",
        "shop.example.",
    ] {
        assert!(check_host(good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        ":80",
        "a:",
        "a:b",
        "a:123456",
        "a:65536",
        "a:+1",
        "a b",
        "a/b",
        "a@b",
        "a,b",
        "a?b",
        "a#b",
        "a..b",
        ".a",
        "[::1",
        "::1",
        "[1.2.3.4]",
        "[::1]x",
        "[]",
        "a%20b",
        "a\\b",
        "\u{e9}",
        "a;b",
        "a'b",
        &"x".repeat(254),
    ] {
        assert!(!check_host(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn hosts_are_counted_by_version() {
    let check = |version, target: &str, hosts: &[&str]| {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let uri: Uri = target.parse().unwrap();
        check_request(&Method::GET, &uri, version, &headers, &Fields::of(&headers), &BOUNDS)
            .map(|_| host_of(&uri, &headers).map(str::to_owned))
            .map_err(|refusal| refusal.code)
    };
    let some = |host: &str| Ok(Some(host.to_owned()));
    assert_eq!(check(Version::HTTP_11, "/", &["a"]), some("a"));
    assert_eq!(check(Version::HTTP_11, "/", &[]), Err(Code::BadHost));
    assert_eq!(check(Version::HTTP_11, "/", &["a", "a"]), Err(Code::BadHost));
    assert_eq!(check(Version::HTTP_11, "http://a/", &[]), Err(Code::BadHost));
    assert_eq!(check(Version::HTTP_10, "/", &[]), Ok(None));
    assert_eq!(check(Version::HTTP_10, "/", &["a", "b"]), Err(Code::BadHost));
    assert_eq!(check(Version::HTTP_2, "https://a/", &[]), some("a"));
    assert_eq!(check(Version::HTTP_2, "https://a/", &["A"]), some("a"));
    assert_eq!(check(Version::HTTP_2, "https://a/", &["b"]), Err(Code::BadHost));
    assert_eq!(check(Version::HTTP_2, "/", &["b"]), some("b"));
    assert_eq!(check(Version::HTTP_2, "/", &[]), Err(Code::BadHost));
}
