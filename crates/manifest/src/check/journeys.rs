//! Journeys: names, the operations they name, what a smoke test can reach.

use super::Context;
use crate::Journey;

pub(super) fn check(cx: &mut Context<'_>) {
    let journeys = &cx.manifest.journeys;
    let names = journeys.iter().enumerate();
    let names = names.map(|(at, one)| (format!("journey[{at}].name"), one.name.to_string()));
    cx.refuse_repeated("journey", names);
    for (index, journey) in journeys.iter().enumerate() {
        let key = format!("journey[{index}]");
        let operations = journey.operations.iter().map(String::as_str);
        cx.require_operations(&format!("{key}.operations"), operations);
        smoke(cx, &key, journey);
    }
}

/// With TLS the listener's certificate is for other names than this machine's.
fn smoke(cx: &mut Context<'_>, key: &str, journey: &Journey) {
    if journey.smoke && journey.base.is_none() && cx.manifest.edge.tls.is_some() {
        let message = "the edge speaks TLS, for names that only its clients know";
        cx.refuse(&format!("{key}.smoke"), message, "`base = \"https://NAME\"` beside it");
    }
    if !journey.smoke && journey.base.is_some() {
        let message = "only a smoke test has a place of its own";
        cx.refuse(&format!("{key}.base"), message, "`smoke = true`, or no `base`");
    }
}
