//! Real actix actors that panic, fail, stop and hang, on tokio's paused clock where nothing depends on real time.

mod edges;
mod heartbeat;
mod parking;
mod restarts;
mod stopping;
mod support;
