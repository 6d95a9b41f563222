//! The authenticator as a whole: forged and foreign tokens, the cache, and issuers that rotate,
//! fail and come back.

mod attacks;
mod caching;
mod crowd;
mod files;
mod foreign;
mod helper;
mod issuer_down;
mod key_attacks;
mod minted;
mod oracle;
mod properties;
mod reloads;
mod rotation;
mod server;
