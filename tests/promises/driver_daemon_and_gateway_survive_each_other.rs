//! `omnigate driver` writes a FIFO and a gateway reads it. Either may end, be killed, and come back, in any order: readings go on.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::process::Process;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, COMPACT_LATER, FULL_2_15, set_message,
};
use crate::support::wait_for;

struct Setting {
    air: Air,
    broker: Broker,
    subscriber: Subscriber,
    folder: TempDir,
}

impl Setting {
    fn new() -> Self {
        let broker = Broker::start();
        let subscriber = Subscriber::connect(&broker);
        subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
        Self {
            air: Air::open(),
            broker,
            subscriber,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn fifo(&self) -> PathBuf {
        self.folder.path().join("IM871A_pipe")
    }

    /// Starts a daemon that has configured the dongle.
    fn daemon(&self) -> Process {
        let settings = self.folder.path().join("driver.toml");
        let text = format!(
            "[driver]\npath = \"{}\"\n[log]\nlevel = \"debug\"\nsyslog = false\n",
            self.air.port()
        );
        std::fs::write(&settings, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_omnigate"));
        command.arg("driver").arg("--fifo").arg(self.fifo());
        command.arg("--config").arg(&settings);
        let daemon = Process::start(command);
        daemon.wait_for_output("listening, actor: driver");
        daemon
    }

    /// Starts a gateway that has been told which meter to monitor.
    fn gateway(&self) -> Gateway {
        let before = self.subscriber.on(&config_topic()).len();
        let gateway = Options::fifo(&self.broker, self.fifo().to_str().unwrap()).start();
        self.subscriber.wait_on(&config_topic(), before + 1);
        gateway
    }

    /// Repeats a telegram, as a meter would send others, until there is a reading of it.
    fn reading_of(&self, telegram: &str) {
        let topic = format!("v2/{GATEWAY}/kam-32666857/data");
        let before = self.subscriber.on(&topic).len();
        wait_for("a reading", || {
            self.air.send(telegram);
            std::thread::sleep(std::time::Duration::from_millis(200));
            (self.subscriber.on(&topic).len() >= before + 4).then_some(())
        });
    }
}

fn config_topic() -> String {
    format!("v2/{GATEWAY}/kam-32666857/config")
}

fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[test]
fn the_daemon_is_there_first_and_the_gateway_comes_goes_and_comes_back() {
    let setting = Setting::new();
    let mut daemon = setting.daemon();
    assert!(is_fifo(&setting.fifo()));
    setting.air.send(COMPACT_2_06);

    let mut gateway = setting.gateway();
    setting.reading_of(COMPACT_2_15);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    setting.air.send(COMPACT_2_06);
    daemon.wait_for_output("the gateway has closed the FIFO");

    let mut gateway = setting.gateway();
    setting.reading_of(FULL_2_15);
    gateway.kill();
    let _gateway = setting.gateway();
    setting.reading_of(COMPACT_LATER);

    assert!(daemon.is_running());
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn the_gateway_is_there_first_and_the_daemon_comes_goes_and_comes_back() {
    let setting = Setting::new();
    let mut gateway = setting.gateway();
    gateway.wait_for_output("no FIFO at");

    let mut daemon = setting.daemon();
    setting.reading_of(COMPACT_2_15);
    daemon.signal("INT");
    assert_eq!(daemon.wait().code(), Some(0));

    let mut daemon = setting.daemon();
    setting.reading_of(FULL_2_15);
    daemon.kill();
    let _daemon = setting.daemon();
    setting.reading_of(COMPACT_LATER);
    assert!(gateway.is_running());
}

#[test]
fn a_fifo_that_is_deleted_while_both_run_is_made_again() {
    let setting = Setting::new();
    let mut daemon = setting.daemon();
    let mut gateway = setting.gateway();
    setting.reading_of(COMPACT_2_15);
    std::fs::remove_file(setting.fifo()).unwrap();

    gateway.kill();
    let mut gateway = setting.gateway();
    setting.reading_of(FULL_2_15);
    assert!(is_fifo(&setting.fifo()));

    std::fs::remove_file(setting.fifo()).unwrap();
    daemon.kill();
    let _daemon = setting.daemon();
    setting.reading_of(COMPACT_LATER);
    assert!(gateway.is_running());
}

#[test]
fn a_file_in_the_place_of_the_fifo_is_named_and_left_alone() {
    let setting = Setting::new();
    std::fs::write(setting.fifo(), "precious").unwrap();
    let mut daemon = setting.daemon();
    setting.air.send(COMPACT_2_15);
    daemon.wait_for_output("the FIFO cannot be used");
    let gateway = setting.gateway();
    gateway.wait_for_output("is no FIFO");
    assert!(daemon.is_running());
    assert_eq!(std::fs::read(setting.fifo()).unwrap(), b"precious");

    std::fs::remove_file(setting.fifo()).unwrap();
    setting.reading_of(COMPACT_2_15);
}

#[test]
fn a_daemon_without_usable_settings_names_every_mistake_and_ends_with_78() {
    let setting = Setting::new();
    let settings = setting.folder.path().join("driver.toml");
    std::fs::write(&settings, "[driver]\nsource = 'file'\nspeed = 1\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_omnigate"))
        .args(["driver", "--fifo"])
        .arg(setting.fifo())
        .arg("--config")
        .arg(&settings)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("driver.toml:2: driver.source: the driver daemon reads the dongle"),
        "{told}"
    );
    assert!(
        told.contains("driver.toml:3: driver.speed: unknown field"),
        "{told}"
    );
    assert!(!setting.fifo().exists());
}
