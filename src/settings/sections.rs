//! The sections of the settings file. `deploy/omnigate.toml` documents the same keys for the operator; a test compares the two.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use omnigate_actors::commander::Pace;
use omnigate_actors::driver::Source;
use omnigate_actors::driver::dongle::{Timing, Wanted};
use omnigate_actors::driver::port::PortPath;
use omnigate_actors::mqtt::{Broker, BrokerUrl, Tls};
use omnigate_actors::secrets::Secret;
use omnigate_actors::set_message;
use omnigate_actors::store::disk::{self, HistoryLimits, Limits};
use serde::Deserialize;
use wmbus::im871a::LinkMode;

use super::document::{Keys, Mistake};
use super::secrets::{self, Environment};
use super::values::{Bounded, GatewayId, Listen, from_text};

/// `[gateway]`: who this gateway is and where it keeps its things.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Its id in topics: 1 to 64 letters, digits, `-`, `_` and `.`. Must be given; no two gateways at one broker may share it.
    #[serde(deserialize_with = "from_text")]
    pub id: GatewayId,
    /// The folder for what must survive a restart: readings that the broker has not acknowledged, the meters with their keys, what is
    /// remembered of them. Made if it is not there; only the gateway's user can read it. Default: `/var/lib/omnigate`.
    #[serde(default = "state_dir")]
    pub state_dir: PathBuf,
}

/// `[driver]`: where telegrams come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// The kind of source. Default: `im871a`.
    #[serde(default)]
    pub source: SourceKind,
    /// Where the source is. For the dongle `auto`, the first one at `/dev/serial/by-id/*iM871A*`, or a path; for a FIFO or a file its
    /// path; for standard input nothing. Default: `auto`.
    #[serde(default = "auto")]
    pub path: PathBuf,
    /// The telegrams that the dongle hears: a link mode, `s1`, `s1m`, `s2`, `t1`, `t2`, `r2`, `c1a`, `c1b`, `c2a` or `c2b`; or `c1t1`:
    /// C1 and T1 together, with firmware 0x14 and later. With a FIFO it is what `omnigate driver` has the dongle hear. Default: `c1a`.
    #[serde(default = "c1a", deserialize_with = "from_text")]
    pub link_mode: Wanted,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The radio dongle.
    #[default]
    Im871a,
    /// The FIFO of `omnigate driver`.
    Fifo,
    /// A file with a telegram on each line.
    File,
    /// The same from standard input.
    Stdin,
}

impl Driver {
    /// Whether telegrams come as they are sent. Those of a file or of standard input are a recording.
    pub fn is_live(&self) -> bool {
        match self.source {
            SourceKind::Im871a | SourceKind::Fifo => true,
            SourceKind::File | SourceKind::Stdin => false,
        }
    }

    /// The same in the words of the Driver.
    pub fn source(&self) -> Source {
        match self.source {
            SourceKind::Im871a if self.path == Path::new(AUTO) => {
                self.dongle(PortPath::from_setting(AUTO))
            }
            SourceKind::Im871a => self.dongle(PortPath::Fixed(self.path.clone())),
            SourceKind::Fifo => Source::Fifo(self.path.clone()),
            SourceKind::File => Source::File(self.path.clone()),
            SourceKind::Stdin => Source::Stdin,
        }
    }

    /// From now on these are the settings of a gateway that reads this FIFO.
    pub fn read_fifo(&mut self, path: PathBuf) {
        self.source = SourceKind::Fifo;
        self.path = path;
    }

    /// What the driver daemon reads: the dongle, the first one where `path` is the FIFO's; none where telegrams are a recording.
    pub fn source_of_daemon(&self) -> Option<Source> {
        match self.source {
            SourceKind::Im871a => Some(self.source()),
            SourceKind::Fifo => Some(self.dongle(PortPath::from_setting(AUTO))),
            SourceKind::File | SourceKind::Stdin => None,
        }
    }

    fn dongle(&self, path: PortPath) -> Source {
        Source::Im871a {
            path,
            wanted: self.link_mode,
            timing: Timing::default(),
            resets: Arc::default(),
        }
    }

    pub(super) fn contradictions(&self, keys: &Keys, mistakes: &mut Vec<Mistake>) {
        let needs = match self.source {
            SourceKind::Im871a => return,
            SourceKind::Fifo => Some("source = \"fifo\" needs the path of the FIFO"),
            SourceKind::File => Some("source = \"file\" needs the path of the file"),
            SourceKind::Stdin => None,
        };
        match needs {
            Some(what) if self.path == Path::new(AUTO) && !keys.refused("path") => {
                mistakes.push(keys.mistake("path", what));
            }
            None if keys.has("path") => {
                mistakes.push(keys.mistake("path", "source = \"stdin\" has no path"));
            }
            _ => {}
        }
        if keys.has("link_mode") && self.source != SourceKind::Fifo {
            mistakes.push(keys.mistake("link_mode", "only source = \"im871a\" has a link mode"));
        }
    }
}

