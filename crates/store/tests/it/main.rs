//! The store against a real Postgres.

mod database;
mod rooms;
mod running;
