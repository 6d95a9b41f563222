//! What operators are told of what nodes share.

use plimsoll_console::{Notice, NoticeLevel, Reason};
use plimsoll_edge::CacheSharing;
use plimsoll_edge::limit::sharing::Sharing;

/// Nodes with another key hear nothing of each other.
pub(super) fn apart(sharing: &Sharing) -> Option<Notice> {
    let apart = *sharing == (Sharing::Shared { apart: true });
    apart.then(|| Notice {
        level: NoticeLevel::Warning,
        title: "Some nodes count limits and cache apart".to_owned(),
        why: "Another node uses this Redis with another key-encrypting key.".to_owned(),
        next: "Give all nodes the same PLIMSOLL_KEK_FILE.".to_owned(),
    })
}

/// Each node counts for itself where it should not. An edge serves all the same.
pub(super) fn limits(sharing: &Sharing) -> Option<Reason> {
    let Sharing::Lost { why } = sharing else { return None };
    Some(Reason {
        code: "limits_not_shared".to_owned(),
        why: format!("Limits are not shared with other nodes: {why}."),
        next: "Requests go on, each node by its own count, until Redis is back.".to_owned(),
    })
}

/// What is written elsewhere is not known here. An edge serves all the same.
pub(super) fn cache(sharing: &CacheSharing) -> Option<Reason> {
    let CacheSharing::Lost { why } = sharing else { return None };
    Some(Reason {
        code: "cache_not_shared".to_owned(),
        why: format!("The cache is not shared with other nodes: {why}."),
        next: "Until Redis is back, callers who can be told from others are answered by the \
               services, and a write makes invalid what this node holds alone."
            .to_owned(),
    })
}
