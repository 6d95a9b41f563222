//! Compression: codings named twice, and policies that could never take effect.

use super::Context;
use crate::CompressionRule;

pub(super) fn check(cx: &mut Context<'_>) {
    let section = &cx.manifest.compression;
    for (index, coding) in section.codings.iter().enumerate() {
        if section.codings[..index].contains(coding) {
            let key = format!("compression.codings[{index}]");
            cx.refuse(&key, "this coding stands twice", "each coding once");
        }
    }
    if section.enabled {
        return;
    }
    for (index, operation) in cx.manifest.operations.iter().enumerate() {
        if operation.compression == Some(CompressionRule::On) {
            let key = format!("operation[{index}].compression");
            let message = "compression is off for the whole edge";
            cx.refuse(&key, message, "[compression] enabled = true");
        }
    }
}
