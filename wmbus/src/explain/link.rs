//! The link layer: by radio with the frame formats' CRCs, or by wire.

use super::{Draft, Page, Part};
use crate::address::Address;
use crate::error::Layer;
use crate::link::{self, Control, Format, Frame};
use crate::reader::Reader;
use crate::telegram::Clear;
use crate::wired::LongFrame;

/// A telegram as it was given, and where in it stand bytes that do not belong to the telegram itself.
pub(super) struct Received<'a> {
    bytes: &'a [u8],
    /// Without them; all of it if its length or a CRC is wrong.
    bare: Vec<u8>,
    is_frame: bool,
    extras: Vec<Extra>,
}

/// Bytes that a frame format or a receiver added.
struct Extra {
    at: usize,
    len: usize,
    field: &'static str,
    meaning: &'static str,
}

impl<'a> Received<'a> {
    /// Finds out how the telegram was given. Where only decryption can tell, `opens` is asked whether it succeeds.
    pub(super) fn new(bytes: &'a [u8], opens: impl Fn(&[u8]) -> bool) -> Self {
        let Ok(bare) = link::normalise(bytes) else {
            return Self {
                bytes,
                bare: bytes.to_vec(),
                is_frame: false,
                extras: Vec::new(),
            };
        };
        for format in [Format::A, Format::B] {
            let Ok(stripped) = link::strip(format, bytes) else {
                continue;
            };
            if stripped == *bare || *bare == *bytes && !opens(&bare) && opens(&stripped) {
                return Self {
                    bytes,
                    bare: stripped,
                    is_frame: true,
                    extras: crcs(format, bytes.len()),
                };
            }
        }
        let extra = bytes.len().saturating_sub(bare.len());
        let receiver = Extra {
            at: bare.len(),
            len: extra,
            field: "receiver",
            meaning: "left by the receiver, no part of the telegram",
        };
        Self {
            bytes,
            bare: bare.into_owned(),
            is_frame: true,
            extras: if extra > 0 {
                vec![receiver]
            } else {
                Vec::new()
            },
        }
    }

    /// A message that was joined from fragments: without a link layer.
    pub(super) fn joined(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            bare: bytes.to_vec(),
            is_frame: true,
            extras: Vec::new(),
        }
    }

    /// Is its length right, and are the CRCs that it has?
    pub(super) const fn is_frame(&self) -> bool {
        self.is_frame
    }

    /// The telegram without them.
    pub(super) fn bare(&self) -> &[u8] {
        &self.bare
    }

    /// Where a byte of the bare telegram stands in the one that was given.
    pub(super) fn place(&self, mut at: usize) -> usize {
        for extra in self.extras.iter().filter(|extra| extra.len > 0) {
            if extra.at <= at && extra.at + extra.len <= self.bytes.len() && at < self.bare.len() {
                at += extra.len;
            }
        }
        at
    }

    /// The parts with their places and bytes; a CRC that stands in the middle of one parts it.
    pub(super) fn place_all(&self, drafts: Vec<Draft>, clear: &Clear) -> Vec<Part> {
        let mut parts = Vec::with_capacity(drafts.len() + self.extras.len());
        let mut extras = self.extras.iter().peekable();
        let (mut at, mut bare) = (0, 0);
        for draft in drafts {
            let mut left = draft.len;
            let mut again = false;
            while left > 0 {
                if let Some(extra) = extras.next_if(|extra| extra.at <= at) {
                    parts.push(self.extra(extra));
                    at += extra.len;
                    continue;
                }
                let until = extras.peek().map_or(usize::MAX, |extra| extra.at - at);
                let count = left.min(until);
                let was_encrypted = (bare..bare + count).any(|byte| clear.was_encrypted(byte));
                parts.push(Part {
                    offset: at,
                    bytes: cut(self.bytes, at, count),
                    decrypted: was_encrypted.then(|| cut(&clear.bytes, bare, count)),
                    layer: draft.layer,
                    field: draft.field,
                    meaning: if again {
                        "continued".into()
                    } else {
                        draft.meaning.clone()
                    },
                    value: if again {
                        String::new()
                    } else {
                        draft.value.clone()
                    },
                });
                (at, bare, left, again) = (at + count, bare + count, left - count, true);
            }
        }
        for extra in extras {
            parts.push(self.extra(extra));
        }
        parts
    }

    fn extra(&self, extra: &Extra) -> Part {
        Part {
            offset: extra.at,
            bytes: cut(self.bytes, extra.at, extra.len),
            decrypted: None,
            layer: Layer::Link,
            field: extra.field,
            meaning: extra.meaning.into(),
            value: String::new(),
        }
    }
}

