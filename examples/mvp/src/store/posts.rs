//! The feed, posts and likes.

use super::{LIKES_PER_POST_MAX, POSTS_MAX, Slice, Store, StoreError};
use super::{below, moment, number, one_more, slice};
use crate::model::{NewPost, Post};
use crate::refusal::Refusal;
use crate::trace::query;

/// A page of posts, and for each of them …
const PAGE: &str = "select number, author, text, media, created_at_ms from posts \
     where number < $1 order by number desc limit $2";
/// … its author's name and its likes: one query a post, as it came to be when nobody looked.
const BESIDE: &str = "select handle, (select count(*) from likes where post = $1) from people \
     where number = $2";
/// The same in one query.
const PAGE_JOINED: &str = "select p.number, a.handle, p.text, p.media, p.created_at_ms, \
     (select count(*) from likes l where l.post = p.number) from posts p \
     join people a on a.number = p.author where p.number < $1 order by p.number desc limit $2";
const POST: &str = "select p.number, a.handle, p.text, p.media, p.created_at_ms, \
     (select count(*) from likes l where l.post = p.number) from posts p \
     join people a on a.number = p.author where p.number = $1";
const AUTHOR: &str = "select number from people where handle = $1";
const HAS_MEDIA: &str = "select exists (select from media where number = $1)";
const CREATE: &str = "insert into posts (author, text, media, created_at_ms) \
     values ($1, $2, $3, $4) returning number";
const TRIM: &str = "delete from posts where number <= $1";
const LIKE: &str = "insert into likes (post, handle) select number, $2 from posts \
     where number = $1 and (select count(*) from likes where post = $1) < $3 \
     on conflict do nothing";
const UNLIKE: &str = "delete from likes where post = $1 and handle = $2";

type Bare = (i64, i64, String, Option<i64>, i64);
type Row = (i64, String, String, Option<i64>, i64, i64);

fn post((number, author, text, media, created_at_ms, likes): Row) -> (i64, Post) {
    let post = Post {
        id: format!("post_{number}"),
        author,
        text,
        media_id: media.map(|media| format!("media_{media}")),
        likes: u64::try_from(likes).unwrap_or(0),
        created_at: moment(created_at_ms),
    };
    (number, post)
}

impl Store {
    /// A page of the feed, newest first, from below the post number `before`. With `n_plus_one` it
    /// asks once for the page and once more for each post of it, else once for all.
    pub async fn feed(
        &self,
        before: Option<u64>,
        limit: usize,
        n_plus_one: bool,
    ) -> Result<Slice<Post>, StoreError> {
        let (below, rows) = (below(before), one_more(limit));
        if !n_plus_one {
            let page = sqlx::query_as(PAGE_JOINED).bind(below).bind(rows).fetch_all(&self.pool);
            let rows: Vec<Row> = query(PAGE_JOINED, page).await?;
            return Ok(slice(rows.into_iter().map(post).collect(), limit));
        }
        let page = sqlx::query_as(PAGE).bind(below).bind(rows).fetch_all(&self.pool);
        let bare: Vec<Bare> = query(PAGE, page).await?;
        let bare = slice(bare.into_iter().map(|row| (row.0, row)).collect(), limit);
        let mut items = Vec::with_capacity(bare.items.len());
        for (number, author, text, media, created_at_ms) in bare.items {
            let beside = sqlx::query_as(BESIDE).bind(number).bind(author).fetch_one(&self.pool);
            let (handle, likes): (String, i64) = query(BESIDE, beside).await?;
            items.push(post((number, handle, text, media, created_at_ms, likes)).1);
        }
        Ok(Slice { items, next: bare.next })
    }

    /// One post.
    pub async fn post(&self, id: &str) -> Result<Post, StoreError> {
        self.post_of(number(id, "post_")?).await
    }

    async fn post_of(&self, number: i64) -> Result<Post, StoreError> {
        let select = sqlx::query_as(POST).bind(number).fetch_optional(&self.pool);
        let row: Option<Row> = query(POST, select).await?;
        Ok(row.map(|row| post(row).1).ok_or(Refusal::NotFound)?)
    }

    /// Adds a post.
    pub async fn create_post(&self, caller: &str, new: NewPost) -> Result<Post, StoreError> {
        let author = sqlx::query_as(AUTHOR).bind(caller).fetch_optional(&self.pool);
        let author: Option<(i64,)> = query(AUTHOR, author).await?;
        let (author,) = author.ok_or(Refusal::NotSignedUp)?;
        let media = match &new.media_id {
            Some(id) => Some(self.media_number(id).await?),
            None => None,
        };
        let create = sqlx::query_as(CREATE)
            .bind(author)
            .bind(&new.text)
            .bind(media)
            .bind(self.now())
            .fetch_one(&self.pool);
        let (number,): (i64,) = query(CREATE, create).await?;
        let oldest = number - i64::from(POSTS_MAX);
        if oldest > 0 {
            query(TRIM, sqlx::query(TRIM).bind(oldest).execute(&self.pool)).await?;
        }
        self.post_of(number).await
    }

    async fn media_number(&self, id: &str) -> Result<i64, StoreError> {
        let number = number(id, "media_")?;
        let exists = sqlx::query_as(HAS_MEDIA).bind(number).fetch_one(&self.pool);
        let (exists,): (bool,) = query(HAS_MEDIA, exists).await?;
        if exists { Ok(number) } else { Err(Refusal::NotFound.into()) }
    }

    /// Likes a post (`liked`), or takes the like back. Twice is as good as once.
    pub async fn set_like(&self, caller: &str, id: &str, liked: bool) -> Result<Post, StoreError> {
        let number = number(id, "post_")?;
        if liked {
            let like = sqlx::query(LIKE)
                .bind(number)
                .bind(caller)
                .bind(i64::from(LIKES_PER_POST_MAX))
                .execute(&self.pool);
            query(LIKE, like).await?;
        } else {
            let unlike = sqlx::query(UNLIKE).bind(number).bind(caller).execute(&self.pool);
            query(UNLIKE, unlike).await?;
        }
        self.post_of(number).await
    }
}
