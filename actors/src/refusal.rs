//! Refusal: why a telegram gave no reading, in the words of the counters, the log and the status.

use slog::{Logger, error, warn};
use wmbus::{Error, ErrorKind};

use crate::counters::Count;
use crate::meter::MeterName;
use crate::supervision::Panic;

/// Why a telegram gave no reading.
#[derive(Debug)]
pub enum Refusal {
    /// It was heard before.
    Duplicate,
    /// It is held until others confirm it.
    Held,
    /// Its message counter, for which its MAC vouches, does not rise.
    Replayed,
    /// It is not what the standard, the key or the meter's profile demands.
    Invalid(Error),
    /// It made the decoder panic.
    Panic(Panic),
}

impl Refusal {
    /// Whether it says something about the meter. A duplicate, a held reading, and a part of a longer message do not.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self.count(),
            Count::Duplicates | Count::Held | Count::Fragments
        )
    }

    /// What counts it.
    pub fn count(&self) -> Count {
        match self {
            Self::Duplicate => Count::Duplicates,
            Self::Held => Count::Held,
            Self::Replayed => Count::Replays,
            Self::Panic(_) => Count::HandlerPanics,
            Self::Invalid(error) => match error.kind {
                ErrorKind::Incomplete => Count::Fragments,
                ErrorKind::KeyRejected | ErrorKind::Mac => Count::KeyRejected,
                ErrorKind::KeyMissing => Count::KeyMissing,
                ErrorKind::NotEncrypted => Count::NotEncrypted,
                ErrorKind::UnknownFormat(_) => Count::LayoutUnknown,
                _ => Count::DecodeFailed,
            },
        }
    }

    /// In few words; the same for all telegrams that are refused for the same reason.
    pub fn reason(&self) -> &'static str {
        match self.count() {
            Count::Duplicates => "duplicate",
            Count::Held => "held",
            Count::Replays => "replay",
            Count::Fragments => "incomplete",
            Count::HandlerPanics => "decoder panic",
            Count::KeyRejected => "key rejected",
            Count::KeyMissing => "key missing",
            Count::NotEncrypted => "not encrypted",
            Count::LayoutUnknown => "layout unknown",
            _ => "invalid content",
        }
    }

    /// Logs it, with what to do.
    pub fn report(&self, log: &Logger, meter: &MeterName) {
        match self {
            Self::Duplicate | Self::Held => {}
            Self::Replayed => {
                warn!(log, "telegram refused: its message counter does not rise. Somebody replays it, or the meter counts anew; then remove the meter from the set and add it again";
                    "meter" => %meter, "reason" => self.reason());
            }
            Self::Panic(panic) => {
                error!(log, "a telegram made the decoder panic: please report it";
                    "meter" => %meter, "reason" => self.reason(), "error" => %panic);
            }
            Self::Invalid(error) => {
                warn!(log, "telegram refused: {}", self.advice();
                    "meter" => %meter, "reason" => self.reason(), "error" => %error);
            }
        }
    }

    fn advice(&self) -> &'static str {
        match self.count() {
            Count::KeyRejected => {
                "the key does not fit, or the telegram was damaged or forged; check the key in the set message"
            }
            Count::KeyMissing => "it is encrypted; give the meter's key in the set message",
            Count::NotEncrypted => {
                "the meter has a key but the telegram is not encrypted: a forgery, or a meter that needs no key"
            }
            Count::LayoutUnknown => {
                "a compact telegram whose layout is not known yet; the meter's next full telegram brings it"
            }
            _ => "its content does not follow the standard",
        }
    }
}
