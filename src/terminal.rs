//! What may be written on standard output.

use std::io::{self, IsTerminal};

/// Can colours be seen on standard output, and does nobody object? `NO_COLOR` with any value does (no-color.org).
pub fn shows_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
