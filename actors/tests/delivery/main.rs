//! Delivery and commands against a real mosquitto.
mod session;
mod support;
mod tls;
