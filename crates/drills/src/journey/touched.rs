//! Which operations a journey is made of.

use plimsoll_snapshot::Routes;
use plimsoll_snapshot::template::{Piece as Part, Segment, Template};

use super::model::{Journey, Piece, Step};
use super::render::percent_decoded;

/// A segment of a path as a step writes it; none where a variable stands in it.
type Known = Option<String>;

/// The operations that the steps of a journey ask for, by `operationId`, each once, in the order of
/// the steps. A step that asks for something else, such as another host, has none.
#[must_use]
pub fn touched(journey: &Journey, routes: &Routes) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for step in &journey.steps {
        if let Some(id) = operation(step, routes)
            && !all.contains(&id)
        {
            all.push(id);
        }
    }
    all
}

fn operation(step: &Step, routes: &Routes) -> Option<String> {
    let path = path(step)?;
    let operations = routes.services.iter().flat_map(|service| &service.operations);
    let fits = operations.filter_map(|operation| {
        // A HEAD is answered wherever a GET is.
        let head = step.method == "HEAD" && operation.method == "GET";
        if operation.method != step.method && !head {
            return None;
        }
        let template = Template::parse(&operation.template).ok()?;
        matches(template.segments(), &path).map(|literals| (literals, head, operation))
    });
    // The router prefers what is literal, too.
    let best = fits.max_by_key(|(literals, head, _)| (*literals, !*head));
    best.map(|(_, _, operation)| operation.id.clone())
}

/// The segments of the path on `{{base}}`; none for a URL that goes elsewhere.
fn path(step: &Step) -> Option<Vec<Known>> {
    let mut pieces = step.url.pieces.iter();
    let Some(Piece::Given(super::model::Given::Variable { name, .. })) = pieces.next() else {
        return None;
    };
    if name != "base" {
        return None;
    }
    let mut segments: Vec<Known> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(text) => {
                let path = text.split('?').next().unwrap_or_default();
                let mut parts = path.split('/');
                // What stands before the first slash belongs to the segment before.
                if let (Some(before), Some(last)) = (parts.next(), segments.last_mut())
                    && let Some(last) = last
                {
                    last.push_str(before);
                }
                segments.extend(parts.map(percent_decoded));
                if text.contains('?') {
                    break;
                }
            }
            Piece::Given(_) => match segments.last_mut() {
                Some(last) => *last = None,
                None => return None,
            },
        }
    }
    (!segments.is_empty()).then_some(segments)
}

/// Whether a path fits a template, and how many of its segments are literal there.
fn matches(template: &[Segment], path: &[Known]) -> Option<usize> {
    if template.len() != path.len() {
        return None;
    }
    let mut literals = 0;
    for (segment, known) in template.iter().zip(path) {
        match (segment, known) {
            (Segment::Literal(text), Some(known)) if **text == *known.as_bytes() => literals += 1,
            (Segment::Literal(_), _) => return None,
            (Segment::Parameter | Segment::Mixed(_), None) => {}
            (Segment::Parameter, Some(known)) if !known.is_empty() => {}
            (Segment::Parameter, Some(_)) => return None,
            (Segment::Mixed(parts), Some(known)) if holds(parts, known) => {}
            (Segment::Mixed(_), Some(_)) => return None,
        }
    }
    Some(literals)
}

/// Whether the literals stand in a segment in their order.
fn holds(parts: &[Part], known: &str) -> bool {
    let mut rest = known;
    for part in parts {
        if let Part::Literal(text) = part {
            let Ok(text) = std::str::from_utf8(text) else { return false };
            let Some((_, after)) = rest.split_once(text) else { return false };
            rest = after;
        }
    }
    true
}
