//! Wireless M-Bus (EN 13757, OMS): bytes in, values out.
//!
//! No clock, file, socket, log call, actor or async: time and keys come in as arguments, results leave as values.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
