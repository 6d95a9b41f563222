//! What a request brings: its caller, its JSON body, its page; each refused in the API's own words.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApiError;
use crate::model::{Page, PageQuery};
use crate::store::Slice;
use crate::token;

const PAGE_DEFAULT: u32 = 20;
const PAGE_MAX: u32 = 50;

/// The handle of the caller, by the token that the edge verified.
pub(super) struct Caller(pub String);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        token::subject(&parts.headers).map(Self).ok_or_else(ApiError::no_token)
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(refused) => {
                let code = match refused.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => "too_large",
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
                    _ => "invalid",
                };
                Err(ApiError::new(refused.status(), code, refused.body_text()))
            }
        }
    }
}

/// The part of a list that is asked for.
pub(super) struct Paging {
    pub before: Option<u64>,
    pub limit: usize,
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(query) = Query::<PageQuery>::try_from_uri(&parts.uri)
            .map_err(|refused| ApiError::invalid(refused.body_text()))?;
        let limit = query.limit.unwrap_or(PAGE_DEFAULT);
        if limit == 0 || limit > PAGE_MAX {
            return Err(ApiError::invalid(format!("`limit` is from 1 to {PAGE_MAX}")));
        }
        let before = query.cursor.map(|cursor| decode_cursor(&cursor)).transpose()?;
        Ok(Self { before, limit: limit as usize })
    }
}

/// Turns a part of a list into the page that is sent.
pub(super) fn page<T: Serialize>(slice: Slice<T>) -> Json<Page<T>> {
    let next_cursor = slice.next.map(|number| URL_SAFE_NO_PAD.encode(number.to_be_bytes()));
    Json(Page { items: slice.items, next_cursor })
}

fn decode_cursor(text: &str) -> Result<u64, ApiError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_be_bytes)
        .ok_or_else(|| ApiError::invalid("`cursor` is the `next_cursor` of the page before"))
}

/// Checks the length of a text. Unit: characters.
pub(super) fn check_length(name: &str, text: &str, min: usize, max: usize) -> Result<(), ApiError> {
    let length = text.chars().take(max + 1).count();
    if (min..=max).contains(&length) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("`{name}` has from {min} to {max} characters")))
}
