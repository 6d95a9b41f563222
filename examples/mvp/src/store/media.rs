//! Pictures.

use bytes::Bytes;

use super::{MEDIA_TOTAL_BYTES_MAX, Store, StoreError, number};
use crate::model::MediaInfo;
use crate::refusal::Refusal;
use crate::trace::query;

const ADD: &str =
    "insert into media (content_type, bytes, content) values ($1, $2, $3) returning number";
/// The oldest go until the rest is within the bound.
const TRIM: &str = "delete from media where number in (select number from (select number, \
     sum(bytes) over (order by number desc) as total from media) counted where total > $1)";
const ONE: &str = "select content_type, content from media where number = $1";

impl Store {
    /// Stores a picture of at most [`super::MEDIA_BYTES_MAX`], which the caller has checked.
    pub async fn add_media(
        &self,
        content_type: String,
        content: Bytes,
    ) -> Result<MediaInfo, StoreError> {
        let bytes = content.len();
        let add = sqlx::query_as(ADD)
            .bind(&content_type)
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
            .bind(&content[..])
            .fetch_one(&self.pool);
        let (number,): (i64,) = query(ADD, add).await?;
        let most = i64::try_from(MEDIA_TOTAL_BYTES_MAX).unwrap_or(i64::MAX);
        query(TRIM, sqlx::query(TRIM).bind(most).execute(&self.pool)).await?;
        Ok(MediaInfo { id: format!("media_{number}"), content_type, bytes })
    }

    /// A picture.
    pub async fn media(&self, id: &str) -> Result<(MediaInfo, Bytes), StoreError> {
        let number = number(id, "media_")?;
        let select = sqlx::query_as(ONE).bind(number).fetch_optional(&self.pool);
        let row: Option<(String, Vec<u8>)> = query(ONE, select).await?;
        let (content_type, content) = row.ok_or(Refusal::NotFound)?;
        let info = MediaInfo { id: id.to_owned(), content_type, bytes: content.len() };
        Ok((info, content.into()))
    }
}
