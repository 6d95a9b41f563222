//! Profiles.

use super::{PEOPLE_MAX, Store, StoreError, moment};
use crate::model::{Person, ProfileChange, SignUp};
use crate::refusal::Refusal;
use crate::trace::query;

const SIGN_UP: &str = "insert into people (handle, display_name, created_at_ms) \
     select $1, $2, $3 where (select count(*) from people) < $4 \
     on conflict (handle) do nothing returning handle, display_name, bio, created_at_ms";
const PERSON: &str =
    "select handle, display_name, bio, created_at_ms from people where handle = $1";
const UPDATE: &str = "update people set display_name = coalesce($2, display_name), \
     bio = coalesce($3, bio) where handle = $1 returning handle, display_name, bio, created_at_ms";

type Row = (String, String, String, i64);

fn person((handle, display_name, bio, created_at_ms): Row) -> Person {
    Person { handle, display_name, bio, created_at: moment(created_at_ms) }
}

impl Store {
    /// Makes a profile.
    pub async fn sign_up(&self, new: SignUp) -> Result<Person, StoreError> {
        let insert = sqlx::query_as(SIGN_UP)
            .bind(&new.handle)
            .bind(&new.display_name)
            .bind(self.now())
            .bind(i64::from(PEOPLE_MAX))
            .fetch_optional(&self.pool);
        if let Some(row) = query(SIGN_UP, insert).await? {
            return Ok(person(row));
        }
        match self.person(&new.handle).await {
            Ok(_) => Err(Refusal::HandleTaken.into()),
            Err(StoreError::Refused(_)) => Err(Refusal::Full.into()),
            Err(error) => Err(error),
        }
    }

    /// A profile by its handle.
    pub async fn person(&self, handle: &str) -> Result<Person, StoreError> {
        let select = sqlx::query_as(PERSON).bind(handle).fetch_optional(&self.pool);
        Ok(query(PERSON, select).await?.map(person).ok_or(Refusal::NotFound)?)
    }

    /// Changes the caller's own profile.
    pub async fn update_profile(
        &self,
        caller: &str,
        change: ProfileChange,
    ) -> Result<Person, StoreError> {
        let update = sqlx::query_as(UPDATE)
            .bind(caller)
            .bind(change.display_name)
            .bind(change.bio)
            .fetch_optional(&self.pool);
        Ok(query(UPDATE, update).await?.map(person).ok_or(Refusal::NotSignedUp)?)
    }
}