/// `[mqtt]`: the broker, and who may command the gateway through it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// Where the broker is: `mqtt://HOST[:PORT]`, port 1883 unless given, or `mqtts://HOST[:PORT]` for TLS, port 8883 unless given.
    /// Default: `mqtt://localhost:1883`.
    #[serde(default, deserialize_with = "from_text")]
    pub url: BrokerUrl,
    /// The user name. Default: none.
    #[serde(default)]
    pub username: Option<String>,
    /// The password. Default: none. After loading the settings it is the one in force, wherever it came from.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password and nothing else. Default: none.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The certificates, PEM, of those who may vouch for the broker's. Default: those that the system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate, PEM, for brokers that want one. Default: none.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    /// The private key of that certificate, PEM. Default: it is in the same file.
    #[serde(default)]
    pub private_key_file: Option<PathBuf>,
    /// After so much silence the connection is tested. Seconds, 5 to 3600. Default: 30.
    #[serde(default = "keep_alive")]
    pub keep_alive: KeepAlive,
    /// The status is published at least so often, beside whenever it changes. Seconds, 10 to 3600. Default: 60.
    #[serde(default = "status_interval")]
    pub status_interval: Bounded<10, 3600>,
    /// With it, only a STOP message with this payload stops the gateway. Default: none, any STOP message does. After loading the settings
    /// it is the one in force, wherever it came from.
    #[serde(default)]
    pub stop_token: Option<Secret>,
    /// A file that holds the stop token and nothing else. Default: none.
    #[serde(default)]
    pub stop_token_file: Option<PathBuf>,
    /// The largest set message that is read; larger ones are answered and change nothing. Bytes, 1000 to 67108864. Default: 4194304.
    #[serde(default = "set_max_bytes")]
    pub set_max_bytes: Bounded<1000, 67_108_864>,
    /// The most entries that a set message may have; one with more is answered and changes nothing. Meters, 1 to 100000. Default: 10000.
    #[serde(default = "set_max_meters")]
    pub set_max_meters: Bounded<1, 100_000>,
    /// So many set messages are applied at once after a quiet time. Messages, 1 to 1000. Default: 10.
    #[serde(default = "set_burst")]
    pub set_burst: Bounded<1, 1000>,
    /// After so long one more set message is applied; of those that wait meanwhile only the latest is. Seconds, 1 to 3600. Default: 1.
    #[serde(default = "set_interval")]
    pub set_interval: Bounded<1, 3600>,
}

impl Mqtt {
    /// How large a set message may be.
    pub fn set_limits(&self) -> set_message::Limits {
        // Both numbers fit 32 bits.
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        set_message::Limits {
            bytes: size(self.set_max_bytes.number()),
            meters: size(self.set_max_meters.number()),
        }
    }

    /// How often set messages may come.
    pub fn set_pace(&self) -> Pace {
        Pace {
            burst: u32::try_from(self.set_burst.number()).unwrap_or(u32::MAX),
            interval: self.set_interval.seconds(),
        }
    }

    /// The same in the words of the MQTT session.
    pub fn broker(&self) -> Broker {
        Broker {
            username: self.username.clone(),
            password: self.password.clone(),
            tls: Tls {
                ca_file: self.ca_file.clone(),
                certificate_file: self.certificate_file.clone(),
                private_key_file: self.private_key_file.clone(),
            },
            keep_alive: self.keep_alive.seconds(),
            ..Broker::at(self.url.clone())
        }
    }

    pub(super) fn contradictions(&self, keys: &Keys, mistakes: &mut Vec<Mistake>) {
        for secret in ["password", "stop_token"] {
            let file = format!("{secret}_file");
            if keys.has(secret) && keys.has(&file) {
                mistakes.push(keys.mistake(
                    &file,
                    format!("{secret} is given too: only one of the two can be"),
                ));
            }
        }
        for (key, file) in [
            ("ca_file", &self.ca_file),
            ("certificate_file", &self.certificate_file),
            ("private_key_file", &self.private_key_file),
        ] {
            let Some(file) = file else { continue };
            if !self.url.is_tls() && !keys.refused("url") {
                mistakes.push(keys.mistake(
                    key,
                    format!("{} is not encrypted: it needs mqtts://", self.url),
                ));
            }
            if let Err(error) = std::fs::File::open(file) {
                mistakes.push(keys.mistake(key, format!("cannot be read: {error}")));
            }
        }
        if keys.has("private_key_file") && !keys.has("certificate_file") {
            mistakes.push(keys.mistake(
                "private_key_file",
                "there is no certificate_file that it belongs to",
            ));
        }
        if self.username.as_deref() == Some("") {
            mistakes.push(keys.mistake("username", "is empty"));
        }
    }

    /// Puts the secrets from the environment, credentials and files in place.
    pub(super) fn find_secrets(
        &mut self,
        keys: &Keys,
        environment: &Environment,
        mistakes: &mut Vec<Mistake>,
    ) {
        for (name, secret, file) in [
            ("password", &mut self.password, &self.password_file),
            ("stop_token", &mut self.stop_token, &self.stop_token_file),
        ] {
            match secrets::find("mqtt", name, file.as_deref(), environment) {
                Ok(None) => {}
                Ok(found) => *secret = found,
                Err(what) => mistakes.push(keys.mistake(&format!("{name}_file"), what)),
            }
        }
        if self.password.is_some() && !keys.has("username") {
            mistakes.push(keys.mistake("username", "is missing: MQTT has no password without one"));
        }
    }
}

