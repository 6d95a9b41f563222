//! Operations that lie below a passthrough. They keep what belongs to them; people are told,
//! because it is easy to think that the prefix takes everything.

use std::sync::Arc;

use super::{Operation, PassthroughRoute, Router};

/// A passthrough and the operations below it.
#[derive(Debug)]
pub struct Overlap<'r> {
    /// The passthrough.
    pub passthrough: &'r PassthroughRoute,
    /// The operations, in the order of their index; at least one.
    pub operations: Vec<&'r Arc<Operation>>,
}

impl Overlap<'_> {
    /// In words: which operations, the first few by name.
    #[must_use]
    pub fn said(&self) -> String {
        const NAMED_MAX: usize = 3;
        let named: Vec<String> = self
            .operations
            .iter()
            .take(NAMED_MAX)
            .map(|operation| format!("`{}`", operation.id))
            .collect();
        let more = self.operations.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} below the passthrough {}", named.join(", ") + &more, self.passthrough.id)
    }
}

impl Router {
    /// Every passthrough that covers paths of operations.
    #[must_use]
    pub fn overlaps(&self) -> Vec<Overlap<'_>> {
        let below = |prefix: &str| -> Vec<_> {
            self.operations
                .iter()
                .filter(|operation| may_be_below(prefix, &operation.template))
                .collect()
        };
        self.passthroughs
            .iter()
            .map(|passthrough| Overlap { passthrough, operations: below(&passthrough.prefix) })
            .filter(|overlap| !overlap.operations.is_empty())
            .collect()
    }
}

/// Whether a path that a template matches can lie below the prefix.
fn may_be_below(prefix: &str, template: &str) -> bool {
    let mut segments = template.split('/');
    prefix.split('/').all(|wanted| {
        segments.next().is_some_and(|segment| segment == wanted || segment.contains('{'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_may_stand_for_a_prefix() {
        for (prefix, template, expected) in [
            ("", "/orders", true),
            ("/v1", "/v1/orders/{id}", true),
            ("/v1", "/v1", true),
            ("/v1", "/v10", false),
            ("/v1/ws", "/v1", false),
            ("/ws", "/{a}/{b}", true),
            ("/ws/chat", "/{a}", false),
        ] {
            assert_eq!(may_be_below(prefix, template), expected, "{prefix} {template}");
        }
    }
}
