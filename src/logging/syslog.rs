//! The system's log: RFC 5424 on `/dev/log`, or the journal's own protocol where the journal is there.
//!
//! The journal listens on `/dev/log` too, but does not understand structured data there. Both are datagrams, sent to the path each
//! time, so that a log daemon may be restarted whenever it likes. A daemon that takes nothing is not waited for: messages are lost, and
//! the next one that gets through says how many.
//!
//! (The `syslog` crate sends from a connected socket without a time limit, so that a daemon that hangs would keep the program from ending.)

use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use slog::Level;

use super::entry::Entry;

/// Where the system's log is and what it understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A socket that takes RFC 5424.
    Rfc5424(PathBuf),
    /// The journal's socket.
    Journal(PathBuf),
}

impl Target {
    /// The one of this machine.
    pub fn of_machine() -> Self {
        let journal = Path::new(JOURNAL);
        if journal.exists() {
            Self::Journal(journal.to_owned())
        } else {
            Self::Rfc5424(PathBuf::from("/dev/log"))
        }
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        match self {
            Self::Rfc5424(path) | Self::Journal(path) => path,
        }
    }
}

/// The way to the system's log.
pub struct Syslog {
    target: Target,
    socket: UnixDatagram,
    host: String,
    lost: u64,
}

impl Syslog {
    /// To this log, which need not be there yet.
    ///
    /// # Errors
    /// The system has no socket left.
    pub fn new(target: Target) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            target,
            socket,
            host,
            lost: 0,
        })
    }

    /// Sends the entry, or counts it as lost.
    pub fn send(&mut self, entry: &Entry, now: Timestamp) {
        if self.lost > 0 {
            let lost = Entry {
                level: Level::Warning,
                message: format!(
                    "{} messages before this one did not reach the system's log",
                    self.lost
                ),
                pairs: Vec::new(),
            };
            if self.send_now(&lost, now).is_ok() {
                self.lost = 0;
            }
        }
        if self.send_now(entry, now).is_err() {
            self.lost += 1;
        }
    }

    fn send_now(&self, entry: &Entry, now: Timestamp) -> io::Result<()> {
        let process = std::process::id();
        let datagram = match &self.target {
            Target::Rfc5424(_) => rfc5424(entry, now, &self.host, process),
            Target::Journal(_) => journal(entry),
        };
        self.socket
            .send_to(datagram.as_bytes(), self.target.path())
            .map(drop)
    }
}

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`. The message repeats the structured data, for those who read
/// the log with tools that leave it out.
fn rfc5424(entry: &Entry, now: Timestamp, host: &str, process: u32) -> String {
    let priority = FACILITY_DAEMON * 8 + severity(entry.level);
    // RFC 5424 allows microseconds at most.
    let time = format!("{now:.6}");
    let host = Some(printable(host, 255))
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "-".to_owned());
    let mut line = format!("<{priority}>1 {time} {host} {NAME} {process} - ");
    if entry.pairs.is_empty() {
        line.push('-');
    } else {
        line.push('[');
        line.push_str(STRUCTURED_DATA_ID);
        for (key, value) in &entry.pairs {
            line.push(' ');
            line.push_str(&printable(key, 32));
            line.push_str("=\"");
            for character in cut(value).chars() {
                if matches!(character, '"' | '\\' | ']') {
                    line.push('\\');
                }
                line.push(character);
            }
            line.push('"');
        }
        line.push(']');
    }
    let message = entry.to_string();
    // The mark says that what follows is UTF-8; ASCII does not need it, and tools show it.
    line.push_str(if message.is_ascii() { " " } else { " \u{feff}" });
    line.push_str(cut(&message));
    line
}

/// `KEY=VALUE` lines; an entry has no line breaks.
fn journal(entry: &Entry) -> String {
    let mut text = format!(
        "PRIORITY={}\nSYSLOG_FACILITY={FACILITY_DAEMON}\nSYSLOG_IDENTIFIER={NAME}\nMESSAGE={}\n",
        severity(entry.level),
        cut(&entry.to_string())
    );
    for (key, value) in &entry.pairs {
        let allowed = |character: &char| character.is_ascii_alphanumeric() || *character == '_';
        let field: String = key
            .to_ascii_uppercase()
            .chars()
            .filter(allowed)
            .take(32)
            .collect();
        let _ = writeln!(text, "OMNIGATE_{field}={}", cut(value));
    }
    text
}

/// Without what a name in RFC 5424 cannot hold, and not longer than that.
fn printable(name: &str, longest: usize) -> String {
    let allowed =
        |character: &char| character.is_ascii_graphic() && !matches!(character, '=' | ']' | '"');
    name.chars().filter(allowed).take(longest).collect()
}

/// Log daemons take messages of 8 kB; what is longer than a quarter of that is no message for a reader.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or(text)
}

const fn severity(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

const JOURNAL: &str = "/run/systemd/journal/socket";
const NAME: &str = "omnigate";
const FACILITY_DAEMON: u8 = 3;
/// Names without a registration need an enterprise number; this one is set aside for whoever has none (RFC 5612).
const STRUCTURED_DATA_ID: &str = "omnigate@32473";
/// A log daemon on this machine takes a message in microseconds, or hangs.
const PATIENCE: Duration = Duration::from_millis(100);
const LONGEST: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str, pairs: &[(&'static str, &str)]) -> Entry {
        let owned = |(key, value): &(&'static str, &str)| (*key, (*value).to_owned());
        Entry {
            level: Level::Error,
            message: message.to_owned(),
            pairs: pairs.iter().map(owned).collect(),
        }
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05.123456789Z".parse().unwrap()
    }

    #[test]
    fn a_message_has_its_keys_as_structured_data() {
        let entry = entry(
            "key refused",
            &[
                ("actor", "meter_handler"),
                ("meter", "kam-1"),
                ("reason", r#"a "b" \ ]"#),
            ],
        );
        assert_eq!(
            rfc5424(&entry, now(), "gate way", 7),
            r#"<27>1 2026-01-02T03:04:05.123456Z gateway omnigate 7 - [omnigate@32473 actor="meter_handler" meter="kam-1" reason="a \"b\" \\ \]"] key refused, actor: meter_handler, meter: kam-1, reason: a "b" \ ]"#
        );
    }

    #[test]
    fn without_keys_it_has_none_and_utf_8_is_marked() {
        assert_eq!(
            rfc5424(&entry("ok", &[]), now(), "", 7),
            "<27>1 2026-01-02T03:04:05.123456Z - omnigate 7 - - ok"
        );
        assert!(rfc5424(&entry("ä", &[]), now(), "", 7).ends_with(" - \u{feff}ä"));
    }

    #[test]
    fn the_journal_gets_fields() {
        let entry = entry("bad", &[("actor", "driver"), ("since-when", "now")]);
        assert_eq!(
            journal(&entry),
            "PRIORITY=3\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=omnigate\nMESSAGE=bad, actor: driver, since-when: now\n\
             OMNIGATE_ACTOR=driver\nOMNIGATE_SINCEWHEN=now\n"
        );
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(cut(&"ä".repeat(2000)).len(), LONGEST);
        assert_eq!(cut(&format!("x{}", "ä".repeat(2000))).len(), LONGEST - 1);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_log_daemon_may_come_late_and_learns_what_it_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut syslog = Syslog::new(Target::Rfc5424(path.clone())).unwrap();
        syslog.send(&entry("one", &[]), now());
        syslog.send(&entry("two", &[]), now());
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.send(&entry("three", &[]), now());
        daemon
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let received = || {
            let mut buffer = [0; 4096];
            let length = daemon.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let lost = received();
        assert!(
            lost.starts_with("<28>1 ")
                && lost.ends_with("2 messages before this one did not reach the system's log"),
            "{lost}"
        );
        assert!(received().ends_with(" three"));
    }

    #[test]
    fn a_log_daemon_that_hangs_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _takes_nothing = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(Target::Rfc5424(path)).unwrap();
        let start = std::time::Instant::now();
        while syslog.lost == 0 {
            syslog.send(&entry(&"x".repeat(1000), &[]), now());
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
