//! Key files on a real disk: what is made, what is refused, and what a crash leaves behind.

#[cfg(test)]
mod key_files;
#[cfg(test)]
mod rotation;
