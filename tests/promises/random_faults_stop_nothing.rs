//! Whatever fails, and whenever, readings keep flowing and nothing grows: actors panic, fail and stop, the dongle is unplugged, deaf or
//! babbles, the broker is killed.
//!
//! Half a minute of it when run alone. An hour, with the failures that take the gateway longer to notice among them:
//!
//!     OMNIGATE_FAULTS_FOR=3600 cargo test --locked --workspace --features fault-injection --test promises random_faults -- --ignored --nocapture
//!
//! It prints its seed and what happens; `OMNIGATE_SEED` repeats a run as far as threads and clocks can be repeated.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

use omnigate::simulate::{Ailment, Cure, EXAMPLE_KEY, Meters, Options as Simulated, Simulation};

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::subscriber::Subscriber;

#[test]
#[ignore = "beside other tests it takes minutes; CI runs it alone"]
fn readings_keep_flowing_and_nothing_grows() {
    let seconds = variable("OMNIGATE_FAULTS_FOR").unwrap_or(30);
    let seed = variable("OMNIGATE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("OMNIGATE_SEED={seed}");
    let mut dice = Dice { seed, rolls: 0 };
    let length = Duration::from_secs(seconds);
    let mut trial = Trial::start(&mut dice, length);
    trial.wait_for_readings();

    let mut happenings = vec![Happening::Unplugged, Happening::BrokerKilled];
    happenings.push(Happening::Ill(Ailment::Babbles, Cure::Reset));
    if length > Duration::from_mins(5) {
        happenings.extend([
            Happening::Ill(Ailment::Deaf, Cure::Reset),
            Happening::Ill(Ailment::Deaf, Cure::Reopen),
            Happening::Ill(Ailment::HearsNothing, Cure::SetConfig),
            Happening::Reboots,
        ]);
    }
    // Each once, then by chance. After that everything that is ever needed is there.
    for happening in happenings.clone() {
        trial.survive(happening, &mut dice);
    }
    let before = trial.settled();
    while trial.began.elapsed() < length {
        trial.survive(dice.one_of(&happenings), &mut dice);
    }
    trial.assert_not_grown(before);
    trial.gateway.signal("TERM");
    assert_eq!(trial.gateway.wait().code(), Some(0));
}

/// What happens from outside. Actors fail meanwhile, as [`faults`] says.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Unplugged,
    Ill(Ailment, Cure),
    Reboots,
    BrokerKilled,
}

