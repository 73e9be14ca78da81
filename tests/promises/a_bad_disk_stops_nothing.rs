//! A disk that cannot be written or that has damaged the database is a state, loudly told: readings go on, and what was written before is
//! sent when it can be.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use omnigate::simulate::VirtualMeter;

use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Gateway, Options, wait_for_outbox};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, COMPACT_LATER, FULL_2_15, KEY, METER, set_message,
};
use crate::support::wait_for;

#[test]
fn read_only() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    leave_two_readings(&door, &subscriber, folder.path());

    writable(folder.path(), false);
    // Without this, root writes all the same.
    let without_privileges = "if [ \"$(id -u)\" = 0 ]; then set -- --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"; exec setpriv \"$@\"; fi";
    let mut gateway = Options::behind(&door)
        .state_dir(folder.path())
        .in_shell(without_privileges)
        .start();
    gateway.wait_for_output(FAILING);
    // Of meters that only the disk knew.
    gateway.feed([FULL_2_15]);
    assert_eq!(energies(&subscriber, 1), ["2.15"]);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);

    // What was there is there.
    writable(folder.path(), true);
    let mut gateway = Options::behind(&door).state_dir(folder.path()).start();
    assert_eq!(energies(&subscriber, 3), ["2.15", "2.06", "2.15"]);
    gateway.feed([COMPACT_LATER]);
    subscriber.wait_on(&data(), 4 * 4);
    assert!(!gateway.output().contains(FAILING));
}

#[test]
fn damaged() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    leave_two_readings(&door, &subscriber, folder.path());

    let database = folder.path().join("omnigate.db");
    let mut content = fs::read(&database).unwrap();
    content[..100].fill(0x5A);
    fs::write(&database, &content).unwrap();
    let mut gateway = Options::behind(&door).state_dir(folder.path()).start();
    gateway.wait_for_output("the damaged database was moved aside and a new one begun");
    monitor(&gateway, &subscriber);
    gateway.feed([FULL_2_15]);
    wait_for("the reading", || {
        let all = energies(&subscriber, 1);
        (all.last()? == "2.15").then_some(())
    });
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let aside = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("omnigate.db.damaged-"))
        .unwrap();
    assert_eq!(fs::read(&aside).unwrap(), content);
    // It holds keys.
    let mode = fs::metadata(&aside).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn full() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let mut site = SmallDisk::start(&door, &subscriber);
    door.shut();
    subscriber.wait_for_state(GATEWAY, "offline");
    site.fill();
    let before = site.feed_until_full();
    // These are nowhere but in memory.
    site.feed(20);
    door.open();
    assert_eq!(registers(&subscriber, before + 20), site.fed);

    site.free();
    site.gateway.wait_for_output("the database works again");
    site.feed(1);
    assert_eq!(registers(&subscriber, before + 21), site.fed);
    wait_for_outbox(&site.disk, 0);
    site.gateway.signal("TERM");
    assert_eq!(site.gateway.wait().code(), Some(0));
    site.gateway.wait_for_output("all readings are delivered");
}

#[test]
fn full_at_the_end_without_a_broker() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let mut site = SmallDisk::start(&door, &subscriber);
    door.shut();
    subscriber.wait_for_state(GATEWAY, "offline");
    site.fill();
    site.feed_until_full();
    site.gateway.signal("TERM");
    assert_eq!(site.gateway.wait().code(), Some(0));
    site.gateway
        .wait_for_output("readings are lost: the database does not take them");
}

/// A gateway whose state directory is a small disk of its own. The kernel makes that for the one process, and it ends with it; who is not
/// root must be allowed to have user namespaces.
struct SmallDisk {
    gateway: Gateway,
    /// The disk, as this process reaches it.
    disk: PathBuf,
    meter: VirtualMeter,
    /// The energies that the gateway was fed, in units of 10 Wh.
    fed: Vec<u32>,
}

