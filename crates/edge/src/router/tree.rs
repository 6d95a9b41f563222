//! The tree of templates: one node for each distinct beginning of a template.

use std::cmp::Reverse;
use std::sync::Arc;

use plimsoll_snapshot::template::{Piece, Segment, Template};

use super::Operation;
use super::methods::Methods;
use super::segment;

/// Templates by their segments. Nodes stand in one vector and name each other by index.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by text, for a binary search.
    literals: Vec<(Box<[u8]>, u32)>,
    /// Most literal text first.
    mixed: Vec<(Vec<Piece>, u32)>,
    parameter: Option<u32>,
    leaf: Leaf,
}

/// The operations of the template that ends at a node.
#[derive(Debug, Default)]
struct Leaf {
    methods: Methods,
    operations: Vec<(Methods, Arc<Operation>)>,
}

/// What a lookup met beside the operation it looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Every method of every template that matches the path.
    pub(super) methods: Methods,
    /// The service of the template preferred among those.
    pub(super) owner: Option<u16>,
}

/// One lookup: what is asked for, and what was met so far.
struct Lookup<'t> {
    tree: &'t Tree,
    wanted: Methods,
    /// `GET` when `HEAD` is asked for.
    instead: Methods,
    /// Whether the path holds an escape, so that text cannot be compared as it stands.
    escaped: bool,
    seen: Seen,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Tree {
    /// Adds an operation. `Err` is the one that already has this method and template.
    pub(super) fn insert(
        &mut self,
        template: &Template,
        operation: Arc<Operation>,
    ) -> Result<(), Arc<Operation>> {
        let mut at = 0;
        for segment in template.segments() {
            at = self.child(at, segment);
        }
        let method = Methods::of(&operation.method);
        let leaf = &mut self.nodes[at as usize].leaf;
        if let Some((_, holder)) = leaf.operations.iter().find(|(held, _)| held.intersects(method))
        {
            return Err(Arc::clone(holder));
        }
        leaf.methods = leaf.methods.union(method);
        leaf.operations.push((method, operation));
        Ok(())
    }

    /// The child of a node for a segment, made if it is not there yet.
    fn child(&mut self, at: u32, segment: &Segment) -> u32 {
        // More than u32::MAX nodes would need a contract of many gigabytes.
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let node = &mut self.nodes[at as usize];
        let child = match segment {
            Segment::Literal(text) => {
                match node.literals.binary_search_by(|(held, _)| held.cmp(text)) {
                    Ok(found) => node.literals[found].1,
                    Err(place) => {
                        node.literals.insert(place, (text.clone(), next));
                        next
                    }
                }
            }
            Segment::Parameter => *node.parameter.get_or_insert(next),
            Segment::Mixed(pieces) => {
                match node.mixed.binary_search_by(|(held, _)| rank(held).cmp(&rank(pieces))) {
                    Ok(found) => node.mixed[found].1,
                    Err(place) => {
                        node.mixed.insert(place, (pieces.clone(), next));
                        next
                    }
                }
            }
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// The operation for a path and a method. Among templates that match the path and have the
    /// method, the one is taken whose first differing segment is the more literal one.
    ///
    /// Bound: a lookup visits a node at most once, because a node has one parent and a parent
    /// offers each child once. So it never takes more steps than the tree has nodes, which is at
    /// most the number of segments in all contracts, whatever the path; a path goes no deeper than
    /// the longest template.
    pub(super) fn find(&self, wanted: Methods, path: &[u8]) -> (Option<&Arc<Operation>>, Seen) {
        let Some((b'/', rest)) = path.split_first() else {
            return (None, Seen::default());
        };
        let mut lookup = Lookup {
            tree: self,
            wanted,
            instead: if wanted == Methods::HEAD { Methods::GET } else { wanted },
            escaped: memchr::memchr(b'%', rest).is_some(),
            seen: Seen::default(),
        };
        let found = lookup.walk(0, Some(rest));
        (found, lookup.seen)
    }
}

impl<'t> Lookup<'t> {
    fn walk(&mut self, at: u32, rest: Option<&[u8]>) -> Option<&'t Arc<Operation>> {
        let tree = self.tree;
        let node = tree.nodes.get(at as usize)?;
        let Some(rest) = rest else {
            return self.leaf(&node.leaf);
        };
        let (segment, rest) = match memchr::memchr(b'/', rest) {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        if let Some(child) = self.literal(node, segment)
            && let Some(found) = self.walk(child, rest)
        {
            return Some(found);
        }
        for (pieces, child) in &node.mixed {
            if segment::matches_mixed(pieces, segment)
                && let Some(found) = self.walk(*child, rest)
            {
                return Some(found);
            }
        }
        node.parameter.filter(|_| !segment.is_empty()).and_then(|child| self.walk(child, rest))
    }

    fn literal(&self, node: &Node, segment: &[u8]) -> Option<u32> {
        let found = if self.escaped {
            node.literals.binary_search_by(|(text, _)| segment::compare(text, segment))
        } else {
            node.literals.binary_search_by(|(text, _)| (**text).cmp(segment))
        };
        found.ok().map(|place| node.literals[place].1)
    }

    fn leaf(&mut self, leaf: &'t Leaf) -> Option<&'t Arc<Operation>> {
        let (_, first) = leaf.operations.first()?;
        self.seen.methods = self.seen.methods.union(leaf.methods);
        self.seen.owner.get_or_insert(first.service);
        let of = |set: Methods| {
            leaf.operations.iter().find(|(held, _)| held.intersects(set)).map(|(_, found)| found)
        };
        of(self.wanted).or_else(|| of(self.instead))
    }
}

/// Among mixed segments that match, the one with the most literal text is meant; then the one with
/// fewer pieces; then any order, as long as it is always the same.
fn rank(pieces: &[Piece]) -> (Reverse<usize>, usize, &[Piece]) {
    let literal = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Parameter => 0,
        })
        .sum();
    (Reverse(literal), pieces.len(), pieces)
}
