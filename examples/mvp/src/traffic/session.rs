//! What a person does between opening the app and putting the phone away.

use bytes::Bytes;
use serde_json::{Value, json};

use super::phone::{GivenUp, Phone};
use crate::client::Answer;
use crate::model::PRODUCTS;

/// The longest scroll. Unit: pages.
const PAGES_MAX: u8 = 5;

/// One session, to its end or until the app gives up.
pub(super) async fn play(phone: &mut Phone) -> Result<(), GivenUp> {
    if phone.chance(10) {
        phone.get_in_background("/v1/feed?limit=5").await?;
        return Ok(());
    }
    if phone.token.is_some() {
        phone.get("/v1/me").await?;
    } else if phone.chance(4) {
        sign_up(phone).await?;
    }
    let posts = scroll(phone).await?;
    if let Some(post) = posts.first() {
        open_post(phone, post).await?;
    }
    if phone.token.is_some() {
        take_part(phone, &posts).await?;
        if phone.chance(30) {
            shop(phone).await?;
        }
    } else if phone.chance(8) {
        // The app offers the heart to everybody; without a sign-in the answer is 401.
        like(phone, &posts).await?;
    }
    if phone.device.version.starts_with('2') && phone.chance(20) {
        // An old app still asks for what the backend dropped; the answer is 404.
        phone.get("/v1/stories").await?;
    }
    Ok(())
}

/// The feed, page by page; the answer is the posts that were seen.
async fn scroll(phone: &mut Phone) -> Result<Vec<Value>, GivenUp> {
    let mut seen = Vec::new();
    let mut path = "/v1/feed?limit=10".to_owned();
    for _ in 0..phone.dice.u8(1..=PAGES_MAX) {
        let page = json_of(&phone.get(&path).await?);
        if let Some(items) = page["items"].as_array() {
            seen.extend(items.iter().cloned());
        }
        phone.think(0.6, 2.8).await;
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/feed?limit=10&cursor={cursor}"),
            None => break,
        }
    }
    Ok(seen)
}

async fn open_post(phone: &mut Phone, post: &Value) -> Result<(), GivenUp> {
    if let Some(id) = post["id"].as_str()
        && phone.chance(60)
    {
        phone.get(&format!("/v1/posts/{id}")).await?;
        if let Some(media) = post["media_id"].as_str() {
            phone.get(&format!("/v1/media/{media}")).await?;
        }
        phone.think(1.0, 3.0).await;
    }
    if let Some(author) = post["author"].as_str()
        && phone.chance(15)
    {
        phone.get(&format!("/v1/people/{author}")).await?;
        phone.think(0.5, 2.0).await;
    }
    Ok(())
}

async fn like(phone: &mut Phone, posts: &[Value]) -> Result<(), GivenUp> {
    if posts.is_empty() {
        return Ok(());
    }
    let index = phone.dice.usize(..posts.len());
    if let Some(id) = posts[index]["id"].as_str() {
        phone.put(&format!("/v1/posts/{id}/like")).await?;
        phone.think(0.4, 1.5).await;
    }
    Ok(())
}

/// Likes, now and then a post, one of three with a picture.
async fn take_part(phone: &mut Phone, posts: &[Value]) -> Result<(), GivenUp> {
    for _ in 0..phone.dice.u8(..3) {
        like(phone, posts).await?;
    }
    if !phone.chance(15) {
        return Ok(());
    }
    let mut media_id = Value::Null;
    if phone.chance(33) {
        let bytes = phone.dice.usize(20_000..80_000);
        let answer = phone.upload("/v1/media", picture(bytes)).await?;
        media_id = json_of(&answer)["id"].clone();
    }
    phone.think(2.0, 5.0).await;
    let cup = phone.dice.u16(..);
    let text = format!("Simulated post: cup number {cup} of the day");
    phone.post("/v1/posts", &json!({ "text": text, "media_id": media_id })).await?;
    Ok(())
}

/// The catalogue, an order, its payment, and a look at the receipt.
async fn shop(phone: &mut Phone) -> Result<(), GivenUp> {
    phone.get("/v1/products").await?;
    phone.think(1.0, 4.0).await;
    let product = phone.dice.usize(..PRODUCTS.len());
    let quantity = phone.dice.u32(1..=3);
    let lines = json!({ "lines": [{ "sku": PRODUCTS[product].sku, "quantity": quantity }] });
    let order = json_of(&phone.post("/v1/orders", &lines).await?);
    let Some(id) = order["id"].as_str() else {
        return Ok(());
    };
    phone.think(1.0, 3.0).await;
    let payment_token = if phone.chance(4) { "declined" } else { "simulated" };
    let payment = json!({ "payment_token": payment_token });
    phone.post(&format!("/v1/orders/{id}/payment"), &payment).await?;
    phone.get(&format!("/v1/orders/{id}")).await?;
    if phone.chance(30) {
        phone.get("/v1/orders?limit=10").await?;
    }
    Ok(())
}

async fn sign_up(phone: &mut Phone) -> Result<(), GivenUp> {
    let handle = format!("guest_{:08x}", phone.dice.u32(..));
    let body = json!({ "handle": handle, "display_name": "A simulated guest" });
    phone.post("/v1/people", &body).await?;
    phone.think(1.0, 2.0).await;
    Ok(())
}

/// Bytes that begin as a JPEG does.
fn picture(bytes: usize) -> Bytes {
    let mut content = vec![0x5a; bytes];
    content[..4].copy_from_slice(&[0xff, 0xd8, 0xff, 0xe0]);
    Bytes::from(content)
}

/// The answer as JSON; `null` where it is none.
fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}
