//! A telegram as the source delivered it, on its way to being understood.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use wmbus::im871a::Rssi;

/// Telegrams of sources that lose nothing which may be on their way at once, in the whole system.
///
/// No mailbox on the path is smaller, so such a telegram never meets a full one.
pub const LOSSLESS_WINDOW: usize = 64;

/// The bytes of one telegram with when and how loud it was received. Cheap to clone.
#[derive(Clone)]
pub struct RawTelegram(Arc<Inner>);

struct Inner {
    bytes: Box<[u8]>,
    received_at: Timestamp,
    rssi: Option<Rssi>,
    permit: Option<OwnedSemaphorePermit>,
}

impl RawTelegram {
    /// A telegram from the radio, which cannot wait: where it meets a full mailbox it is dropped and counted.
    pub fn radio(bytes: impl Into<Box<[u8]>>, received_at: Timestamp, rssi: Option<Rssi>) -> Self {
        Self(Arc::new(Inner {
            bytes: bytes.into(),
            received_at,
            rssi,
            permit: None,
        }))
    }

    /// A telegram from a source that can wait and loses nothing.
    ///
    /// The permit is one of [`LOSSLESS_WINDOW`]; it is free again when the last clone of the telegram is dropped, which is after
    /// its reading has left the system or the telegram was refused.
    pub fn lossless(
        bytes: impl Into<Box<[u8]>>,
        received_at: Timestamp,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self(Arc::new(Inner {
            bytes: bytes.into(),
            received_at,
            rssi: None,
            permit: Some(permit),
        }))
    }

    /// What was received, from the L field on; still encrypted.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// When it was received, as [`crate::clock::of_reception`] tells it.
    pub fn received_at(&self) -> Timestamp {
        self.0.received_at
    }

    /// How loud it was, where the receiver says so.
    pub fn rssi(&self) -> Option<Rssi> {
        self.0.rssi
    }

    /// Whether the source waits rather than lose it.
    pub fn is_lossless(&self) -> bool {
        self.0.permit.is_some()
    }
}

impl AsRef<[u8]> for RawTelegram {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl fmt::Debug for RawTelegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RawTelegram({} bytes, {})",
            self.0.bytes.len(),
            self.0.received_at
        )
    }
}
