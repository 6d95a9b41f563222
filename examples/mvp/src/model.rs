//! What the API speaks of, as it stands in `openapi.json`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment as RFC 3339 text in UTC, from milliseconds since 1970.
#[must_use]
pub fn timestamp(unix_ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// A person who signed up.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    /// The name in paths and tokens: the `sub` of a token is a handle.
    pub handle: String,
    /// The name that people see.
    pub display_name: String,
    /// A few words about the person.
    pub bio: String,
    /// When the person signed up (RFC 3339).
    pub created_at: String,
}

/// A post in the feed.
#[derive(Clone, Debug, Serialize)]
pub struct Post {
    /// `post_` and a number.
    pub id: String,
    /// The handle of the author.
    pub author: String,
    /// What it says.
    pub text: String,
    /// A picture, by its media id.
    pub media_id: Option<String>,
    /// How many people like it.
    pub likes: u64,
    /// When it was posted (RFC 3339).
    pub created_at: String,
}

/// Something that can be ordered.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    /// The stock keeping unit.
    pub sku: &'static str,
    /// The name that people see.
    pub name: &'static str,
    /// Unit: cents.
    pub price_cents: u64,
}

/// The catalogue. It does not change while the server runs.
pub const PRODUCTS: [Product; 6] = [
    Product { sku: "tea-green", name: "Green tea, 100 g", price_cents: 890 },
    Product { sku: "tea-black", name: "Black tea, 100 g", price_cents: 790 },
    Product { sku: "mug-blue", name: "Blue mug", price_cents: 1_450 },
    Product { sku: "pot-iron", name: "Iron teapot", price_cents: 5_900 },
    Product { sku: "whisk", name: "Bamboo whisk", price_cents: 1_990 },
    Product { sku: "tin-small", name: "Small tin", price_cents: 650 },
];

/// One line of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    /// What is ordered.
    pub sku: String,
    /// How many, 1 to 99.
    pub quantity: u32,
}

/// An order of one person.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// `order_` and a number.
    pub id: String,
    /// Who ordered; nobody else may see it.
    #[serde(skip)]
    pub owner: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// Unit: cents.
    pub total_cents: u64,
    /// Where the order stands.
    pub state: OrderState,
    /// When it was placed (RFC 3339).
    pub created_at: String,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Waiting for its payment.
    Open,
    /// Paid, exactly once.
    Paid,
}

/// A page of a list, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page starts; `null` on the last one.
    pub next_cursor: Option<String>,
}

/// A stored picture.
#[derive(Clone, Debug, Serialize)]
pub struct MediaInfo {
    /// `media_` and a number.
    pub id: String,
    /// Such as `image/jpeg`.
    pub content_type: String,
    /// Unit: bytes.
    pub bytes: usize,
}

/// The catalogue's answer.
#[derive(Clone, Debug, Serialize)]
pub struct Catalogue {
    /// Everything that can be ordered.
    pub items: &'static [Product],
}

/// The body of `signUp`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// 2 to 30 of `a`-`z`, `0`-`9` and `_`, a letter first.
    pub handle: String,
    /// 1 to 80 characters.
    pub display_name: String,
}

/// The body of `updateProfile`; what is absent stays as it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// 1 to 80 characters.
    pub display_name: Option<String>,
    /// At most 300 characters.
    pub bio: Option<String>,
}

/// The body of `createPost`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPost {
    /// 1 to 1,000 characters.
    pub text: String,
    /// A picture that was uploaded before.
    pub media_id: Option<String>,
}

/// The body of `createOrder`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// 1 to 20 lines.
    pub lines: Vec<OrderLine>,
}

/// The body of `payOrder`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// What the payment provider's sheet on the phone gave; `declined` is refused with 402.
    pub payment_token: String,
}

/// The query of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many entries, 1 to 50; 20 when absent.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_795_000_000_250), "2026-11-18T11:06:40.25Z");
    }
}
