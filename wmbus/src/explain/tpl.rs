//! The transport layer.

use super::link::{Order, explain_address};
use super::{Flag, Page, flags};
use crate::error::Layer;
use crate::telegram::Content;
use crate::tpl::{Application, Configuration, Extension, Header};

/// Writes the layer down, with the marks of its encryption, and says what is above; `None` if that cannot be read.
pub(super) fn explain(page: &mut Page<'_>) -> Option<Application> {
    page.enter(Layer::Tpl);
    let mut reader = page.reader();
    let (header, application) = Header::read(&mut reader).ok()?;
    page.add(1, "CI", "transport layer", kind(&header, application));
    if header.address.is_some() {
        explain_address(page, Order::Header);
    }
    let Some(fields) = &header.fields else {
        return Some(application);
    };
    page.add(
        1,
        "ACC",
        "access number",
        fields.access_number.0.to_string(),
    );
    page.add(1, "ST", "status", status(fields.status));
    let configuration = &fields.configuration;
    page.add(2, "CF", "configuration", mode(configuration));
    match configuration.extension {
        Extension::None => {}
        Extension::Mode7(bits) => page.add(1, "CFE", "key derivation and key", key(bits.into())),
        Extension::Mode10 {
            bits,
            key_version,
            counter,
        } => {
            page.add(2, "CFE", "key derivation, key and tag", key(bits));
            if let Some(version) = key_version {
                page.add(1, "KV", "version of the key", version.to_string());
            }
            page.add(4, "MCR", "message counter", counter.to_string());
        }
    }
    if page.is_sealed() {
        return None;
    }
    let is_checked = matches!(configuration.mode(), 2..=7) && page.left().starts_with(&[0x2F; 2]);
    if is_checked {
        page.add(2, "check", "idle fillers: decryption is right", "");
    }
    if configuration.mode() == 10 && page.clear.was_encrypted(page.at) {
        page.end -= configuration.extension.tag_len().min(page.left().len());
    }
    Some(application)
}

fn kind(header: &Header, application: Application) -> String {
    let header = match (header.address, header.fields) {
        (Some(_), _) => "long header",
        (None, Some(_)) => "short header",
        (None, None) => "no header",
    };
    let content = match application {
        Application::Error => "application error",
        Application::Content(Content::Full) => "records",
        Application::Content(Content::Compact) => "values of a compact frame",
        Application::Content(Content::Format) => "the format of compact frames",
        Application::Content(Content::Alarm) => "alarm",
        Application::Content(Content::Manufacturer) => "manufacturer's own format",
    };
    format!("{header}, {content}")
}

/// Source: EN 13757-7, 7.5.6.
fn status(byte: u8) -> String {
    let application = match byte & 0x03 {
        0 => "no error",
        1 => "busy",
        2 => "application error",
        _ => "abnormal condition or alarm",
    };
    match byte & !0x03 {
        0 => application.to_owned(),
        bits => format!("{application}, {}", flags(bits, STATUS)),
    }
}

const STATUS: &[Flag] = &[
    (0x04, "power low"),
    (0x08, "permanent error"),
    (0x10, "temporary error"),
    (0x20, "manufacturer's bit 5"),
    (0x40, "manufacturer's bit 6"),
    (0x80, "manufacturer's bit 7"),
];

fn mode(configuration: &Configuration) -> String {
    match configuration.mode() {
        0 => "not encrypted".to_owned(),
        mode @ (5 | 7) => match configuration.encrypted_blocks_len() / 16 {
            0 => format!("security mode {mode}, all whole blocks encrypted"),
            1 => format!("security mode {mode}, 1 block of 16 bytes encrypted"),
            blocks => format!("security mode {mode}, {blocks} blocks of 16 bytes encrypted"),
        },
        mode @ (2 | 3) => format!(
            "security mode {mode}, {} bytes encrypted",
            configuration.encrypted_bytes_len()
        ),
        mode @ (1 | 16..) => format!("security mode {mode}, the manufacturer's"),
        mode => format!("security mode {mode}"),
    }
}

fn key(bits: u16) -> String {
    format!("derivation {}, key {}", bits >> 4 & 3, bits & 0x0F)
}