impl SmallDisk {
    fn start(door: &Door, subscriber: &Subscriber) -> Self {
        let mount = format!(
            "[ \"$(id -u)\" = 0 ] && become= || become=--map-root-user; \
             set -- $become --mount sh -c 'mount -t tmpfs -o size=256k,mode=700 tmpfs \"$0\" && exec \"$@\"' {MOUNTED} \"$0\" \"$@\"; \
             exec unshare \"$@\""
        );
        let gateway = Options::behind(door)
            .state_dir(Path::new(MOUNTED))
            .in_shell(&mount)
            .start();
        monitor(&gateway, subscriber);
        let disk = PathBuf::from(format!("/proc/{}/root{MOUNTED}", gateway.id()));
        wait_for("the database", || {
            disk.join("omnigate.db").exists().then_some(())
        });
        let now = Timestamp::now();
        let (meter, key) = (METER.parse().unwrap(), KEY.parse().unwrap());
        Self {
            gateway,
            disk,
            meter: VirtualMeter::new(meter, key, Duration::from_secs(16), now),
            fed: Vec::new(),
        }
    }

    /// Somebody else takes all the room there is.
    fn fill(&self) {
        let mut filler = File::create(self.disk.join(FILLER)).unwrap();
        let error = loop {
            if let Err(error) = filler.write_all(&[0; 512]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    /// And leaves it again.
    fn free(&self) {
        fs::remove_file(self.disk.join(FILLER)).unwrap();
    }

    /// Telegrams until the gateway says that the disk takes no more; how many. A source that loses nothing is read no further then, so a few
    /// hundred would fill the pipe and hold up the test.
    fn feed_until_full(&mut self) -> usize {
        wait_for("the disk to be full", || {
            assert!(self.fed.len() < 300, "{}", self.gateway.output());
            if self.fed.len() > 100 {
                // It does not keep up.
                thread::sleep(Duration::from_millis(500));
            }
            self.feed(1);
            let output = self.gateway.output();
            let told = |line: &str| line.contains(FAILING) && line.contains("the disk is full");
            output.lines().any(told).then_some(())
        });
        self.fed.len()
    }

    fn feed(&mut self, telegrams: usize) {
        for _ in 0..telegrams {
            let telegram = self.meter.telegram(Timestamp::now()).unwrap();
            let line: String = telegram.iter().map(|byte| format!("{byte:02x}")).collect();
            self.gateway.feed([line.as_str()]);
            self.fed.push(self.meter.registers().energy_drawn);
        }
    }
}

/// Where the small disk is mounted: any folder will do, for nobody else sees it.
const MOUNTED: &str = "/mnt";
const FILLER: &str = "filler";

/// A gateway that had no broker, and was stopped with two readings in its outbox. The door is open afterwards.
fn leave_two_readings(door: &Door, subscriber: &Subscriber, folder: &Path) {
    let mut gateway = Options::behind(door).state_dir(folder).start();
    monitor(&gateway, subscriber);
    door.shut();
    subscriber.wait_for_state(GATEWAY, "offline");
    gateway.feed([COMPACT_2_06, COMPACT_2_15]);
    wait_for_outbox(folder, 2);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.wait_for_output("readings are kept for the next start, readings: 2");
    subscriber.forget();
    door.open();
}

/// Sends the set message and waits until the gateway monitors the meter.
fn monitor(gateway: &Gateway, subscriber: &Subscriber) {
    gateway.wait_for_output("commands are heard");
    subscriber.forget();
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message());
    subscriber.wait_on(&format!("{set}/result"), 1);
}

/// The values of channel 1 of so many readings, in the order in which they came.
fn energies(subscriber: &Subscriber, readings: usize) -> Vec<String> {
    subscriber
        .wait_on(&data(), 4 * readings)
        .iter()
        .map(|message| message.json())
        .filter(|data| data["channelNumber"] == 1)
        .map(|data| data["value"].to_string())
        .collect()
}

/// The same in units of 10 Wh.
fn registers(subscriber: &Subscriber, readings: usize) -> Vec<u32> {
    energies(subscriber, readings)
        .iter()
        .map(|energy| (energy.parse::<f64>().unwrap() * 100.0).round() as u32)
        .collect()
}

fn data() -> String {
    format!("v2/{GATEWAY}/kam-{METER}/data")
}

/// Whether the folder and all files in it can be written.
fn writable(folder: &Path, writable: bool) {
    for entry in fs::read_dir(folder).unwrap() {
        let mode = if writable { 0o600 } else { 0o400 };
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(mode)).unwrap();
    }
    let mode = if writable { 0o700 } else { 0o500 };
    fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

const FAILING: &str = "the database does not work: readings continue from memory";
