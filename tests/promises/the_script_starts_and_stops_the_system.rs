//! `deploy/start_stop_system.sh`: the driver as a daemon, the gateway visibly; STOP ends the gateway only, `stop` ends both.

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::gateway::GATEWAY;
use crate::support::process::Process;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_15, FULL_2_15, set_message};
use crate::support::wait_for;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/start_stop_system.sh");

struct System {
    air: Air,
    subscriber: Subscriber,
    folder: TempDir,
    _broker: Broker,
}

impl System {
    fn new() -> Self {
        let broker = Broker::start();
        let subscriber = Subscriber::connect(&broker);
        subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
        let air = Air::open();
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "[gateway]\nid = \"{GATEWAY}\"\nstate_dir = {:?}\n[driver]\npath = {:?}\n[page]\nenabled = false\n[mqtt]\nurl = \"{}\"\n[log]\nsyslog = false\n",
            folder.path().join("state of it"),
            air.port(),
            broker.url()
        );
        std::fs::write(folder.path().join("omnigate.toml"), settings).unwrap();
        Self {
            air,
            subscriber,
            folder,
            _broker: broker,
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state of it")
    }

    fn script(&self, what: &str) -> Command {
        let mut command = Command::new(SCRIPT);
        command
            .arg(what)
            .arg(self.folder.path().join("omnigate.toml"));
        command.env("OMNIGATE", env!("CARGO_BIN_EXE_omnigate"));
        command.env_remove("OMNIGATE_CONFIG");
        command
    }

    /// Starts it, and waits until the gateway is at the broker.
    fn start(&self) -> Process {
        self.subscriber.forget();
        let gateway = Process::start(self.script("start"));
        self.subscriber
            .wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
        gateway
    }

    fn stop(&self) -> Output {
        self.script("stop").output().unwrap()
    }

    /// The driver daemon's process.
    fn driver(&self) -> String {
        std::fs::read_to_string(self.state().join("driver/pid"))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn reading_of(&self, telegram: &str) {
        let topic = format!("v2/{GATEWAY}/kam-32666857/data");
        let before = self.subscriber.on(&topic).len();
        self.air.wait_until_listening();
        wait_for("a reading", || {
            self.air.send(telegram);
            std::thread::sleep(std::time::Duration::from_millis(200));
            (self.subscriber.on(&topic).len() >= before + 4).then_some(())
        });
    }
}

/// A test that fails leaves no daemon behind.
impl Drop for System {
    fn drop(&mut self) {
        self.stop();
    }
}

fn runs(process: &str) -> bool {
    PathBuf::from("/proc").join(process).join("exe").exists()
}

fn text(output: &Output) -> String {
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn stop_over_mqtt_leaves_the_driver_waiting_and_the_script_ends_both() {
    let system = System::new();
    let mut gateway = system.start();
    gateway.wait_for_output("The driver daemon is started");
    gateway.wait_for_output("gateway: 706462169");
    let fifo = std::fs::metadata(system.state().join("driver/IM871A_pipe")).unwrap();
    assert!(fifo.file_type().is_fifo());
    system.reading_of(COMPACT_2_15);

    system.subscriber.publish("STOP", "");
    assert_eq!(gateway.wait().code(), Some(0));
    system.subscriber.wait_for_state(GATEWAY, "offline");
    let driver = system.driver();
    assert!(runs(&driver));

    let mut gateway = system.start();
    gateway.wait_for_output(&format!("The driver daemon runs (process {driver})"));
    system.reading_of(FULL_2_15);
    let second = system.script("start").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second).contains("the gateway runs already"),
        "{}",
        text(&second)
    );
    assert_eq!(system.driver(), driver);

    let stopped = system.stop();
    assert!(stopped.status.success(), "{}", text(&stopped));
    assert_eq!(
        text(&stopped),
        "The gateway is stopped.\nThe driver daemon is stopped.\n"
    );
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.output().contains("stopping, reason: SIGTERM"));
    assert!(!runs(&driver));
    let log = std::fs::read_to_string(system.state().join("driver/log")).unwrap();
    assert!(log.contains("stopping, reason: SIGTERM"), "{log}");

    let again = system.stop();
    assert!(again.status.success());
    assert_eq!(
        text(&again),
        "The gateway does not run.\nThe driver daemon does not run.\n"
    );
}

#[test]
fn a_number_left_behind_by_a_killed_daemon_is_nobodys() {
    let system = System::new();
    let mut gateway = system.start();
    let killed = system.driver();
    Command::new("kill")
        .args(["-KILL", &killed])
        .status()
        .unwrap();
    wait_for("the daemon's end", || (!runs(&killed)).then_some(()));
    gateway.signal("INT");
    assert_eq!(gateway.wait().code(), Some(0));
    // The number is that of a process which has nothing to do with it.
    let bystander = std::process::id().to_string();
    std::fs::write(system.state().join("driver/pid"), &bystander).unwrap();
    assert_eq!(
        text(&system.stop()),
        "The gateway does not run.\nThe driver daemon does not run.\n"
    );

    let gateway = system.start();
    gateway.wait_for_output("The driver daemon is started");
    assert_ne!(system.driver(), bystander);
    system.reading_of(COMPACT_2_15);
}

#[test]
fn mistakes_are_told_and_nothing_is_started() {
    let system = System::new();
    let usage = system.script("restart").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage).contains("usage: start_stop_system.sh start|stop [SETTINGS]"));

    std::fs::write(
        system.folder.path().join("omnigate.toml"),
        "[gateway]\nid = 7\n",
    )
    .unwrap();
    let wrong = system.script("start").output().unwrap();
    assert_eq!(wrong.status.code(), Some(78));
    assert!(
        text(&wrong).contains("omnigate.toml:2: gateway.id: "),
        "{}",
        text(&wrong)
    );
    assert!(!system.state().exists());
}
