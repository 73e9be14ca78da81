//! Real actix actors that panic, fail, stop and hang.

mod restarts;
pub(super) mod support;