/// `[outbox]`: how surely and how long readings are kept that the broker has not acknowledged.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// A power cut costs at most what was received in this time; with 0 every reading is on disk for certain before it is sent. Seconds, 0
    /// to 3600. Default: 5.
    #[serde(default = "sync_interval")]
    pub sync_interval: Bounded<0, 3600>,
    /// The database may be so large; beyond it the oldest readings go, counted and reported. MiB, 1 to 65,536. Default: 256, which is
    /// about a million readings.
    #[serde(default = "max_size")]
    pub max_size: Bounded<1, 65_536>,
    /// Readings older than this go, counted and reported. Days, 1 to 3650. Default: none, they are kept as long as there is room.
    #[serde(default)]
    pub max_age: Option<Bounded<1, 3650>>,
    /// What becomes of readings that came while the clock was not right, if the system was started anew before it was. Default: `estimate`.
    #[serde(default)]
    pub undated: Undated,
}

/// What becomes of a reading whose time was never known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undated {
    /// It goes out after all others, with a time that is estimated, and marked so.
    #[default]
    Estimate,
    /// It is dropped and counted.
    Drop,
}

impl Outbox {
    /// The same in the words of the store.
    pub fn limits(&self) -> Limits {
        Limits {
            sync_interval: self.sync_interval.seconds(),
            bytes: self.max_size.number() << 20,
            max_age: self
                .max_age
                .map(|days| Duration::from_secs(days.number() * 86_400)),
            undated: match self.undated {
                Undated::Estimate => disk::Undated::Estimate,
                Undated::Drop => disk::Undated::Drop,
            },
            ..Limits::default()
        }
    }
}

/// `[page]`: the local page, the metrics and the health check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Whether they are there. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The address and port at which they are. They are read-only and hold no secrets, but whoever reaches them sees all readings.
    /// Default: `127.0.0.1:9480`, which only this machine reaches.
    #[serde(default, deserialize_with = "from_text")]
    pub listen: Listen,
    /// So long the meters' history is kept for the plots; with 0 there is none. Days, 0 to 3650. Default: 31.
    #[serde(default = "history_days")]
    pub history_days: Bounded<0, 3650>,
}

impl Page {
    /// How much history is kept. Without a page nobody looks at it.
    pub fn history(&self) -> Option<HistoryLimits> {
        let days = u32::try_from(self.history_days.number()).ok()?;
        (self.enabled && days > 0).then_some(HistoryLimits::days(days))
    }
}

/// `[profiles]`: what is known of types of meters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// A directory whose profiles add to the embedded ones or take their places, also when they change while the gateway runs. A path.
    /// Default: none.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

/// `[log]`: what is logged, and where to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least important messages that are logged: `error`, `warning`, `info` or `debug`. Default: `info`.
    #[serde(default)]
    pub level: Level,
    /// Whether all of them go to the system's log; errors always do. Default: `true`.
    #[serde(default = "yes")]
    pub syslog: bool,
    /// A socket that takes messages after RFC 5424, in place of the system's own: the journal's, or `/dev/log` where there is no journal.
    /// Default: none.
    #[serde(default)]
    pub syslog_socket: Option<PathBuf>,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something does not work and needs somebody.
    Error,
    /// Something was lost, refused or restarted; the gateway goes on.
    Warning,
    /// What the gateway does, in large steps.
    #[default]
    Info,
    /// What the gateway does, in small steps.
    Debug,
}

/// The dongle is to be found.
const AUTO: &str = "auto";

fn state_dir() -> PathBuf {
    PathBuf::from("/var/lib/omnigate")
}

fn auto() -> PathBuf {
    PathBuf::from(AUTO)
}

const fn c1a() -> Wanted {
    Wanted::Mode(LinkMode::C1a)
}

/// Seconds.
pub type KeepAlive = Bounded<5, 3600>;

const fn keep_alive() -> KeepAlive {
    KeepAlive::constant::<30>()
}

const fn set_max_bytes() -> Bounded<1000, 67_108_864> {
    Bounded::constant::<4_194_304>()
}

const fn set_max_meters() -> Bounded<1, 100_000> {
    Bounded::constant::<10_000>()
}

const fn set_burst() -> Bounded<1, 1000> {
    Bounded::constant::<10>()
}

const fn set_interval() -> Bounded<1, 3600> {
    Bounded::constant::<1>()
}

const fn sync_interval() -> Bounded<0, 3600> {
    Bounded::constant::<5>()
}

const fn max_size() -> Bounded<1, 65_536> {
    Bounded::constant::<256>()
}

const fn status_interval() -> Bounded<10, 3600> {
    Bounded::constant::<60>()
}

const fn history_days() -> Bounded<0, 3650> {
    Bounded::constant::<31>()
}

const fn yes() -> bool {
    true
}
