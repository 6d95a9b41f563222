//! Loads and converts API contracts and makes the route table
