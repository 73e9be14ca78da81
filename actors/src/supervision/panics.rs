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
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// A panic that was caught: `panicked at actors/src/parser.rs:17: nothing to divide by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic(String);

impl Panic {
    fn new(seen: Option<String>) -> Self {
        // Nothing was seen of what is thrown on without a message.
        Self(seen.unwrap_or_else(|| "panicked".to_owned()))
    }
}

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
    // Of an unwinding that is under way, if this is called by a destructor.
    let outer = LAST.take();
    CATCHING.set(CATCHING.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(code));
    CATCHING.set(CATCHING.get() - 1);
    let seen = LAST.replace(outer);
    result.map_err(|payload| {
        forget(payload);
        Panic::new(seen)
    })
}

/// The panic that is unwinding this thread, for destructors that report what it destroys.
pub fn unwinding() -> Option<Panic> {
    std::thread::panicking().then(|| Panic::new(LAST.with_borrow(Clone::clone)))
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
            // A second panic before the first is caught ends the process, so nobody else will tell of it.
            if CATCHING.get() == 0 || LAST.with_borrow(Option::is_some) {
                previous(info);
            } else {
                LAST.set(Some(describe(info)));
            }
        }));
    });
}

/// A payload is any value, so its destructor may panic too.
fn forget(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A few bytes are lost for good; a third destructor might do the same again.
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
        info.location()
            .map_or_else(String::new, |at| place(at.file(), at.line())),
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

/// File and line. Of a dependency and of the standard library only what the path says about them, not where this machine keeps them.
fn place(file: &str, line: u32) -> String {
    let kept = file
        .split_once("/registry/src/")
        .or_else(|| file.split_once("/rustc/"))
        .and_then(|(_, rest)| rest.split_once('/'));
    format!("{}:{line}", kept.map_or(file, |(_, rest)| rest))
}

/// The first `most` characters.
pub(crate) fn bounded(text: &str, most: usize) -> &str {
    text.char_indices()
        .nth(most)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: impl FnOnce()) -> String {
        let text = catch(code).unwrap_err().to_string();
        let (place, text) = text.split_once(": ").unwrap();
        assert!(
            place.starts_with("panicked at actors/src/supervision/panics.rs:"),
            "{place}"
        );
        text.to_owned()
    }

    #[test]
    fn written_text_is_told_and_formatted_text_is_not() {
        let key = "9A25139E3244CC2E391A8EF6B915B697";
        let failed = |key| {
            if std::hint::black_box(true) {
                Err(key)
            } else {
                Ok(())
            }
        };
        assert_eq!(
            told(|| panic!("nothing to divide by\nsecond line")),
            "nothing to divide by"
        );
        assert_eq!(told(|| panic!("bad key {key}")), "(text withheld)");
        assert_eq!(told(|| failed(key).unwrap()), STANDARD[4]);
        assert_eq!(told(|| failed(key).expect("a good key")), "(text withheld)");
        assert_eq!(
            told(|| assert_eq!(key, "")),
            "assertion `left == right` failed"
        );
        assert_eq!(
            told(|| assert_eq!(key, "", "{key}")),
            "assertion `left == right` failed"
        );
        assert_eq!(
            told(|| assert_eq!(key.as_bytes()[std::hint::black_box(99)], 0)),
            "index out of bounds"
        );
        assert_eq!(told(|| panic::panic_any(17)), "(text withheld)");
    }

    #[test]
    fn a_destructor_may_catch_while_a_panic_passes_it() {
        struct Careful;
        impl Drop for Careful {
            fn drop(&mut self) {
                assert!(catch(|| panic!("inner")).is_err());
                assert!(unwinding().unwrap().to_string().ends_with("outer"));
            }
        }
        let outer = catch(|| {
            let _careful = Careful;
            panic!("outer");
        });
        assert!(outer.unwrap_err().to_string().ends_with(": outer"));
        assert_eq!(unwinding(), None);
    }

    #[test]
    fn a_payload_whose_destructor_panics_is_caught_too() {
        struct Grenade;
        impl Drop for Grenade {
            fn drop(&mut self) {
                panic!("in the payload's destructor");
            }
        }
        assert!(catch(|| panic::panic_any(Grenade)).is_err());
    }

    #[test]
    fn a_place_does_not_tell_where_this_machine_keeps_its_sources() {
        let registry =
            "/home/me/.cargo/registry/src/index.crates.io-1949cf8c/actix-0.13.5/src/mailbox.rs";
        assert_eq!(place(registry, 7), "actix-0.13.5/src/mailbox.rs:7");
        assert_eq!(
            place("/rustc/5980761/library/core/src/num/mod.rs", 7),
            "library/core/src/num/mod.rs:7"
        );
        assert_eq!(place("actors/src/parser.rs", 7), "actors/src/parser.rs:7");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(bounded("äöü", 2), "äö");
        assert_eq!(bounded("äöü", 3), "äöü");
        assert_eq!(bounded("", 3), "");
    }
}
