//! Tests of the crate as others use it.

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod error_pages;
#[cfg(test)]
mod hygiene_reference;
#[cfg(test)]
mod naive;