struct Trial {
    began: Instant,
    broker: Broker,
    subscriber: Subscriber,
    simulation: Simulation,
    gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Trial {
    fn start(dice: &mut Dice, length: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("dongle");
        let simulation = Simulation::start(&Simulated {
            meters: Meters::Examples(Meters::example_ids(METERS)),
            interval: Duration::from_secs(1),
            link: Some(link.clone()),
            ..Simulated::default()
        })
        .unwrap();
        let broker = Broker::start();
        let subscriber = Subscriber::connect(&broker);
        let gateway = Options::dongle(&broker, link.to_str().unwrap())
            .faults(&faults(dice, length))
            .start();
        gateway.wait_for_output("commands are heard");
        Self {
            began: Instant::now(),
            broker,
            subscriber,
            simulation,
            gateway,
            _folder: folder,
        }
    }

    /// It happens, and readings that were made after it arrive.
    fn survive(&mut self, happening: Happening, dice: &mut Dice) {
        println!("{:>7.1?} {happening:?}", self.began.elapsed());
        let dongle = self.simulation.dongle();
        match happening {
            Happening::Unplugged => {
                dongle.unplug();
                sleep(Duration::from_millis(dice.roll(10..2000)));
                dongle.plug_in().unwrap();
            }
            Happening::Ill(ailment, cure) => dongle.fall_ill(ailment, cure),
            Happening::Reboots => dongle.reboot(),
            Happening::BrokerKilled => {
                self.broker.kill();
                sleep(Duration::from_millis(dice.roll(10..2000)));
                self.broker.resume();
            }
        }
        self.wait_for_readings();
    }

    /// Of all meters, made from now on. A cloud that hears nothing sends its set of meters again.
    fn wait_for_readings(&mut self) {
        let now = jiff::Timestamp::now().as_second();
        let deadline = Instant::now() + PATIENCE;
        let mut asked = None::<Instant>;
        let mut heard = HashMap::new();
        while heard.len() < METERS {
            assert!(self.gateway.is_running(), "it ended");
            assert!(
                Instant::now() < deadline,
                "readings of {} meters only",
                heard.len()
            );
            if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
                self.subscriber
                    .try_publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
                asked = Some(Instant::now());
            }
            for message in self.subscriber.take() {
                if message.topic.ends_with("/data") {
                    let at = message.json()["timestamp"].as_str().unwrap().to_owned();
                    if at.parse::<jiff::Timestamp>().unwrap().as_second() > now {
                        heard.insert(message.topic, at);
                    }
                }
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// What the program takes when it has put away what a failure left behind.
    fn settled(&self) -> Taken {
        let mut least = Taken::by(self.gateway.id());
        for _ in 0..30 {
            sleep(Duration::from_millis(100));
            least = least.least(Taken::by(self.gateway.id()));
        }
        println!("{:>7.1?} takes {least:?}", self.began.elapsed());
        least
    }

    fn assert_not_grown(&self, before: Taken) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.settled();
            let grown = now.kilobytes > before.kilobytes + FREE_PLAY
                || now.descriptors > before.descriptors
                || now.threads > before.threads;
            if !grown {
                return;
            }
            assert!(Instant::now() < deadline, "it took {before:?}, now {now:?}");
        }
    }
}

/// What a process takes of the system.
#[derive(Debug, Clone, Copy)]
struct Taken {
    kilobytes: usize,
    descriptors: usize,
    threads: usize,
}

impl Taken {
    fn by(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            kilobytes: value("VmRSS:"),
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count(),
            threads: value("Threads:"),
        }
    }

    fn least(self, other: Self) -> Self {
        Self {
            kilobytes: self.kilobytes.min(other.kilobytes),
            descriptors: self.descriptors.min(other.descriptors),
            threads: self.threads.min(other.threads),
        }
    }
}

/// Which actors fail at which of their messages, in the language of `OMNIGATE_FAULTS`: about once a minute each, which is far from what
/// makes a supervisor give up.
fn faults(dice: &mut Dice, length: Duration) -> String {
    let telegrams = METERS as u64 * length.as_secs();
    let mut faults = Vec::new();
    for (actor, first, apart, messages) in [
        ("driver", 20..160, 300..700, telegrams),
        ("parser", 20..160, 300..700, telegrams),
        ("dispatcher", 20..160, 300..700, telegrams),
        ("meter_handler", 10..80, 100..300, telegrams),
        ("publisher", 20..160, 300..700, telegrams),
        ("publisher.event", 20..160, 300..700, telegrams),
        ("commander", 2..4, 5..15, telegrams / 80),
        ("meters", 2..4, 5..15, telegrams / 80),
    ] {
        let mut at = dice.roll(first);
        while at <= messages.max(160) {
            let kind = dice.one_of(&["panic", "panic", "error", "stop"]);
            faults.push(format!("{actor}:{kind}:{at}"));
            at += dice.roll(apart.clone());
        }
    }
    faults.join(",")
}

fn set_message() -> String {
    let entries: Vec<_> = Meters::example_ids(METERS)
        .iter()
        .map(|id| {
            format!(
                r#"{{"deviceId": "{id}", "manufacturerKey": "kam", "encryptionKey": "{EXAMPLE_KEY}", "manufacturerDeviceKey": "OmniPower1"}}"#
            )
        })
        .collect();
    format!("[{}]", entries.join(","))
}

/// Chance that can be repeated.
struct Dice {
    seed: u64,
    rolls: u64,
}

impl Dice {
    fn roll(&mut self, range: Range<u64>) -> u64 {
        self.rolls += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.rolls).hash(&mut hasher);
        range.start + hasher.finish() % (range.end - range.start)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(0..of.len() as u64) as usize]
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

const METERS: usize = 8;

/// The slowest recovery takes 77 s; a busy machine longer.
const PATIENCE: Duration = Duration::from_mins(3);

/// By how much an allocator's memory goes up and down, in kB.
const FREE_PLAY: usize = 4096;
