//! Orders and their payment.

use sqlx::types::Json;

use super::{ORDERS_MAX, Slice, Store, StoreError, below, moment, number, one_more, slice};
use crate::model::{NewOrder, Order, OrderLine, OrderState, PRODUCTS};
use crate::refusal::Refusal;
use crate::trace::query;

const CREATE: &str = "insert into orders (owner, lines, total_cents, created_at_ms) \
     values ($1, $2, $3, $4) returning number, owner, lines, total_cents, paid, created_at_ms";
const TRIM: &str = "delete from orders where number <= $1";
const PAGE: &str = "select number, owner, lines, total_cents, paid, created_at_ms from orders \
     where owner = $1 and number < $2 order by number desc limit $3";
const ONE: &str = "select number, owner, lines, total_cents, paid, created_at_ms from orders \
     where number = $1 and owner = $2";
const PAY: &str = "update orders set paid = true where number = $1 and not paid \
     returning number, owner, lines, total_cents, paid, created_at_ms";

type Row = (i64, String, Json<Vec<OrderLine>>, i64, bool, i64);

fn order((number, owner, lines, total_cents, paid, created_at_ms): Row) -> (i64, Order) {
    let order = Order {
        id: format!("order_{number}"),
        owner,
        lines: lines.0,
        total_cents: u64::try_from(total_cents).unwrap_or(0),
        state: if paid { OrderState::Paid } else { OrderState::Open },
        created_at: moment(created_at_ms),
    };
    (number, order)
}

impl Store {
    /// Places an order.
    pub async fn create_order(&self, caller: &str, new: NewOrder) -> Result<Order, StoreError> {
        let price = |sku: &str| PRODUCTS.iter().find(|p| p.sku == sku).map(|p| p.price_cents);
        let mut total_cents = 0;
        for line in &new.lines {
            let each = price(&line.sku).ok_or(Refusal::UnknownProduct)?;
            total_cents += each * u64::from(line.quantity);
        }
        let create = sqlx::query_as(CREATE)
            .bind(caller)
            .bind(Json(&new.lines))
            .bind(i64::try_from(total_cents).unwrap_or(i64::MAX))
            .bind(self.now())
            .fetch_one(&self.pool);
        let (number, order) = order(query(CREATE, create).await?);
        let oldest = number - i64::from(ORDERS_MAX);
        if oldest > 0 {
            query(TRIM, sqlx::query(TRIM).bind(oldest).execute(&self.pool)).await?;
        }
        Ok(order)
    }

    /// A page of the caller's orders, newest first, from below the order number `before`.
    pub async fn orders(
        &self,
        caller: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Slice<Order>, StoreError> {
        let page = sqlx::query_as(PAGE)
            .bind(caller)
            .bind(below(before))
            .bind(one_more(limit))
            .fetch_all(&self.pool);
        let rows: Vec<Row> = query(PAGE, page).await?;
        Ok(slice(rows.into_iter().map(order).collect(), limit))
    }

    /// One order of the caller's.
    pub async fn order(&self, caller: &str, id: &str) -> Result<Order, StoreError> {
        let number = number(id, "order_")?;
        let select = sqlx::query_as(ONE).bind(number).bind(caller).fetch_optional(&self.pool);
        let row: Option<Row> = query(ONE, select).await?;
        Ok(row.map(|row| order(row).1).ok_or(Refusal::NotFound)?)
    }

    /// Pays an order of the caller's, once.
    pub async fn pay(
        &self,
        caller: &str,
        id: &str,
        payment_token: &str,
    ) -> Result<Order, StoreError> {
        let found = self.order(caller, id).await?;
        if found.state == OrderState::Paid {
            return Err(Refusal::AlreadyPaid.into());
        }
        if payment_token == "declined" {
            return Err(Refusal::Declined.into());
        }
        let pay = sqlx::query_as(PAY).bind(number(id, "order_")?).fetch_optional(&self.pool);
        let row: Option<Row> = query(PAY, pay).await?;
        // Somebody else was faster.
        Ok(row.map(|row| order(row).1).ok_or(Refusal::AlreadyPaid)?)
    }
}
