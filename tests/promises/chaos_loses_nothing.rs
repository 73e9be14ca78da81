//! Chaos: whatever happens to the network, the broker and the gateway itself, what was heard arrives.
//!
//! Meters whose energy rises with every telegram send to the real program through a FIFO, while the broker is killed and restarted, a proxy
//! before it refuses, hangs, cuts packets in their middle and is slow, and the gateway is killed with SIGKILL at random moments. At the end
//! the subscriber has, with its own time stamp, in order per meter, at least once:
//!
//! * every telegram that a gateway was fed more than one second before a kill, and another one for threads that wait for a processor;
//! * every reading that was in the outbox at a kill.
//!
//! `OMNIGATE_CHAOS_ROUNDS` says how often the gateway is killed, 30 times unless it does; a thousand take about three quarters of an hour:
//!
//!     OMNIGATE_CHAOS_ROUNDS=1000 cargo test --locked --features fault-injection --test promises chaos -- --nocapture
//!
//! `OMNIGATE_CHAOS_SEED` repeats the decisions of another run, which prints its seed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use omnigate::simulate::VirtualMeter;

use crate::support::broker::Broker;
use crate::support::database::Copy;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::network::Network;
use crate::support::random::Random;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{KEY, set_message_of};
use crate::support::{DEADLINE, from_environment};

#[test]
fn what_was_heard_arrives() {
    let seed = from_environment("OMNIGATE_CHAOS_SEED").unwrap_or_else(Random::seed);
    let rounds = from_environment("OMNIGATE_CHAOS_ROUNDS").unwrap_or(30);
    eprintln!("chaos: OMNIGATE_CHAOS_SEED={seed} OMNIGATE_CHAOS_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    let broker = Broker::start();
    let network = Arc::new(Network::to(broker.port()));
    let subscriber = Arc::new(Subscriber::connect(&broker));
    let start = || {
        Options::fifo_at(&network.url(), fifo.to_str().unwrap())
            .state_dir(folder.path())
            // Only a power cut needs more, and a disk that is slow at it delays what comes next.
            .outbox("sync_interval = 3600")
            .start()
    };
    let mut gateway = start();
    tell_the_meters(&gateway, &subscriber);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));

    let stalls = Stalls::watch();
    let feeder = Feeder::start(&fifo, Random::new(random.next()));
    let trouble = Trouble::start(broker, &network, &subscriber, Random::new(random.next()));
    let (mut lives, mut kept) = (Vec::new(), BTreeSet::new());
    for _ in 0..rounds {
        let mut gateway = start();
        thread::sleep(random.duration(100..4800));
        lives.push(Life::end(&mut gateway));
        kept.extend(outbox(folder.path()));
        // Sometimes it stays away for a while.
        if random.below(4) == 0 {
            thread::sleep(random.duration(0..500));
        }
    }
    let (_broker, trouble) = trouble.end();
    let mut gateway = start();
    gateway.wait_for_output(OPENED);
    gateway.wait_for_output(KNEW);
    let last_listens = Timestamp::now();
    thread::sleep(Duration::from_secs(1));
    let fed = feeder.end();

    let verdict = Verdict {
        due: due(&fed, &lives, last_listens, &stalls),
        kept,
        fed,
        lives,
    };
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline && !verdict.missing(&delivered(&subscriber)).is_empty() {
        thread::sleep(Duration::from_millis(200));
    }
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    // What it sent at its end is there before this.
    subscriber.catch_up();
    eprintln!("chaos: {}", verdict.check(&delivered(&subscriber)));
    eprintln!("chaos: around it {trouble:?}");
}

/// One telegram's reading: whose, and the energy, in units of 10 Wh, which no two telegrams of a meter share.
type What = (String, u64);

/// A telegram that was fed, and when: not before, and not after.
struct Fed {
    what: What,
    from: Timestamp,
    to: Timestamp,
}

/// One run of the program.
#[derive(Debug)]
struct Life {
    /// Since when what is in the FIFO is its own, if it came to saying so.
    listens: Option<Timestamp>,
    /// Since when it read it.
    reads: Option<Timestamp>,
    /// When it was killed: not before, and not after.
    from: Timestamp,
    to: Timestamp,
}

