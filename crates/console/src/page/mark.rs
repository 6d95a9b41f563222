//! The load line: a circle crossed by a line. As a gauge, water stands in the circle and the line
//! is the limit: below it all is well, as on a ship's hull.

use maud::{Markup, html};

/// Share of the limit from which the water is near the line.
const NEAR: f64 = 0.8;
/// Share of the limit from which nobody could tell the water from the line.
const AT: f64 = 0.999_5;
/// The circle, in the units of its drawing.
const CX: f64 = 32.0;
const CY: f64 = 24.0;
const R: f64 = 17.0;

/// Where the water stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Below,
    Near,
    At,
    Over,
}

impl Level {
    pub(crate) fn of(share: f64) -> Self {
        match share {
            share if share > 1.0 => Level::Over,
            share if share >= AT => Level::At,
            share if share >= NEAR => Level::Near,
            _ => Level::Below,
        }
    }

    /// The class that colours it; the word says the same.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Level::Below => "ok",
            Level::Near => "near",
            Level::At | Level::Over => "over",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Below => "below the line",
            Level::Near => "near the line",
            Level::At => "at the line",
            Level::Over => "over the line",
        }
    }
}

/// The load of something whose limit is known; none where the limit is zero.
pub(crate) fn share(value: f64, max: f64) -> Option<f64> {
    (max > 0.0 && value.is_finite()).then(|| (value / max).max(0.0))
}

/// The gauge. `label` says in words what it shows.
pub(crate) fn gauge(share: f64, label: &str) -> Markup {
    html! {
        svg.mark.(Level::of(share).class()) viewBox="0 0 64 48" role="img" aria-label=(label) {
            title { (label) }
            circle.hull cx=(CX) cy=(CY) r=(R) {}
            path.water d=(water(share)) {}
            circle.rim cx=(CX) cy=(CY) r=(R) {}
            path.line d="M4 24H60" {}
        }
    }
}

/// The sign alone, for the head of the page.
pub(crate) fn sign() -> Markup {
    html! {
        svg.mark.logo viewBox="0 0 64 48" aria-hidden="true" {
            circle.rim cx=(CX) cy=(CY) r=(R) {}
            path.line d="M4 24H60" {}
        }
    }
}

/// The part of the circle below the waterline. At the limit the water stands at the line, half way
/// up; at twice the limit the circle is full.
fn water(share: f64) -> String {
    let inner = R - 1.0;
    // Full but for a hair: an arc that ends where it began is none.
    let full = (share / 2.0).clamp(0.0, 0.995);
    if full == 0.0 {
        return format!("M{CX} {CY}");
    }
    // A trace of load is still to be seen.
    let top = CY + inner - (2.0 * inner * full).max(2.5);
    let half = (inner * inner - (top - CY) * (top - CY)).max(0.0).sqrt();
    let large = u8::from(top < CY);
    let (left, right) = (CX - half, CX + half);
    format!("M{left:.2} {top:.2}A{inner} {inner} 0 {large} 0 {right:.2} {top:.2}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_the_water_stands_at_the_line() {
        assert_eq!(water(1.0), "M16.00 24.00A16 16 0 0 0 48.00 24.00Z");
        assert!(water(0.000_1).contains(" 37.50"), "{}", water(0.000_1));
        assert_eq!(water(9.0), "M29.74 8.16A16 16 0 1 0 34.26 8.16Z");
        assert_eq!(water(0.0), "M32 24");
    }

    #[test]
    fn the_word_says_what_the_colour_says() {
        let words = [0.0, 0.79, 0.8, 0.999, 1.0, 1.01].map(|share| Level::of(share).word());
        let [below, near] = ["below the line", "near the line"];
        assert_eq!(words, [below, below, near, near, "at the line", "over the line"]);
        assert_eq!((share(3.0, 0.0), share(1.0, 4.0)), (None, Some(0.25)));
    }
}
