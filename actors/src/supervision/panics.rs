//! Panics that are caught: what is told about them, and what is not.
//!
//! [`catch`] runs code and turns a panic into a [`Panic`] with its place and a short text. While it runs, the process's panic hook prints
//! nothing for this thread: the caller reports it, in one line, through the log. Panics that nobody catches are printed as ever.
//!
//! The text of a panic may quote what the program was working on, a key at worst. So only text that was written down in the source is
//! told, and of formatted text only the beginning when it is one of the standard library's.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe, Location, PanicHookInfo};
use std::sync::Once;

/// A panic that was caught: `panicked at actors/src/parser.rs:17: nothing to divide by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic(String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `code`; a panic in it comes back as an error.
///
/// Whatever `code` had borrowed may be half changed after a panic: throw it away, or be sure that it is not.
///
/// # Errors
/// Where `code` panicked, and a short text that holds no data.
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panic> {
    install_hook();
    CATCHING.set(CATCHING.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(code));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload| {
        let place = LAST.take();
        forget_payload(payload);
        Panic(place.unwrap_or_else(|| "panicked".to_owned()))
    })
}

/// The panic that is unwinding this thread, for destructors that report what it destroys.
pub fn unwinding() -> Option<Panic> {
    std::thread::panicking().then(|| {
        Panic(LAST.with_borrow(|last| last.clone().unwrap_or_else(|| "panicked".to_owned())))
    })
}

thread_local! {
    /// How many [`catch`] are running on this thread.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// What the hook saw last on this thread.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() == 0 {
                previous(info);
            } else {
                LAST.set(Some(describe(info)));
            }
        }));
    });
}

/// A payload is any value, so its destructor may panic too.
fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its destructor has run once; running it again proves nothing. A few bytes are the smaller harm.
        std::mem::forget(second);
    }
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = match (
        payload.downcast_ref::<&'static str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(written), _) => Some(*written),
        (None, Some(formatted)) => STANDARD
            .iter()
            .find(|start| formatted.starts_with(**start))
            .copied(),
        (None, None) => None,
    };
    let text = text
        .and_then(|text| text.lines().next())
        .unwrap_or("(text withheld)");
    format!(
        "panicked at {}: {}",
        info.location().map_or_else(String::new, place),
        bounded(text, 100)
    )
}

/// Beginnings of the standard library's formatted panics; what follows them may be data.
const STANDARD: [&str; 8] = [
    "index out of bounds",
    "range start index",
    "range end index",
    "slice index starts at",
    "called `Result::unwrap()` on an `Err` value",
    "called `Result::unwrap_err()` on an `Ok` value",
    "assertion `left == right` failed",
    "assertion `left != right` failed",
];

/// File and line; of a dependency's path only the end, which names the crate and its file.
fn place(location: &Location<'_>) -> String {
    let file = location.file();
    let start = if file.starts_with('/') {
        file.rmatch_indices('/').nth(3).map_or(0, |(at, _)| at + 1)
    } else {
        0
    };
    format!("{}:{}", file.get(start..).unwrap_or(file), location.line())
}

/// The first `most` characters.
pub(crate) fn bounded(text: &str, most: usize) -> &str {
    text.char_indices()
        .nth(most)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}
