//! Journeys from the outside: texts in, faults out; requests sent, answers judged.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod hiding;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod parsing;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod running;
#[cfg(test)]
mod touching;