fn cut(bytes: &[u8], at: usize, len: usize) -> Vec<u8> {
    bytes.iter().skip(at).take(len).copied().collect()
}

/// The CRCs of a telegram that has `len` bytes with them.
fn crcs(format: Format, len: usize) -> Vec<Extra> {
    let crc = |at| Extra {
        at,
        len: 2,
        field: "CRC",
        meaning: "of the block before it, right",
    };
    let mut extras: Vec<_> = link::crc_places(format, len).into_iter().map(crc).collect();
    extras.retain(|extra| extra.at + extra.len <= len);
    extras
}

/// What stands behind the layers above, by wire.
pub(super) struct Behind {
    end: usize,
}

/// Writes down what stands before the layers above.
pub(super) fn explain(page: &mut Page<'_>) -> Option<Behind> {
    page.enter(Layer::Link);
    if LongFrame::begins(page.left()) {
        return Some(explain_wired(page));
    }
    let left = page.left();
    if let Some(length) = left.first() {
        page.add(
            1,
            "L",
            "length: bytes that follow, without CRCs",
            length.to_string(),
        );
    }
    if let Some(&control) = left.get(1) {
        page.add(1, "C", "control", service(Control(control)));
    }
    explain_address(page, Order::Link);
    None
}

fn explain_wired(page: &mut Page<'_>) -> Behind {
    let left = page.left();
    let byte = |at: usize| left.get(at).copied().unwrap_or_default();
    page.add(1, "start", "start of a long frame", "");
    page.add(
        1,
        "L",
        "length: bytes from C to the last before the check",
        byte(1).to_string(),
    );
    page.add(1, "L", "length, once more", byte(2).to_string());
    page.add(1, "start", "start, once more", "");
    page.add(1, "C", "control", service(Control(byte(4))));
    page.add(1, "A", "primary address on the bus", primary(byte(5)));
    let behind = Behind { end: page.end };
    page.end -= 2;
    behind
}

impl Behind {
    pub(super) fn explain(&self, page: &mut Page<'_>) {
        // What the layers above left is theirs.
        if page.at < page.end {
            return;
        }
        page.end = self.end;
        page.enter(Layer::Link);
        page.add(1, "check", "sum of the bytes from C on", "");
        page.add(1, "stop", "end of the frame", "");
    }
}

/// The order of an address's fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Manufacturer first.
    Link,
    /// Identification number first.
    Header,
}

/// Writes down an address, as far as it is there.
pub(super) fn explain_address(page: &mut Page<'_>, order: Order) {
    let mut bytes = [0; Address::LEN];
    for (to, from) in bytes.iter_mut().zip(page.left()) {
        *to = *from;
    }
    let address = match order {
        Order::Link => Address::from_link(bytes),
        Order::Header => match Address::read_header(&mut Reader::new(&bytes)) {
            Ok(address) => address,
            Err(_) => return,
        },
    };
    if order == Order::Link {
        page.add(2, "M", "manufacturer", address.manufacturer.to_string());
    }
    page.add(
        4,
        "A",
        "identification number",
        address.identification.to_string(),
    );
    if order == Order::Header {
        page.add(2, "M", "manufacturer", address.manufacturer.to_string());
    }
    page.add(1, "A", "version", format!("{:02X}", address.version));
    page.add(
        1,
        "A",
        "medium",
        address.medium.name().unwrap_or("reserved"),
    );
}

fn service(control: Control) -> String {
    let (name, what) = match control.0 {
        0x44 => ("SND-NR", "sends, wants no answer"),
        0x46 => ("SND-IR", "wants to be installed"),
        0x47 => ("ACC-NR", "may be accessed now"),
        0x48 => ("ACC-DMD", "wants to be accessed"),
        0x08 | 0x18 | 0x28 | 0x38 => ("RSP-UD", "answers with data"),
        _ => return "no service of a meter".to_owned(),
    };
    format!("{name}: {what}")
}

fn primary(address: u8) -> String {
    match address {
        0xFD => "253, by secondary address".to_owned(),
        address => address.to_string(),
    }
}

const _: () = assert!(Frame::HEADER_LEN == 2 + Address::LEN);
