//! Sign-up and profiles.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post};

use super::input::{Body, Caller, check_length};
use super::{ApiError, App, Operation, operation};
use crate::model::{Person, ProfileChange, SignUp};
use crate::refusal::Refusal;
use crate::store::StoreError;

const NAME_CHARS_MAX: usize = 80;
const BIO_CHARS_MAX: usize = 300;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation("signUp", "/v1/people", post(sign_up)),
        operation("getPerson", "/v1/people/{handle}", get(person)),
        operation("getProfile", "/v1/me", get(profile)),
        operation("updateProfile", "/v1/me", patch(update_profile)),
    ]
}

async fn sign_up(
    State(app): State<App>,
    Body(new): Body<SignUp>,
) -> Result<(StatusCode, Json<Person>), ApiError> {
    check_handle(&new.handle)?;
    check_length("display_name", &new.display_name, 1, NAME_CHARS_MAX)?;
    Ok((StatusCode::CREATED, Json(app.store.sign_up(new).await?)))
}

async fn person(
    State(app): State<App>,
    Path(handle): Path<String>,
) -> Result<Json<Person>, ApiError> {
    Ok(Json(app.store.person(&handle).await?))
}

async fn profile(State(app): State<App>, Caller(caller): Caller) -> Result<Json<Person>, ApiError> {
    match app.store.person(&caller).await {
        Err(StoreError::Refused(Refusal::NotFound)) => Err(Refusal::NotSignedUp.into()),
        found => Ok(Json(found?)),
    }
}

async fn update_profile(
    State(app): State<App>,
    Caller(caller): Caller,
    Body(change): Body<ProfileChange>,
) -> Result<Json<Person>, ApiError> {
    if let Some(name) = &change.display_name {
        check_length("display_name", name, 1, NAME_CHARS_MAX)?;
    }
    if let Some(bio) = &change.bio {
        check_length("bio", bio, 0, BIO_CHARS_MAX)?;
    }
    Ok(Json(app.store.update_profile(&caller, change).await?))
}

fn check_handle(handle: &str) -> Result<(), ApiError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let starts_well = handle.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if starts_well && (2..=30).contains(&handle.len()) && handle.bytes().all(plain) {
        return Ok(());
    }
    Err(ApiError::invalid("`handle` is 2 to 30 of a-z, 0-9 and _, a letter first"))
}
