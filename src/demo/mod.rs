//! `omnigate demo`: the whole way of a reading in one program. A virtual iM871A on a pseudo-terminal hears virtual OmniPower meters, the
//! gateway runs as it does in the field, and a subscriber at an embedded broker shows every message that is published.

mod broker;
mod view;

use std::fs::{DirBuilder, remove_dir_all};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use omnigate_actors::output::recalc::Topics;
use paho_mqtt::{Client, ConnectOptionsBuilder, CreateOptionsBuilder, Message, QoS, SyncReceiver};
use serde_json::json;
use wmbus::Address;

pub use self::view::Style;
use self::view::View;
use crate::exit::Exit;
use crate::logging::Logging;
use crate::settings::sections::Level;
use crate::settings::{Environment, Settings};
use crate::simulate::{self, EXAMPLE_KEY, Meters, Simulation};
use crate::terminal;
use crate::wiring;

/// What the demo is to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long; until it is interrupted if not given.
    pub length: Option<Duration>,
    /// How many virtual meters.
    pub meters: usize,
    /// How often each of them sends.
    pub interval: Duration,
    /// How messages are shown; `None`: with colours in a terminal.
    pub style: Option<Style>,
    /// Whether it says on standard error what the gateway does.
    pub level: Level,
}

/// Runs the demo until its time is over, or SIGINT or SIGTERM comes, or nobody reads its output any more.
///
/// # Errors
/// The system refuses something that the demo needs: a pseudo-terminal, a port, a folder for temporary files.
pub fn demo(options: Options) -> io::Result<Exit> {
    let state_dir = StateDir::new()?;
    let port = broker::start()?;
    let simulation = Simulation::start(&simulate::Options {
        meters: Meters::Examples(Meters::example_ids(options.meters)),
        interval: options.interval,
        ..simulate::Options::default()
    })
    .map_err(io::Error::other)?;
    let settings = settings(port, simulation.path(), &state_dir.0)?;
    let topics = settings.gateway.id.topics();
    introduce(port, &simulation, topics, options)?;

    let (client, messages) = connect(port, topics).map_err(io::Error::other)?;
    let over = Arc::new(AtomicBool::new(false));
    let audience = Audience {
        view: View::new(
            topics.gateway_id(),
            options.style.unwrap_or_else(style_of_terminal),
        ),
        set: Message::new(
            topics.set(),
            set_message(simulation.meters()),
            QoS::AtLeastOnce,
        ),
        stop: Message::new(topics.stop(), "", QoS::AtLeastOnce),
        topics: topics.clone(),
        client,
        ends: options.length.map(|length| Instant::now() + length),
        over: Arc::clone(&over),
    };
    let audience = thread::Builder::new()
        .name("demo-view".to_owned())
        .spawn(move || audience.watch(&messages))?;

    let logging = Logging::for_terminal(options.level);
    let exit = wiring::run(&settings, None, &logging);
    over.store(true, Ordering::Relaxed);
    // If it panicked it has said so.
    let _ = audience.join();
    exit
}

/// The subscriber.
struct Audience {
    view: View,
    topics: Topics,
    client: Client,
    /// What the cloud would send.
    set: Message,
    stop: Message,
    /// When the demo's time is over.
    ends: Option<Instant>,
    /// The gateway has ended.
    over: Arc<AtomicBool>,
}

impl Audience {
    /// Shows what comes, plays the cloud, and ends the gateway when its time is over.
    fn watch(mut self, messages: &SyncReceiver<Option<Message>>) {
        let (mut online, mut answered) = (false, false);
        let (mut asked_at, mut stopped_at) = (None::<Instant>, None::<Instant>);
        loop {
            match messages.recv_timeout(TICK) {
                Ok(Some(message)) => {
                    online |= message.topic() == self.topics.status();
                    answered |= message.topic() == self.topics.set_result();
                    let line = self
                        .view
                        .show(Timestamp::now(), message.topic(), message.payload());
                    if writeln!(io::stdout(), "{line}").is_err() {
                        // Nobody reads on.
                        self.ends = Some(Instant::now());
                    }
                }
                // The last messages have been shown.
                Err(_) | Ok(None) if self.over.load(Ordering::Relaxed) => break,
                // Connection lost; the broker is in this program, so the end is near.
                Ok(None) => thread::sleep(TICK),
                Err(_) => {}
            }
            // The gateway subscribes with a connection of its own, perhaps later than it says that it is online.
            if online && !answered && asked_at.is_none_or(|asked_at| asked_at.elapsed() > ASK_AGAIN)
            {
                asked_at = Some(Instant::now());
                self.send(&self.set);
            }
            if self.ends.is_some_and(|ends| Instant::now() >= ends)
                && stopped_at.is_none_or(|stopped_at| stopped_at.elapsed() > ASK_AGAIN)
            {
                stopped_at = Some(Instant::now());
                self.send(&self.stop);
            }
        }
        let _ = self.client.disconnect(None);
    }

