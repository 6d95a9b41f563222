//! The testkit judged by itself: what it cannot see, no test of the edge can.

#[cfg(test)]
mod broken;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod processes;
