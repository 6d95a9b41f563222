//! `[cors]`: what browsers would not take, or nobody should want.

use super::Context;

pub(super) fn check(cx: &mut Context<'_>) {
    let Some(cors) = &cx.manifest.cors else { return };
    if cors.origins.is_empty() && !cx.lost("cors", "origins") && !cx.lost("cors.origins", "") {
        cx.refuse("cors", "no page is allowed", "`origins`, or no [cors]");
    }
    let any = cors.origins.iter().position(|origin| origin.is_any());
    if let Some(index) = any
        && cors.origins.len() > 1
    {
        let key = format!("cors.origins[{index}]");
        cx.refuse(&key, "`*` allows every origin beside it", "`*` alone, or the origins by name");
    }
    if any.is_some() && cors.credentials {
        let message = "every page could use its visitors' cookies";
        cx.refuse("cors.credentials", message, "the origins by name, or credentials = false");
    }
    let named: Vec<(String, String)> = (0..)
        .zip(&cors.origins)
        .map(|(index, origin): (usize, _)| (format!("cors.origins[{index}]"), origin.to_string()))
        .collect();
    cx.refuse_repeated("origin", named.into_iter());
}