    fn send(&self, message: &Message) {
        if let Err(error) = self.client.publish(message.clone()) {
            eprintln!(
                "omnigate: the demo cannot publish {}: {error}",
                message.topic()
            );
        }
    }
}

/// Says what there is to see.
fn introduce(
    port: u16,
    simulation: &Simulation,
    topics: &Topics,
    options: Options,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let meters = simulation.meters();
    writeln!(
        out,
        "omnigate {}, demo: the whole way of a reading, in one program. Ctrl-C ends it.",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "  meters   {} virtual OmniPower, each with an encrypted telegram every {:?}",
        meters.len(),
        options.interval
    )?;
    writeln!(
        out,
        "  dongle   a virtual iM871A at {}",
        simulation.path().display()
    )?;
    writeln!(
        out,
        "  broker   mqtt://127.0.0.1:{port}; to see the same from outside:"
    )?;
    writeln!(
        out,
        "           mosquitto_sub -p {port} -v -t 'v2/{}/#'",
        topics.gateway_id()
    )?;
    writeln!(
        out,
        "  below    every message at the broker: when it came, topic behind v2/{}/, content",
        topics.gateway_id()
    )?;
    writeln!(out)
}

fn connect(
    port: u16,
    topics: &Topics,
) -> paho_mqtt::Result<(Client, SyncReceiver<Option<Message>>)> {
    let creation = CreateOptionsBuilder::new()
        .server_uri(format!("tcp://127.0.0.1:{port}"))
        .client_id("omnigate-demo-cloud")
        .persistence(None)
        .finalize();
    let client = Client::new(creation)?;
    let messages = client.start_consuming();
    client.connect(ConnectOptionsBuilder::new().clean_session(true).finalize())?;
    client.subscribe(&format!("v2/{}/#", topics.gateway_id()), QoS::AtLeastOnce)?;
    Ok((client, messages))
}

/// Settings as an operator would write them.
fn settings(port: u16, dongle: &Path, state_dir: &Path) -> io::Result<Settings> {
    let quoted = |path: &Path| toml::Value::from(&*path.to_string_lossy()).to_string();
    let text = format!(
        "[gateway]\nid = \"demo\"\nstate_dir = {}\n[driver]\npath = {}\n[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n[page]\nenabled = false\n",
        quoted(state_dir),
        quoted(dongle)
    );
    Settings::parse(&text, &Environment::default()).map_err(|mistakes| {
        io::Error::other(
            mistakes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        )
    })
}

/// What the cloud sends to have these meters monitored.
fn set_message(meters: &[Address]) -> String {
    let entry = |meter: &Address| {
        json!({
            "deviceId": meter.identification.to_string(),
            "manufacturerKey": meter.manufacturer.to_string().to_lowercase(),
            "encryptionKey": EXAMPLE_KEY,
            "manufacturerDeviceKey": "OmniPower1",
        })
    };
    meters
        .iter()
        .map(entry)
        .collect::<serde_json::Value>()
        .to_string()
}

fn style_of_terminal() -> Style {
    if terminal::shows_colours() {
        Style::Coloured
    } else {
        Style::Plain
    }
}

/// A folder that nobody else can read, gone when the demo is over.
struct StateDir(PathBuf);

impl StateDir {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("omnigate-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let Err(error) = remove_dir_all(&self.0) {
            eprintln!("omnigate: {}: {error}", self.0.display());
        }
    }
}

const TICK: Duration = Duration::from_millis(100);
const ASK_AGAIN: Duration = Duration::from_secs(2);