impl Life {
    fn end(gateway: &mut Gateway) -> Self {
        let from = Timestamp::now();
        gateway.kill();
        let to = Timestamp::now();
        let output = gateway.output();
        let said = |what: &str| -> Option<Timestamp> {
            let line = output.lines().find(|line| line.contains(what))?;
            Some(line.split(' ').next()?.parse().unwrap())
        };
        let opened = said(OPENED);
        let knew = said(KNEW);
        Self {
            listens: opened,
            reads: opened.zip(knew).map(|(opened, knew)| opened.max(knew)),
            from,
            to,
        }
    }
}

/// The telegrams that were fed more than [`IN_TIME`] before the life that read them was killed, and that life; of the last one, which was
/// not killed, all. What comes before a life knows its meters waits in the FIFO, and its time begins then. Nobody owes what was fed while no
/// gateway had the FIFO: it keeps no telegrams for later. The time is longer where the machine itself stood still.
fn due(
    fed: &[Fed],
    lives: &[Life],
    last_listens: Timestamp,
    stalls: &Stalls,
) -> BTreeMap<What, Option<usize>> {
    let mut due = BTreeMap::new();
    for fed in fed {
        let life = lives.iter().position(|life| life.to > fed.to);
        let (life, listens) = match life {
            Some(number) => (Some(number), lives[number].listens),
            None => (None, Some(last_listens)),
        };
        if listens.is_none_or(|listens| fed.from < listens) {
            continue;
        }
        let in_time = life.is_none_or(|number| {
            let Some(reads) = lives[number].reads else {
                return false;
            };
            let read = fed.to.max(reads);
            let killed = lives[number].from.max(read);
            let time = IN_TIME + stalls.between(read, killed);
            killed.duration_since(read) > SignedDuration::try_from(time).unwrap()
        });
        if in_time {
            due.insert(fed.what.clone(), life);
        }
    }
    due
}

/// What the outbox of a killed gateway holds.
fn outbox(state_dir: &Path) -> Vec<What> {
    let Some(database) = Copy::of(state_dir) else {
        return Vec::new();
    };
    let mut rows = database
        .connection
        .prepare("SELECT device_id, body FROM reading")
        .unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)));
    rows.unwrap()
        .map(|row| {
            let (meter, body) = row.unwrap();
            // The cloud's part of the row begins with channel 1, which is A+.
            let body = String::from_utf8_lossy(&body);
            let (_, behind) = body.split_once("1\t\"accumulated-power\"\t").unwrap();
            let value = behind.lines().next().unwrap();
            (meter, energy(value.parse().unwrap()))
        })
        .collect()
}

/// Every reading that the subscriber has, as often as it came, in the order in which it came, with its time stamp.
fn delivered(subscriber: &Subscriber) -> Vec<(What, Timestamp)> {
    let all = subscriber.all();
    all.iter()
        .filter_map(|message| {
            let meter = message.topic.strip_prefix(&format!("v2/{GATEWAY}/kam-"))?;
            let meter = meter.strip_suffix("/data")?;
            let data = message.json();
            let value = data["value"]
                .as_f64()
                .filter(|_| data["channelNumber"] == 1)?;
            let stamp = data["timestamp"].as_str().unwrap().parse().unwrap();
            Some(((meter.to_owned(), energy(value)), stamp))
        })
        .collect()
}

/// kWh in units of 10 Wh.
fn energy(kilowatt_hours: f64) -> u64 {
    (kilowatt_hours * 100.0).round() as u64
}

struct Verdict {
    fed: Vec<Fed>,
    lives: Vec<Life>,
    /// What has to arrive because it was fed in time, and which life read it.
    due: BTreeMap<What, Option<usize>>,
    /// What has to arrive because it was in the outbox.
    kept: BTreeSet<What>,
}

impl Verdict {
    /// What is owed and did not arrive, with what is known of it.
    fn missing(&self, delivered: &[(What, Timestamp)]) -> Vec<String> {
        let arrived: HashSet<_> = delivered.iter().map(|(what, _)| what).collect();
        let missing = self.fed.iter().filter(|fed| !arrived.contains(&fed.what));
        missing
            .filter_map(|Fed { what, to, .. }| match self.due.get(what) {
                _ if self.kept.contains(what) => {
                    Some(format!("{what:?}, fed at {to}, was in the outbox"))
                }
                Some(Some(life)) => Some(format!(
                    "{what:?}, fed at {to}, was read by {:?}",
                    self.lives[*life]
                )),
                Some(None) => Some(format!("{what:?}, fed at {to}, was read by the last life")),
                None => None,
            })
            .collect()
    }

