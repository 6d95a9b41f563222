//! Pictures: upload and download.

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;

use super::input::Caller;
use super::{ApiError, App, Operation, operation};
use crate::model::MediaInfo;
use crate::store::MEDIA_BYTES_MAX;

const CONTENT_TYPES: [&str; 3] = ["image/jpeg", "image/png", "image/webp"];

pub(super) fn operations() -> Vec<Operation> {
    let upload = post(upload).layer(DefaultBodyLimit::max(MEDIA_BYTES_MAX));
    vec![
        operation("uploadMedia", "/v1/media", upload),
        operation("getMedia", "/v1/media/{media_id}", get(download)),
    ]
}

async fn upload(
    State(app): State<App>,
    Caller(_): Caller,
    headers: HeaderMap,
    content: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<(StatusCode, Json<MediaInfo>), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let Some(content_type) = CONTENT_TYPES.iter().find(|known| **known == given) else {
        let message = format!("send one of {}", CONTENT_TYPES.join(", "));
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "unsupported_media_type", message));
    };
    let content = content.map_err(|refused| match refused.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("a picture has at most {MEDIA_BYTES_MAX} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        }
        status => ApiError::new(status, "invalid", refused.body_text()),
    })?;
    if content.is_empty() {
        return Err(ApiError::invalid("the picture is empty"));
    }
    let info = app.store.add_media((*content_type).to_owned(), content).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

async fn download(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let (info, content) = app.store.media(&id).await?;
    let headers = [
        (CONTENT_TYPE, info.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, content))
}
