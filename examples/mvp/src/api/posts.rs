//! The feed, posts and likes.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};

use super::input::{Body, Caller, Paging, check_length, page};
use super::{ApiError, App, Operation, operation};
use crate::model::{NewPost, Page, Post};

const TEXT_CHARS_MAX: usize = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation("getFeed", "/v1/feed", get(feed)),
        operation("createPost", "/v1/posts", post(create)),
        operation("getPost", "/v1/posts/{post_id}", get(one)),
        operation("likePost", "/v1/posts/{post_id}/like", put(like)),
        operation("unlikePost", "/v1/posts/{post_id}/like", delete(unlike)),
    ]
}

async fn feed(State(app): State<App>, paging: Paging) -> Result<Json<Page<Post>>, ApiError> {
    let n_plus_one = app.switches.n_plus_one();
    Ok(page(app.store.feed(paging.before, paging.limit, n_plus_one).await?))
}

async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Post>, ApiError> {
    Ok(Json(app.store.post(&id).await?))
}

async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Body(new): Body<NewPost>,
) -> Result<(StatusCode, Json<Post>), ApiError> {
    check_length("text", &new.text, 1, TEXT_CHARS_MAX)?;
    Ok((StatusCode::CREATED, Json(app.store.create_post(&caller, new).await?)))
}

async fn like(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Post>, ApiError> {
    Ok(Json(app.store.set_like(&caller, &id, true).await?))
}

async fn unlike(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Post>, ApiError> {
    Ok(Json(app.store.set_like(&caller, &id, false).await?))
}
