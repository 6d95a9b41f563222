//! The manifest from the outside: texts in, manifests or faults out.

// Under `cfg(test)` the lints know that helpers here are test code.
#[cfg(test)]
mod documents;
#[cfg(test)]
mod faults_of_auth;
#[cfg(test)]
mod faults_of_cors;
#[cfg(test)]
mod faults_of_journeys;
#[cfg(test)]
mod faults_of_limits;
#[cfg(test)]
mod faults_of_objectives;
#[cfg(test)]
mod faults_of_services;
#[cfg(test)]
mod faults_of_shape;
#[cfg(test)]
mod faults_of_values;
#[cfg(test)]
mod files;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod sound;
#[cfg(test)]
mod support;
