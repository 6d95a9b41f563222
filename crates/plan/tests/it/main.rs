//! The gates as they are shipped, the board over a real ledger, the documents of the plan and the
//! reports of other tools, as teams write them, and as nobody should.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod board;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod filled;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod front_matter;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod import;
#[cfg(test)]
mod import_age;
#[cfg(test)]
mod import_hostile;
#[cfg(test)]
mod import_ledger;
#[cfg(test)]
mod import_properties;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tables;
