//! Delivery and commands against a real mosquitto.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod commander;
mod publisher;
mod session;
mod support;
mod tls;
