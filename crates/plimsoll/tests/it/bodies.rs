//! Bodies on their way through: any size with flat memory, held back by whoever is slow, bounded,
//! and in every shape that HTTP gives them.

mod bounds;
mod flow;
mod giant;
mod shapes;
pub(crate) mod tools;
