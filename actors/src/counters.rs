//! Counters: what happened how often since the program started, by reason.
//!
//! One array of atomics is shared by all actors, so a count costs a few nanoseconds and is never lost with an actor's life.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared by every actor through an `Arc`.
pub struct Counters([AtomicU64; Count::ALL.len()]);

impl Counters {
    /// All at zero.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; Count::ALL.len()])
    }

    /// One more.
    pub fn increment(&self, count: Count) {
        self.add(count, 1);
    }

    /// `amount` more.
    pub fn add(&self, count: Count, amount: u64) {
        if let Some(cell) = self.0.get(count as usize) {
            cell.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// How often so far.
    pub fn value(&self, count: Count) -> u64 {
        self.0
            .get(count as usize)
            .map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// Every counter with its name, in the order of the data flow.
    pub fn all(&self) -> impl Iterator<Item = (Count, u64)> + '_ {
        Count::ALL.iter().map(|&count| (count, self.value(count)))
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.all().map(|(count, value)| (count.name(), value)))
            .finish()
    }
}

/// Declares the counters: variant, name in the status object, meaning.
macro_rules! counts {
    ($($variant:ident $name:literal $meaning:literal,)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Count {
            $(#[doc = $meaning] $variant,)*
        }

        impl Count {
            /// Every counter, in the order of the data flow.
            pub const ALL: &'static [Count] = &[$(Count::$variant,)*];

            /// The name in the status object.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Count::$variant => $name,)*
                }
            }

            /// What it counts, for people.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Count::$variant => $meaning,)*
                }
            }
        }
    };
}

counts! {
    TelegramsReceived "telegrams_received" "Telegrams that the source delivered whole.",
    SourceBytesSkipped "source_bytes_skipped" "Bytes of the source that belonged to no message.",
    DongleCrcWrong "dongle_crc_wrong" "Messages of the dongle whose CRC was wrong.",
    SourceLinesRefused "source_lines_refused" "Lines of a file or standard input that were no telegram.",
    DriverMailboxFull "dropped_parser_busy" "Radio telegrams dropped because the Parser's mailbox was full.",
    FifoWritten "fifo_written" "Telegrams that the driver daemon wrote to its FIFO.",
    FifoUnread "dropped_fifo_unread" "Telegrams that the driver daemon dropped because no gateway read its FIFO, or not fast enough.",
    RecoverySteps "recovery_steps" "Steps of the dongle's recovery ladder.",
    TelegramsParsed "telegrams_parsed" "Telegrams with a valid link layer.",
    LinkLayerInvalid "rejected_link_layer" "Telegrams with an invalid link layer.",
    ParserPanics "rejected_parser_panic" "Telegrams that made the Parser panic.",
    UnknownMeter "unknown_meter" "Telegrams of meters that are not monitored.",
    HandlerMailboxFull "dropped_meter_busy" "Radio telegrams dropped because the meter's queue was full.",
    HandlerGone "dropped_meter_removed" "Telegrams dropped because their meter was just removed.",
    Readings "readings" "Telegrams decrypted, verified and decoded.",
    Held "held" "Telegrams held because they may be replays, until others confirm them.",
    Replays "rejected_replay" "Held telegrams that the meter itself disproved, and telegrams whose message counter did not rise.",
    Fragments "fragments" "Parts of messages that are longer than a telegram.",
    Duplicates "rejected_duplicate" "Telegrams heard before, through a repeater or another dongle.",
    KeyRejected "rejected_key" "Telegrams that do not fit the meter's key.",
    KeyMissing "rejected_key_missing" "Encrypted telegrams of a meter without a key.",
    NotEncrypted "rejected_not_encrypted" "Unencrypted telegrams of a meter that has a key: forgeries.",
    DecodeFailed "rejected_decode" "Telegrams whose content does not follow the standard.",
    LayoutUnknown "rejected_layout_unknown" "Compact telegrams whose layout was not heard yet.",
    HandlerPanics "rejected_handler_panic" "Telegrams that made the meter's decoder panic.",
    InHandLost "lost_in_hand" "Messages in an actor's hand when it failed.",
    NothingToPublish "readings_without_channels" "Readings of meters whose type has no channels to publish.",
    RegistersHeldBack "registers_held_back" "Values of registers that would fall, held back from the state output.",
    OutboxAccepted "outbox_accepted" "Readings that the outbox took.",
    OutboxDropped "outbox_dropped" "Oldest readings dropped because the outbox was full.",
    OutboxExpired "outbox_expired" "Readings dropped because they were older than the outbox may hold.",
    OutboxUndated "outbox_undated" "Readings of an earlier start of the system dropped because their time was never known.",
    OutboxRejected "outbox_rejected" "Readings given up because handling them failed the Publisher repeatedly.",
    OutboxPartsSkipped "outbox_parts_skipped" "Parts of the outbox's rows that no output knows: another version's, or of an output that is switched off.",
    DatabaseFailures "database_failures" "Attempts to use the database that failed.",
    DatabasesSetAside "databases_set_aside" "Damaged databases that were moved aside.",
    MessagesPublished "messages_published" "Messages that the broker acknowledged.",
    PublishFailed "publish_failed" "Publish attempts that the client refused.",
    BrokerConnects "broker_connects" "Connections made to the broker.",
    BrokerLost "broker_lost" "Connections to the broker lost.",
    CommandsAccepted "commands_accepted" "Commands carried out.",
    CommandsRefused "commands_refused" "Commands refused.",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn counts_what_was_added_and_nothing_else() {
        let counters = Counters::new();
        counters.increment(Count::Readings);
        counters.add(Count::Readings, 2);
        let nonzero: Vec<_> = counters.all().filter(|&(_, value)| value > 0).collect();
        assert_eq!(nonzero, [(Count::Readings, 3)]);
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = Count::ALL.iter().map(|count| count.name()).collect();
        assert_eq!(names.len(), Count::ALL.len());
    }
}
