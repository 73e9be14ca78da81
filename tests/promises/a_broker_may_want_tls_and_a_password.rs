//! TLS, user name and password, from wherever the settings may have them; a wrong one is said and tried again, and never printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use paho_mqtt::ConnectOptionsBuilder;
use tempfile::TempDir;

use crate::support::broker::Broker;
use crate::support::certificates::Authority;
use crate::support::free_port;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;

const PASSWORD: &str = "correct horse";
const OTHER_PASSWORD: &str = "battery staple";

/// A broker that admits nobody without a password, on one port without and on another with TLS.
struct Strict {
    broker: Broker,
    tls_port: u16,
    authority: Authority,
    folder: TempDir,
}

impl Strict {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        run(
            "mosquitto_passwd",
            &["-b", "-c", &text(&path("users")), "gateway", PASSWORD],
        );
        let authority = Authority::new(folder.path());
        let own = authority.issue("broker", "DNS:localhost");
        let tls_port = free_port();
        let settings = format!(
            "allow_anonymous false\npassword_file {}\nlistener {tls_port} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            text(&path("users")),
            text(&own.certificate),
            text(&own.key),
        );
        Self {
            broker: Broker::with_settings(&settings),
            tls_port,
            authority,
            folder,
        }
    }

    fn tls_url(&self) -> String {
        format!("mqtts://localhost:{}", self.tls_port)
    }

    /// A file in the broker's folder.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn observer(&self) -> Subscriber {
        let mut options = ConnectOptionsBuilder::new();
        options.user_name("gateway").password(PASSWORD);
        Subscriber::connect_as(&self.broker, options)
    }
}

#[test]
fn with_tls_and_the_password_from_a_file() {
    let strict = Strict::start();
    let observer = strict.observer();
    let _gateway = Options::stdin_at(&strict.tls_url())
        .mqtt("username = \"gateway\"")
        .mqtt(&format!("ca_file = {:?}", strict.authority.file()))
        .mqtt(&format!(
            "password_file = {:?}",
            strict.file("password", &format!("{PASSWORD}\n"))
        ))
        .start();
    observer.wait_for_state(GATEWAY, "online");
}

#[test]
fn the_password_of_the_environment_takes_the_place_of_the_one_in_the_settings() {
    let strict = Strict::start();
    let observer = strict.observer();
    let _gateway = Options::stdin(&strict.broker)
        .mqtt("username = \"gateway\"")
        .mqtt(&format!("password = \"{OTHER_PASSWORD}\""))
        .environment("OMNIGATE_MQTT_PASSWORD", PASSWORD)
        .start();
    observer.wait_for_state(GATEWAY, "online");
}

#[test]
fn a_systemd_credential_is_found_by_its_name() {
    let strict = Strict::start();
    let observer = strict.observer();
    strict.file("mqtt_password", PASSWORD);
    let _gateway = Options::stdin(&strict.broker)
        .mqtt("username = \"gateway\"")
        .environment("CREDENTIALS_DIRECTORY", &text(strict.folder.path()))
        .start();
    observer.wait_for_state(GATEWAY, "online");
}

#[test]
fn a_wrong_password_is_said_and_not_printed() {
    let strict = Strict::start();
    let mut gateway = Options::stdin(&strict.broker)
        .mqtt("username = \"gateway\"")
        .mqtt(&format!("password = \"{OTHER_PASSWORD}\""))
        .start();
    gateway.wait_for_output("Not Authorized (return code 5)");
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(!gateway.output().contains(OTHER_PASSWORD));
}

#[test]
fn a_broker_that_nobody_vouches_for_gets_no_password() {
    let strict = Strict::start();
    let mut gateway = Options::stdin_at(&strict.tls_url())
        .mqtt("username = \"gateway\"")
        .mqtt(&format!("password = \"{PASSWORD}\""))
        .start();
    gateway.wait_for_output("no connection to the broker");
    assert!(gateway.is_running());
    assert!(
        !gateway
            .output()
            .contains("connected to the broker, actor: publisher")
    );
}

/// The address 0.0.0.0 is this machine too, but none that is known to be: it stands for a broker elsewhere.
#[test]
fn a_password_and_a_set_message_in_the_clear_are_warned_of() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let warnings = [
        "the password goes over a connection that is not encrypted and can be read on the way",
        "the meters' keys can be read on the way",
    ];
    for (host, warned) in [("0.0.0.0", true), ("127.0.0.1", false)] {
        let gateway = Options::stdin_at(&format!("mqtt://{host}:{}", broker.port()))
            .mqtt("username = \"gateway\"")
            .mqtt(&format!("password = \"{PASSWORD}\""))
            .start();
        gateway.wait_for_output("commands are heard");
        subscriber.forget();
        subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), "[]");
        subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);
        gateway.wait_for_output("set message applied");
        for warning in warnings {
            assert_eq!(gateway.output().contains(warning), warned, "{warning}");
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("the tests need {program}: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
