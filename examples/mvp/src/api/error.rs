//! The backend's own errors: `{"error": code, "message": text}`, as many teams have them. What the
//! edge itself refuses looks different (RFC 9457), so one sees who said no.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::refusal::Refusal;
use crate::store::StoreError;

/// An answer that says what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// An error with its stable code and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The request does not say what the contract asks for.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// The request carries no readable token.
    #[must_use]
    pub fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "no_token", "send a bearer token")
    }

    /// No operation has this path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no operation has this path")
    }

    /// The path has no such method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "this path has no such method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.code, "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::HandleTaken => (StatusCode::CONFLICT, "handle_taken"),
            Refusal::NotSignedUp => (StatusCode::CONFLICT, "not_signed_up"),
            Refusal::AlreadyPaid => (StatusCode::CONFLICT, "already_paid"),
            Refusal::Declined => (StatusCode::PAYMENT_REQUIRED, "declined"),
            Refusal::UnknownProduct => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_product"),
            Refusal::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

/// Whether there is no database at the moment, stopping and starting ones included (class 57P).
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(said) => said.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Database(error) if is_away(&error) => {
                let message = "the database does not answer; try again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_away", message)
            }
            // What the database said may hold what others wrote: it does not go out.
            StoreError::Database(_) => {
                let message = "the database refused a query";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "database", message)
            }
        }
    }
}
