//! The ops listener as a browser, a scraper and a load balancer see it: over a socket.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod board;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod live;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod scene;
