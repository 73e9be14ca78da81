//! From the last byte on the serial line to the broker's acknowledgement: the real program, a pseudo-terminal as the dongle.

use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use omnigate::simulate::{EXAMPLE_KEY, Meters, VirtualDongle, VirtualMeter};
use wmbus::im871a::{LinkMode, Rssi};

use crate::MESSAGES;
use crate::promises::air::Air;
use crate::promises::broker::Broker;
use crate::promises::process::Process;
use crate::promises::subscriber::Subscriber;
use crate::tap::Tap;

/// How long each telegram took, one at a time, with pauses of this mean length between them: always the same if it is [`LINE`], otherwise
/// as telegrams come that know nothing of one another.
pub fn latencies(broker: &Broker, telegrams: usize, between: Duration) -> Vec<Duration> {
    let tap = Tap::before(broker.port());
    let (dongle, port) = VirtualDongle::open(0x3132_3334, LinkMode::C1_T1_FIRMWARE, None).unwrap();
    let air = Air::at(dongle, port);
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "[gateway]\nid = \"serial\"\nstate_dir = \"{}\"\n[driver]\npath = \"{}\"\n[mqtt]\nurl = \"{}\"\n[log]\nsyslog = false\n",
        folder.path().display(),
        air.port(),
        tap.url()
    );
    let config = folder.path().join("omnigate.toml");
    std::fs::write(&config, settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnigate"));
    command.arg("run").arg("--config").arg(config);
    let _gateway = Process::start(command);

    let id = Meters::example_ids(1)[0];
    let mut meter = VirtualMeter::new(
        id,
        EXAMPLE_KEY.parse().unwrap(),
        Duration::from_secs(16),
        Timestamp::now(),
    );
    monitor(broker, &meter);
    air.wait_until_listening();
    // The first ones wake what slept.
    let chance = RandomState::new();
    let latencies = (0..telegrams + 20).map(|number| {
        let share = (chance.hash_one(number) as f64 + 1.0) / (u64::MAX as f64 + 1.0);
        sleep(if between == LINE {
            LINE
        } else {
            between.mul_f64(-share.ln())
        });
        let telegram = meter.telegram(Timestamp::now()).unwrap();
        let sent = Instant::now();
        assert!(
            air.dongle
                .telegram(&telegram, LinkMode::C1a, Rssi::from_dbm(-71))
        );
        let acknowledged = tap.acknowledged().iter().take(MESSAGES).last().unwrap();
        acknowledged.at.duration_since(sent)
    });
    latencies.skip(20).collect()
}

/// Sends the set message until the gateway hears it.
fn monitor(broker: &Broker, meter: &VirtualMeter) {
    let subscriber = Subscriber::connect(broker);
    let id = meter.address().identification;
    let set = format!(
        r#"[{{"deviceId": "{id}", "manufacturerKey": "kam", "encryptionKey": "{EXAMPLE_KEY}", "manufacturerDeviceKey": "OmniPower1"}}]"#
    );
    while subscriber.on("v2/serial/sensors/set/result").is_empty() {
        subscriber.publish("v2/serial/sensors/set", &set);
        sleep(Duration::from_millis(200));
    }
}

/// About as long as 57,600 baud take for a telegram.
pub const LINE: Duration = Duration::from_millis(8);
