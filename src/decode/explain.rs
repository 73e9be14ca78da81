//! Explanations as text: a line for each field, with columns, and colours where they can be seen.

use std::io::{self, Write};

use wmbus::explain::{Explanation, Part};
use wmbus::{Layer, Profile, Value};

/// Writes an explanation, with a title, the fields and what became of them; an empty line ends it.
///
/// # Errors
/// Those of `out`.
pub fn write_text(
    explanation: &Explanation,
    profile: Option<&Profile>,
    paint: Paint,
    out: &mut impl Write,
) -> io::Result<()> {
    let (parts, joined) = (&explanation.parts, &explanation.joined);
    let mut all = parts.iter().chain(joined);
    let has_decrypted = all.any(|part| part.decrypted.is_some());
    if let Ok(reading) = &explanation.outcome {
        let address = reading.address;
        let model = profile.map_or("a type without a profile", |profile| &profile.model);
        let title = format!(
            "{} {}, {model}, {}: security {}, verified by {}",
            address.manufacturer,
            address.identification,
            address.medium.name().unwrap_or("reserved medium"),
            reading.security,
            reading.authentication
        );
        writeln!(out, "{}", paint.bold(&title))?;
    }
    // The second column of bytes, with the space before it.
    let (decrypted, width) = if has_decrypted {
        ("  decrypted", WIDTH + 2)
    } else {
        ("", 0)
    };
    let head = format!(
        "{:>4}  {:<WIDTH$}{decrypted:<width$}  {:<7}  {:<9}  meaning",
        "byte", "received", "layer", "field"
    );
    writeln!(out, "{}", paint.faint(&head))?;
    for part in parts {
        write_part(part, width, paint, out)?;
    }
    if !joined.is_empty() {
        writeln!(out, "{}", paint.faint("      the joined message"))?;
    }
    for part in joined {
        write_part(part, width, paint, out)?;
    }
    match &explanation.outcome {
        Ok(reading) => {
            let unknown = Profile::unknown(reading.address.manufacturer);
            for field in reading.fields(profile.unwrap_or(&unknown)) {
                let value = match &field.value {
                    Value::Absent => "no value".to_owned(),
                    value => format!("{value} {}", field.unit),
                };
                let info = field.info.map_or(String::new(), |info| format!("  {info}"));
                let line = format!("{} = {}", field.name, value.trim_end());
                writeln!(out, "      {}{}", paint.bold(&line), paint.faint(&info))?;
            }
        }
        Err(error) => {
            let place = match explanation.failed_at {
                Some(at) if joined.is_empty() => format!("byte {at}"),
                Some(at) => format!("byte {at} of the joined message"),
                None => "the joined message".to_owned(),
            };
            let text = format!("{}, {place}: {}", error.layer, error.kind);
            writeln!(out, "{}", paint.alarm(&text))?;
        }
    }
    writeln!(out)
}

fn write_part(part: &Part, width: usize, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let mut received = part.bytes.chunks(WIDTH / 2).map(hex);
    let decrypted = part.decrypted.as_deref().unwrap_or_default();
    let mut decrypted = decrypted
        .chunks(WIDTH / 2)
        .map(|bytes| format!("  {}", hex(bytes)));
    let (first, clear) = (
        received.next().unwrap_or_default(),
        decrypted.next().unwrap_or_default(),
    );
    let what = format!("{:<7}  {:<9}", part.layer.name(), part.field);
    let separator = if part.value.is_empty() { "" } else { ": " };
    writeln!(
        out,
        "{:>4}  {first:<WIDTH$}{clear:<width$}  {}  {}{separator}{}",
        part.offset,
        paint.of(part.layer, &what),
        part.meaning,
        paint.bold(&part.value)
    )?;
    for more in received {
        let clear = decrypted.next().unwrap_or_default();
        let line = format!("      {more:<WIDTH$}{clear}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Bytes as they are written everywhere: in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether colours can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// On a terminal.
    Colours,
    /// Into a file or a pipe, or where they are not wanted.
    Plain,
}

impl Paint {
    fn of(self, layer: Layer, text: &str) -> String {
        self.with(
            match layer {
                Layer::Hci | Layer::Link => "34",
                Layer::Ell => "36",
                Layer::Afl => "35",
                Layer::Tpl => "33",
                Layer::Apl | Layer::Profile => "32",
            },
            text,
        )
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn alarm(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Colours if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// How many characters the columns of bytes have: eight bytes.
const WIDTH: usize = 16;
