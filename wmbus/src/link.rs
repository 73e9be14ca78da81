//! The link layer of EN 13757-4: length, control field, the sender's address.

/// The control field (C): which service the telegram belongs to.
///
/// Source: EN 13757-4, link layer, C field; EN 13757-2 for the answers by wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Control(pub u8);

impl Control {
    /// SND-NR: a meter sends unasked and wants no answer.
    pub const SEND_NO_REPLY: Self = Self(0x44);
    /// SND-IR: a meter asks to be installed.
    pub const INSTALLATION_REQUEST: Self = Self(0x46);
    /// ACC-NR: a meter says that it listens.
    pub const ACCESS_NO_REPLY: Self = Self(0x47);
    /// ACC-DMD: a meter asks to be spoken to.
    pub const ACCESS_DEMAND: Self = Self(0x48);
    /// RSP-UD: a meter answers with data.
    pub const RESPONSE: Self = Self(0x08);

    /// Does a meter send this, and can it carry data?
    ///
    /// An answer's access demand bit (0x20) and data flow control bit (0x10) change nothing.
    #[inline]
    #[must_use]
    pub const fn is_from_meter(self) -> bool {
        matches!(self.0, 0x44 | 0x46..=0x48 | 0x08 | 0x18 | 0x28 | 0x38)
    }
}
