//! Wireless M-Bus (EN 13757, OMS): bytes in, values out.
//!
//! No clock, file, socket, log call, actor or async: time and keys come in as arguments, results leave as values.
//!
//! | layer | what is understood | what is not |
//! |---|---|---|
//! | link | frame formats A and B, bare telegrams; wired long frames | |
//! | ELL | I to IV, AES-128-CTR | |
//! | AFL | fragments, message counter, AES-128-CMAC of 2 to 16 bytes | other codes |
//! | TPL | no, short and long header; security modes 0, 2, 5, 7 and 10; what was published after decryption | modes 3, 8, 9 and 13: the standard's text is not free, and no example of them was found. They give [`ErrorKind::UnsupportedMode`] |
//! | APL | full, compact and format frames, application errors, alarms; all VIF tables, VIFEs and data types of EN 13757-3; compact profiles | types K, L and M (daylight saving, listening window, long times): their bytes are told. DLMS and OBIS (CI 7C to 7F): [`ErrorKind::UnknownCi`] |
//!
//! Beside them stand the formats of some manufacturers.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod address;
pub mod afl;
pub mod compact;
pub mod crc;
mod crypto;
pub mod decimal;
mod decoder;
pub mod ell;
pub mod error;
pub mod explain;
pub mod im871a;
#[doc(hidden)]
pub mod invariants;
pub mod key;
pub mod link;
pub mod profile;
mod proprietary;
pub mod reader;
pub mod reading;
pub mod record;
pub mod signature;
pub mod telegram;
pub mod tpl;
pub mod unit;
pub mod wired;

pub use address::{Address, AddressError, IdentificationNumber, Manufacturer, Medium};
pub use crypto::MeterKey;
pub use decimal::Decimal;
pub use decoder::{Decoder, Learned};
pub use error::{Error, ErrorKind, Layer};
pub use key::{DesKey, Key, KeyError};
pub use profile::{Profile, Profiles};
pub use reader::Reader;
pub use reading::{Field, Reading};
pub use record::{Date, Function, Moment, Qualifier, Quantity, Record, Value};
pub use signature::Signature;
pub use telegram::{AccessNumber, Authentication, Buffer, Content, Plain, Security, Telegram};
pub use unit::Unit;

#[cfg(test)]
mod tests;
