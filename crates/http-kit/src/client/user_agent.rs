//! What a `User-Agent` tells, where nothing better does.
//!
//! Only patterns that name the thing outright are read; a library that runs everywhere (Dart, axios
//! in an app) leaves the platform unknown.

use plimsoll_telemetry::Platform;

use super::Field;
use super::draft::Draft;

/// How much of the field is looked at, in bytes.
const AGENT_BYTES_MAX: usize = 256;

pub(super) fn read<'h>(agent: &'h [u8], draft: &mut Draft<'h>) {
    let agent = &agent[..agent.len().min(AGENT_BYTES_MAX)];
    let Some(agent) = ascii(agent) else {
        return;
    };
    let (product, rest) = first_product(agent);
    let (name, version) = product.split_once('/').unwrap_or((product, ""));
    let comment = first_comment(rest);
    match name {
        "Mozilla" | "Opera" => return read_browser(comment, draft),
        "Dalvik" | "okhttp" => return read_android(comment, draft),
        _ if is_tool(name) => return draft.offer_platform(Platform::Other),
        _ => {}
    }
    if let Some(darwin) = after(rest, "Darwin/").filter(|_| rest.contains("CFNetwork/")) {
        return read_cfnetwork(version, darwin, draft);
    }
    let platform = read_app_comment(comment, draft);
    let android = platform == Platform::Android || rest.contains("okhttp/");
    draft.offer_platform(if android { Platform::Android } else { platform });
    if android || platform != Platform::Unknown {
        draft.offer(Field::Version, version);
    }
}

/// `App/3.1.0 (com.example.app; build:412; iOS 17.2.0)` as Alamofire, AFNetworking and many apps
/// write it.
fn read_app_comment<'h>(comment: &'h str, draft: &mut Draft<'h>) -> Platform {
    let mut platform = Platform::Unknown;
    for part in comment.split(';').map(str::trim) {
        if let Some(build) = part.strip_prefix("build:") {
            draft.offer(Field::Build, build);
        } else if let Some((system, version)) = part.split_once(' ')
            && let "iOS" | "iPadOS" | "Android" = system
        {
            platform = if system == "Android" { Platform::Android } else { Platform::Ios };
            draft.offer(Field::Os, version);
        } else if part.starts_with("iPhone") || part.starts_with("iPad") {
            platform = Platform::Ios;
            draft.offer(Field::Model, part);
        } else if platform == Platform::Android && !part.is_empty() && !part.contains('/') {
            draft.offer(Field::Model, part);
        }
    }
    platform
}

/// `App/412 CFNetwork/1490.0.4 Darwin/23.2.0`: what URLSession sends by itself. The first number is
/// the bundle version, which is the build number unless the team made it a version.
fn read_cfnetwork<'h>(version: &'h str, darwin: &str, draft: &mut Draft<'h>) {
    draft.offer_platform(Platform::Ios);
    let field = if version.contains('.') { Field::Version } else { Field::Build };
    draft.offer(field, version);
    let major = darwin.split('.').next().and_then(|major| major.parse::<u16>().ok());
    // Darwin 17 is iOS 11, and so on to Darwin 24 (iOS 18); then iOS took the number of the year.
    let ios = match major {
        Some(major @ 15..=24) => major - 6,
        Some(major @ 25..=99) => major + 1,
        _ => return,
    };
    draft.offer(Field::Os, ios.to_string());
}

/// `Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)`; okhttp has no comment.
fn read_android<'h>(comment: &'h str, draft: &mut Draft<'h>) {
    draft.offer_platform(Platform::Android);
    read_android_device(comment, draft);
}

fn read_browser<'h>(comment: &'h str, draft: &mut Draft<'h>) {
    draft.offer_platform(Platform::Web);
    read_android_device(comment, draft);
    let mut parts = comment.split(';').map(str::trim);
    let Some(device @ ("iPhone" | "iPad" | "iPod touch")) = parts.next() else {
        return;
    };
    draft.offer(Field::Model, device);
    // `CPU iPhone OS 17_2 like Mac OS X`
    let version =
        parts.find_map(|part| part.split_once(" OS ")).and_then(|(_, rest)| rest.split(' ').next());
    if let Some(version) = version {
        draft.offer(Field::Os, version.replace('_', "."));
    }
}

/// `Linux; Android 13; Pixel 7 Build/..`: the part after the version is the model. Chrome writes
/// `K` for every model.
fn read_android_device<'h>(comment: &'h str, draft: &mut Draft<'h>) {
    let mut parts = comment.split(';').map(str::trim);
    let Some(version) = parts.find_map(|part| part.strip_prefix("Android ")) else {
        return;
    };
    draft.offer(Field::Os, version);
    let model = parts.next().map(|part| part.split(" Build/").next().unwrap_or(part));
    if let Some(model) = model.filter(|model| !matches!(*model, "K" | "wv" | "")) {
        draft.offer(Field::Model, model);
    }
}

/// Programs that are no app on a phone.
fn is_tool(name: &str) -> bool {
    const TOOLS: [&str; 20] = [
        "Apache-HttpClient",
        "Go-http-client",
        "HTTPie",
        "Java",
        "PostmanRuntime",
        "Wget",
        "aiohttp",
        "curl",
        "h2load",
        "hey",
        "insomnia",
        "k6",
        "kinto",
        "node",
        "node-fetch",
        "npm",
        "python-requests",
        "python-urllib3",
        "undici",
        "wrk",
    ];
    TOOLS.contains(&name) || name.starts_with("python") || name.starts_with("Python")
}

/// The first product with its version, and what follows.
fn first_product(agent: &str) -> (&str, &str) {
    let end = agent.find([' ', '(']).unwrap_or(agent.len());
    agent.split_at(end)
}

/// What stands in the first parentheses, to their end or the end of the text.
fn first_comment(text: &str) -> &str {
    let Some((_, rest)) = text.split_once('(') else {
        return "";
    };
    rest.split(')').next().unwrap_or(rest)
}

fn after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(key)?;
    rest.split(' ').next()
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() { std::str::from_utf8(bytes).ok() } else { None }
}
