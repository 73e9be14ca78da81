//! The authentication and fragmentation layer.

use super::Page;
use crate::afl::{Header, MessageControl};
use crate::error::Layer;

/// Writes the layer down, if there is one; `None` if what is above it cannot be read.
pub(super) fn explain(page: &mut Page<'_>) -> Option<()> {
    page.enter(Layer::Afl);
    let header = Header::read(&mut page.reader()).ok()?;
    let Some(header) = header else {
        return Some(());
    };
    page.add(1, "CI", "authentication and fragmentation layer", "");
    let length = page.left().first().copied().unwrap_or_default();
    page.add(1, "AFLL", "length of the layer", length.to_string());
    let fragment = match header.fragment {
        fragment if fragment.is_whole() => "whole message".to_owned(),
        fragment if fragment.more => format!("fragment {}, more follow", fragment.number),
        fragment => format!("fragment {}, the last", fragment.number),
    };
    page.add(2, "FCL", "fragmentation control", fragment);
    if let Some(control) = header.control {
        page.add(1, "MCL", "message control", authentication(control));
    }
    if let Some(key) = header.key_information {
        page.add(2, "KI", "key information", format!("{key:04X}"));
    }
    if let Some(counter) = header.counter {
        page.add(4, "MCR", "message counter", counter.to_string());
    }
    if let Some(mac) = header.mac {
        page.add(
            mac.as_bytes().len(),
            "MAC",
            "message authentication code",
            "",
        );
    }
    if let Some(length) = header.message_len {
        page.add(2, "ML", "length of the joined message", length.to_string());
    }
    if !header.fragment.is_whole() {
        page.add(usize::MAX, "fragment", "a piece of a message", "");
        return None;
    }
    Some(())
}

fn authentication(control: MessageControl) -> String {
    match control.tag_len() {
        Ok(0) => "no authentication".to_owned(),
        Ok(length) => format!("AES-128-CMAC of {length} bytes"),
        Err(kind) => kind.to_string(),
    }
}
