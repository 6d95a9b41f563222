//! The public face of `plimsoll-telemetry`, as the edge and the console use it.

#[cfg(test)]
mod document;
#[cfg(test)]
mod exposition;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod strict;
