//! One file a command.

pub(crate) mod acts;
pub(crate) mod ask;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod database;
pub(crate) mod dev_token;
pub(crate) mod doctor;
pub(crate) mod evidence;
pub(crate) mod init;
pub(crate) mod journey;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod nodes;
pub(crate) mod plan;
pub(crate) mod ready;
pub(crate) mod rehearse;
pub(crate) mod revoke;
pub(crate) mod schema;
pub(crate) mod up;
