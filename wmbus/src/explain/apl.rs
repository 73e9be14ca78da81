//! The application layer: records, compact and format frames, what else a payload may hold.

use super::{Page, record};
use crate::compact::{Layout, LayoutPart};
use crate::decoder::Decoder;
use crate::error::Layer;
use crate::profile::Flag;
use crate::proprietary::{self, Notes};
use crate::reader::Reader;
use crate::record::{Record, Records};
use crate::signature::Signature;
use crate::telegram::{Content, Plain};
use crate::tpl::Application;

/// Writes the payload down.
pub(super) fn explain(
    page: &mut Page<'_>,
    decoder: &mut Decoder,
    application: Application,
    plain: Option<&Plain<'_>>,
) {
    page.enter(Layer::Apl);
    let content = match (application, plain) {
        (Application::Error, _) => return page.add(1, "error", "application error", error(page)),
        (_, Some(plain)) => plain.content,
        (Application::Content(content), None) => content,
    };
    let notes = Notes::default();
    let payload = plain.and_then(|plain| proprietary::payload(plain, decoder.key(), Some(&notes)));
    if let Some(payload) = payload {
        page.enter(Layer::Profile);
        page.add_notes(&notes.into_sorted(), page.end);
        if payload.is_ok() {
            page.add(usize::MAX, "data", "not known", "");
        }
        return;
    }
    match content {
        Content::Full => full(page, decoder, plain),
        Content::Compact => compact(page, decoder, plain),
        Content::Format => format(page),
        Content::Alarm => page.add(usize::MAX, "data", "state of the alarm", ""),
        Content::Manufacturer => page.add(usize::MAX, "data", OWN_FORMAT, "not known here"),
    }
}

fn full(page: &mut Page<'_>, decoder: &mut Decoder, plain: Option<&Plain<'_>>) {
    let unsigned = plain.is_some_and(|plain| {
        let profile = decoder.profile(plain.address);
        profile.is_some_and(|profile| profile.has(Flag::Unsigned))
    });
    let records = Records::new(page.reader()).unsigned(unsigned);
    let mut records: Vec<Record> = records.map_while(Result::ok).collect();
    // What the manufacturer's own bytes among them say.
    let notes = Notes::default();
    let standard = records.clone();
    if let Some(plain) = plain {
        // Whoever decodes the telegram says why a part of it is refused.
        let _ = proprietary::extend(plain, decoder.key(), &mut records, Some(&notes));
    }
    record::explain_all(page, unsigned, &standard, &notes.into_sorted());
}

fn compact(page: &mut Page<'_>, decoder: &mut Decoder, plain: Option<&Plain<'_>>) {
    let mut reader = page.reader();
    let Ok(signature) = reader.u16().map(Signature) else {
        return;
    };
    let layout = plain.and_then(|plain| decoder.layout(plain.address, signature));
    let known = match &layout {
        Some(_) => format!("{signature}"),
        None => format!("{signature}, unknown until a full frame was heard"),
    };
    page.add(2, "signature", "CRC of the full frame's headers", known);
    page.add(2, "CRC", "of the full frame", "");
    let Some(layout) = layout else {
        return page.add(usize::MAX, "data", "values without headers", "");
    };
    let all = values(&layout, page.reader());
    for part in layout.parts() {
        match part {
            LayoutPart::Record(header)
                if record::explain_value(page, header, &all, &[]).is_some() => {}
            LayoutPart::Record(_) => return,
            LayoutPart::Manufacturer => page.add(usize::MAX, "data", "manufacturer's", ""),
        }
    }
    record::explain_fillers(page);
}

/// The values of a compact frame, as far as they are there.
fn values(layout: &Layout, mut reader: Reader<'_>) -> Vec<Record> {
    let record = |part| match part {
        LayoutPart::Record(header) => {
            let value = header.read_value(&mut reader).ok()?;
            Some(header.template.with(value))
        }
        LayoutPart::Manufacturer => None,
    };
    layout.parts().map_while(record).collect()
}

fn format(page: &mut Page<'_>) {
    let length = page.left().first().copied().unwrap_or_default();
    page.add(1, "length", "bytes that follow", length.to_string());
    let mut reader = page.reader();
    if let Ok(signature) = reader.u16() {
        let signature = Signature(signature).to_string();
        page.add(2, "signature", "CRC of the headers", signature);
    }
    record::explain_headers(page);
}

fn error(page: &Page<'_>) -> String {
    let code = page.left().first().copied().unwrap_or_default();
    let text = match code {
        0 => "unspecified",
        1 => "unknown CI",
        2 => "buffer too long",
        3 => "too many records",
        4 => "premature end of a record",
        5 => "more than ten DIFEs",
        6 => "more than ten VIFEs",
        8 => "busy with another request",
        9 => "too many readouts",
        0x10 => "access denied",
        0x11 => "application unknown",
        0x12 => "parameter wrong",
        0x13 => "message unknown",
        0x14 => "decryption failed",
        0x15 => "message damaged",
        0x16 => "no function",
        0x20 => "resource not available",
        _ => "see the manufacturer",
    };
    format!("{code:02X}: {text}")
}

const OWN_FORMAT: &str = "the manufacturer's own format";
