//! The extended link layer.

use super::link::{Order, explain_address};
use super::{Flag, Page, flags};
use crate::ell::{CRC_LEN, Header};
use crate::error::Layer;

/// Writes the layer down, if there is one; `None` if what is above it cannot be read.
pub(super) fn explain(page: &mut Page<'_>) -> Option<()> {
    page.enter(Layer::Ell);
    let ci = page.left().first().copied();
    let header = match Header::read(&mut page.reader()) {
        Ok(None) => return Some(()),
        Ok(Some(header)) => header,
        Err(_) => {
            page.add(1, "CI", "extended link layer", kind(ci));
            return None;
        }
    };
    page.add(1, "CI", "extended link layer", kind(ci));
    page.add(
        1,
        "CC",
        "communication control",
        flags(header.communication_control, CONTROL),
    );
    page.add(
        1,
        "ACC",
        "access number",
        header.access_number.0.to_string(),
    );
    if header.receiver.is_some() {
        explain_address(page, Order::Link);
    }
    if let Some(session) = header.session {
        let cipher = if session.is_encrypted() {
            "AES-128-CTR"
        } else {
            "not encrypted"
        };
        let value = format!(
            "{cipher}, minute {}, session {}",
            session.minutes(),
            session.session()
        );
        page.add(4, "SN", "session number", value);
        if page.is_sealed() {
            return None;
        }
        page.add(CRC_LEN, "CRC", "of what follows", "");
    }
    Some(())
}

fn kind(ci: Option<u8>) -> &'static str {
    match ci {
        Some(0x8C) => "I",
        Some(0x8D) => "II",
        Some(0x8E) => "III",
        _ => "IV",
    }
}

/// Source: EN 13757-4, communication control field.
const CONTROL: &[Flag] = &[
    (0x80, "bidirectional"),
    (0x40, "short response delay"),
    (0x20, "synchronous"),
    (0x10, "repeated once"),
    (0x08, "priority"),
    (0x04, "accessible"),
    (0x02, "repeated access"),
    (0x01, "extended"),
];
