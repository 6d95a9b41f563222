//! Example backend.
fn main() {}
