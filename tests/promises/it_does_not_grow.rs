//! Soak: however long it runs, the gateway takes no more memory, descriptors, threads and disk at the end than after the first tenth, within
//! five per cent (the database, whose files grow in steps, ten), although actors are restarted and the broker goes away now and then.
//!
//! Some things take room once, and do so here within the first tenth. The first failure of an actor, and the first outage, bring further
//! pages of the program's own file into memory: code, and tables for unwinding, 1.2 MB in all. The database keeps the room that its longest
//! backlog took until it finds the time to give it back, and the allocator what the longest outage took. So the first outage is the longest,
//! and the database is compared with what it took at most within the first four tenths, at whose end there has been an outage beside failing
//! actors as well. There is no history: it fills for `history_days`, and the store's own tests hold it to its limit.
//!
//! It gets a million telegrams, which takes five minutes, or as many as `OMNIGATE_SOAK_TELEGRAMS` says:
//!
//!     OMNIGATE_SOAK_TELEGRAMS=10000000 cargo test --locked --workspace --features fault-injection --test promises it_does_not_grow -- --ignored --nocapture

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use omnigate::simulate::VirtualMeter;
use paho_mqtt as mqtt;

use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::from_environment;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{KEY, set_message_of};
use crate::support::wait_for;

#[test]
#[ignore = "takes minutes; CI runs it alone"]
fn in_memory_descriptors_threads_and_disk() {
    let telegrams = from_environment("OMNIGATE_SOAK_TELEGRAMS").unwrap_or(1_000_000) as usize;
    let broker = Broker::start();
    let door = Door::to(&broker);
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Options::behind(&door)
        .state_dir(folder.path())
        .faults(&faults(telegrams))
        .start();
    monitor(&gateway, &broker);
    let arrived = count_data(&broker);

    let mut meters = Meters::new();
    let start = Instant::now();
    let mut first = Use::default();
    let mut last = Use::default();
    let mut largest = 0;
    for tenth in 1..=10 {
        let outage = match tenth {
            1 => telegrams / 50,
            4 | 8 => telegrams / 100,
            _ => 0,
        };
        if outage > 0 {
            door.shut();
        }
        for number in 0..telegrams / 10 {
            if outage > 0 && number == outage {
                door.open();
            }
            gateway.feed([meters.next().as_str()]);
            if tenth == 1 && number % (telegrams / 100) == 0 {
                largest = largest.max(Use::of(&gateway, folder.path()).database_kib);
            }
        }
        // What an actor had in hand when it failed is lost.
        let owed = 4 * (telegrams / 10 * tenth - 2 * FAULTS.len()) as u64;
        while arrived.load(SeqCst) < owed {
            let before = arrived.load(SeqCst);
            wait_for("further readings", || {
                (arrived.load(SeqCst) > before).then_some(())
            });
        }
        last = Use::of(&gateway, folder.path());
        eprintln!(
            "soak: {} telegrams in {:.0?}: {last:?}",
            telegrams / 10 * tenth,
            start.elapsed()
        );
        if tenth == 1 {
            first = last;
        }
        if tenth <= 4 {
            largest = largest.max(last.database_kib);
        }
    }
    first.database_kib = largest;
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let output = gateway.output();
    for (actor, _) in FAULTS {
        let of_actor = |line: &&str| line.contains("restarting") && line.contains(actor);
        let restarts = output.lines().filter(of_actor).count();
        assert!(restarts >= 2, "{restarts} restarts of {actor}");
    }
    last.is_no_more_than(&first);
}

/// Each fault once within the first tenth and once later.
fn faults(telegrams: usize) -> String {
    let each = FAULTS.iter().enumerate().flat_map(|(number, fault)| {
        let first = telegrams / 100 * (number + 3);
        let second = telegrams / 10 * (number + 2) + telegrams / 20;
        [first, second].map(|at| format!("{}:{}:{at}", fault.0, fault.1))
    });
    each.collect::<Vec<_>>().join(",")
}

/// What the program takes of the machine.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    resident_kib: u64,
    descriptors: u64,
    threads: u64,
    database_kib: u64,
}

impl Use {
    fn of(gateway: &Gateway, state_dir: &Path) -> Self {
        let process = format!("/proc/{}", gateway.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let size = |name: &str| fs::metadata(state_dir.join(name)).map_or(0, |file| file.len());
        Self {
            resident_kib: number("VmRSS:"),
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count() as u64,
            threads: number("Threads:"),
            database_kib: (size("omnigate.db") + size("omnigate.db-wal")) / 1024,
        }
    }

    /// Within five per cent, the database within ten; of a few threads and descriptors, one or two may be on their way.
    fn is_no_more_than(&self, earlier: &Self) {
        for (what, now, then, percent) in [
            (
                "resident memory, KiB",
                self.resident_kib,
                earlier.resident_kib,
                5,
            ),
            ("descriptors", self.descriptors, earlier.descriptors, 5),
            ("threads", self.threads, earlier.threads, 5),
            ("database, KiB", self.database_kib, earlier.database_kib, 10),
        ] {
            let more = now.saturating_sub(then);
            assert!(
                more <= 2 || more * 100 <= then * percent,
                "{what}: {now}, and in the beginning {then}"
            );
        }
    }
}

/// Meters that take turns.
struct Meters {
    meters: Vec<VirtualMeter>,
    turn: usize,
    now: Timestamp,
}

impl Meters {
    fn new() -> Self {
        let now = Timestamp::now();
        let of = |number| {
            let interval = Duration::from_secs(16);
            VirtualMeter::new(
                meter(number).parse().unwrap(),
                KEY.parse().unwrap(),
                interval,
                now,
            )
        };
        Self {
            meters: (0..METERS).map(of).collect(),
            turn: 0,
            now,
        }
    }

    fn next(&mut self) -> String {
        self.turn = (self.turn + 1) % METERS;
        let telegram = self.meters[self.turn].telegram(self.now).unwrap();
        telegram.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn monitor(gateway: &Gateway, broker: &Broker) {
    gateway.wait_for_output("commands are heard");
    let subscriber = Subscriber::connect(broker);
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message_of((0..METERS).map(meter)));
    subscriber.wait_on(&format!("{set}/result"), 1);
}

/// Counts the data messages that arrive, and keeps none.
fn count_data(broker: &Broker) -> Arc<AtomicU64> {
    let client = mqtt::CreateOptionsBuilder::new()
        .server_uri(broker.url().replace("mqtt:", "tcp:"))
        .client_id("counter")
        .persistence(None)
        .create_client()
        .unwrap();
    let count: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&count);
    client.set_message_callback(move |_, message| {
        if message.is_some() {
            counted.fetch_add(1, SeqCst);
        }
    });
    client.connect(None).wait().unwrap();
    client
        .subscribe(format!("v2/{GATEWAY}/+/data"), 1)
        .wait()
        .unwrap();
    // It counts as long as the test runs.
    std::mem::forget(client);
    count
}

/// The serial number of one of the meters.
fn meter(number: usize) -> String {
    (32_666_857 + number).to_string()
}

const METERS: usize = 100;

/// Who fails, and how.
const FAULTS: [(&str, &str); 5] = [
    ("parser", "panic"),
    ("dispatcher", "error"),
    ("publisher", "panic"),
    ("meter_handler", "panic"),
    ("meter_handler", "stop"),
];