    /// Judges what the subscriber has; the figures in words.
    fn check(&self, delivered: &[(What, Timestamp)]) -> String {
        let mut first: HashMap<What, Timestamp> = HashMap::new();
        let mut last_of: HashMap<&str, u64> = HashMap::new();
        for (what, stamp) in delivered {
            if let Some(before) = first.insert(what.clone(), *stamp) {
                assert_eq!(*stamp, before, "{what:?} has two times");
                continue;
            }
            let last = last_of.insert(&what.0, what.1).unwrap_or_default();
            assert!(
                last < what.1,
                "{what:?} came for the first time after {last}"
            );
        }
        let missing = self.missing(delivered);
        assert!(
            missing.is_empty(),
            "{} are missing: {missing:#?}",
            missing.len()
        );
        let mut lost = 0;
        for fed in &self.fed {
            let Some(stamp) = first.get(&fed.what) else {
                lost += 1;
                continue;
            };
            assert!(
                stamp.as_second() >= fed.from.as_second(),
                "{:?} is of {stamp}, but was fed at {}",
                fed.what,
                fed.from
            );
            // When it is known which life has read it, that was before its end, however much later it was sent.
            let read_until = match self.due.get(&fed.what) {
                Some(Some(life)) => self.lives[*life].to,
                _ => Timestamp::now(),
            };
            assert!(
                *stamp <= read_until,
                "{:?} is of {stamp}, but was read before {read_until}",
                fed.what
            );
        }
        let known: HashSet<_> = self.fed.iter().map(|fed| &fed.what).collect();
        assert!(
            first.keys().all(|what| known.contains(what)),
            "a reading that nobody sent"
        );
        // Otherwise this test shows nothing.
        assert!(self.due.len() > self.fed.len() / 20 && !self.kept.is_empty());
        format!(
            "{} kills; {} telegrams fed, {} of them owed, {} seen in the outbox at a kill; {} arrived, with {} repeats, {} were fed to nobody or \
             lost right before a kill",
            self.lives.len(),
            self.fed.len(),
            self.due.len(),
            self.kept.len(),
            first.len(),
            delivered.len() - first.len(),
            lost
        )
    }
}

/// Meters on the air.
struct Feeder {
    thread: JoinHandle<Vec<Fed>>,
    stop: Arc<AtomicBool>,
}

impl Feeder {
    fn start(fifo: &Path, mut random: Random) -> Self {
        // For reading too, so that it can be written when nobody else has it.
        let mut fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .open(fifo)
            .unwrap();
        let stop: Arc<AtomicBool> = Arc::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut fed = Vec::new();
            let now = Timestamp::now();
            let mut meters: Vec<_> = (0..METERS)
                .map(|number| {
                    let id = meter(number);
                    let of =
                        VirtualMeter::new(id.parse().unwrap(), KEY.parse().unwrap(), INTERVAL, now);
                    (id, of)
                })
                .collect();
            for turn in (0..METERS).cycle() {
                if stopped.load(SeqCst) {
                    break;
                }
                let (id, meter) = &mut meters[turn];
                let telegram = meter.telegram(Timestamp::now()).unwrap();
                let line: String = telegram.iter().map(|byte| format!("{byte:02x}")).collect();
                let what = (id.clone(), u64::from(meter.registers().energy_drawn));
                let from = Timestamp::now();
                // Short lines are written whole.
                fifo.write_all(format!("{line}\n").as_bytes()).unwrap();
                let to = Timestamp::now();
                fed.push(Fed { what, from, to });
                // About every 20 ms, so that each meter sends about every four seconds.
                thread::sleep(random.duration(0..40));
            }
            fed
        });
        Self { thread, stop }
    }

    fn end(self) -> Vec<Fed> {
        self.stop.store(true, SeqCst);
        self.thread.join().unwrap()
    }
}

