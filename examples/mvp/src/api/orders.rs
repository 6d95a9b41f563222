//! The catalogue, orders and payments.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use axum::routing::{get, post};

use super::input::{Body, Caller, Paging, check_length, page};
use super::{ApiError, App, Operation, operation};
use crate::model::{Catalogue, NewOrder, NewPayment, Order, PRODUCTS, Page};

const LINES_MAX: usize = 20;
const QUANTITY_MAX: u32 = 99;
const PAYMENT_TOKEN_CHARS_MAX: usize = 200;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        operation("listProducts", "/v1/products", get(products)),
        operation("createOrder", "/v1/orders", post(create)),
        operation("listOrders", "/v1/orders", get(list)),
        operation("getOrder", "/v1/orders/{order_id}", get(one)),
        operation("payOrder", "/v1/orders/{order_id}/payment", post(pay)),
    ]
}

async fn products() -> Json<Catalogue> {
    Json(Catalogue { items: &PRODUCTS })
}

async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Body(new): Body<NewOrder>,
) -> Result<impl IntoResponse, ApiError> {
    if new.lines.is_empty() || new.lines.len() > LINES_MAX {
        return Err(ApiError::invalid(format!("`lines` has from 1 to {LINES_MAX} entries")));
    }
    if !new.lines.iter().all(|line| (1..=QUANTITY_MAX).contains(&line.quantity)) {
        return Err(ApiError::invalid(format!("`quantity` is from 1 to {QUANTITY_MAX}")));
    }
    let order = app.store.create_order(&caller, new).await?;
    let location = format!("/v1/orders/{}", order.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(order)))
}

async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    paging: Paging,
) -> Result<Json<Page<Order>>, ApiError> {
    Ok(page(app.store.orders(&caller, paging.before, paging.limit).await?))
}

async fn one(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Order>, ApiError> {
    Ok(Json(app.store.order(&caller, &id).await?))
}

async fn pay(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Body(payment): Body<NewPayment>,
) -> Result<Json<Order>, ApiError> {
    check_length("payment_token", &payment.payment_token, 1, PAYMENT_TOKEN_CHARS_MAX)?;
    Ok(Json(app.store.pay(&caller, &id, &payment.payment_token).await?))
}
