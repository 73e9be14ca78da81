//! The format signature of compact frames.

use core::fmt;

/// Names the layout of a compact frame: the EN 13757 CRC-16 over the DIF and VIF bytes of the full frame.
///
/// A CRC, so other layouts with the same signature are easily made: a layout found by it belongs to one meter.
/// Source: EN 13757-7, compact M-Bus frame (CI 79).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature(pub u16);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}