/// What goes wrong around the gateway, one thing after the other.
struct Trouble {
    thread: JoinHandle<(Broker, BTreeMap<&'static str, u32>)>,
    stop: Arc<AtomicBool>,
}

impl Trouble {
    fn start(
        mut broker: Broker,
        network: &Arc<Network>,
        subscriber: &Arc<Subscriber>,
        mut random: Random,
    ) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let (stopped, network) = (Arc::clone(&stop), Arc::clone(network));
        let subscriber = Arc::clone(subscriber);
        let thread = thread::spawn(move || {
            let mut count = BTreeMap::new();
            while !stopped.load(SeqCst) {
                thread::sleep(random.duration(200..1500));
                let what = match random.below(5) {
                    0 => {
                        network.refuse(true);
                        network.cut();
                        thread::sleep(random.duration(100..1000));
                        network.refuse(false);
                        "refused"
                    }
                    1 => {
                        network.stall(true);
                        thread::sleep(random.duration(100..2000));
                        network.stall(false);
                        "hung"
                    }
                    2 => {
                        network.cut_after(random.below(3000) as usize);
                        "cut in a packet"
                    }
                    3 => {
                        network.delay(random.duration(1..100));
                        thread::sleep(random.duration(100..1000));
                        network.delay(Duration::ZERO);
                        "delayed"
                    }
                    _ => {
                        restart(&mut broker, &network, &subscriber, &mut random);
                        "broker killed"
                    }
                };
                *count.entry(what).or_default() += 1;
            }
            (broker, count)
        });
        Self { thread, stop }
    }

    /// The broker, and what happened how often.
    fn end(self) -> (Broker, BTreeMap<&'static str, u32>) {
        self.stop.store(true, SeqCst);
        self.thread.join().unwrap()
    }
}

/// Kills the broker, when the gateway has no acknowledgement of what the subscriber has not: that nobody could save. Its acknowledgements
/// are held back until the subscriber has everything. And the gateway is let in again when the subscriber is there to hear it.
fn restart(broker: &mut Broker, network: &Network, subscriber: &Subscriber, random: &mut Random) {
    network.mute(true);
    network.refuse(true);
    subscriber.catch_up();
    broker.kill();
    network.cut();
    thread::sleep(random.duration(0..1000));
    broker.resume();
    subscriber.catch_up();
    network.mute(false);
    network.refuse(false);
}

/// Watches how long the machine gives this process no time to run.
struct Stalls {
    /// How long that was in all, up to when.
    seen: Arc<Mutex<Vec<(Timestamp, Duration)>>>,
}

impl Stalls {
    fn watch() -> Self {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let (weak, step) = (Arc::downgrade(&seen), Duration::from_millis(10));
        thread::spawn(move || {
            let mut total = Duration::ZERO;
            loop {
                let start = Instant::now();
                thread::sleep(step);
                total += start.elapsed().saturating_sub(step);
                let Some(seen) = weak.upgrade() else { break };
                seen.lock().unwrap().push((Timestamp::now(), total));
            }
        });
        Self { seen }
    }

    /// How much of this time it was.
    fn between(&self, from: Timestamp, to: Timestamp) -> Duration {
        let seen = self.seen.lock().unwrap();
        let total = |until: Timestamp| {
            let before = seen.partition_point(|(at, _)| *at <= until);
            before
                .checked_sub(1)
                .map_or(Duration::ZERO, |last| seen[last].1)
        };
        total(to) - total(from)
    }
}

/// The set message, until the gateway has stored it.
fn tell_the_meters(gateway: &Gateway, subscriber: &Subscriber) {
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message_of((0..METERS).map(meter)));
    let result = subscriber.wait_on(&format!("{set}/result"), 1)[0].json();
    assert_eq!(result["accepted"], METERS);
    let last = format!("v2/{GATEWAY}/kam-{}/config", meter(METERS - 1));
    subscriber.wait_on(&last, 1);
}

/// The serial number of one of the meters.
fn meter(number: usize) -> String {
    (32_666_857 + number).to_string()
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// The FIFO is the gateway's when it has said the first, and it reads telegrams when it has said both.
const OPENED: &str = "FIFO opened";
const KNEW: &str = "the meters of the last run are monitored";

/// The gateway's own second, and one in which its threads may have to wait for a processor beside other tests.
const IN_TIME: Duration = Duration::from_secs(2);

/// So many that each may send every four seconds, as its session numbers allow, and there are still many telegrams.
const METERS: usize = 200;
const INTERVAL: Duration = Duration::from_secs(4);
