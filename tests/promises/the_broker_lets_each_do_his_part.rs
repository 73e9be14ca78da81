//! The example configuration of a broker, `deploy/mosquitto.conf` with `deploy/mosquitto.acl`, as it stands there but for its port and
//! paths: a gateway publishes under its own id only, only the cloud commands, and nobody but the gateway reads its set messages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use paho_mqtt::{ConnectOptionsBuilder, Message, SslOptionsBuilder};
use tempfile::TempDir;

use crate::support::broker::Broker;
use crate::support::certificates::{Authority, Certificate};
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, FULL_2_15, KEY, set_message};

const CONFIGURATION: &str = include_str!("../../deploy/mosquitto.conf");
const RULES: &str = include_str!("../../deploy/mosquitto.acl");

const OTHER_GATEWAY: &str = "706462170";

/// The broker, and what its users need.
struct Site {
    broker: Broker,
    authority: Authority,
    _folder: TempDir,
}

impl Site {
    /// With passwords, as the example stands there.
    fn with_passwords() -> Self {
        Self::start(CONFIGURATION)
    }

    /// With certificates: the lines behind '#' in force, and no passwords.
    fn with_certificates() -> Self {
        let mut configuration = CONFIGURATION.replace("\npassword_file ", "\n#password_file ");
        for line in [
            "cafile ",
            "require_certificate true",
            "use_identity_as_username true",
        ] {
            configuration = replace(&configuration, &format!("\n#{line}"), &format!("\n{line}"));
        }
        Self::start(&configuration)
    }

    fn start(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let own = authority.issue("broker", "DNS:localhost");
        let users = folder.path().join("users");
        std::fs::write(&users, "").unwrap();
        for user in [
            "cloud",
            "dashboard",
            "homeassistant",
            GATEWAY,
            OTHER_GATEWAY,
        ] {
            mosquitto_passwd(&users, user);
        }
        let rules = folder.path().join("rules");
        std::fs::write(&rules, RULES).unwrap();
        let mut configuration = configuration.to_owned();
        for (path, here) in [
            ("/etc/mosquitto/broker.crt", &own.certificate),
            ("/etc/mosquitto/broker.key", &own.key),
            ("/etc/mosquitto/clients_ca.crt", &authority.file()),
            ("/etc/mosquitto/omnigate.passwd", &users),
            ("/etc/mosquitto/omnigate.acl", &rules),
        ] {
            configuration = replace(&configuration, path, here.to_str().unwrap());
        }
        let broker = Broker::configured(|port| {
            let listener = format!("listener {port} 127.0.0.1\n");
            // As whom it runs has nothing to do with whom it serves.
            replace(&configuration, "listener 8883\n", &listener) + "user root\n"
        });
        Self {
            broker,
            authority,
            _folder: folder,
        }
    }

    fn tls(&self) -> SslOptionsBuilder {
        let mut tls = SslOptionsBuilder::new();
        tls.trust_store(self.authority.file()).unwrap();
        tls.verify(true);
        tls
    }

    /// A client that has said who it is, subscribed to '#'.
    fn connect(&self, options: ConnectOptionsBuilder) -> paho_mqtt::Result<Subscriber> {
        self.connect_at(self.broker.port(), options)
    }

    fn connect_at(
        &self,
        port: u16,
        options: ConnectOptionsBuilder,
    ) -> paho_mqtt::Result<Subscriber> {
        Subscriber::connect_to(&format!("ssl://localhost:{port}"), options)
    }

    fn as_user(&self, user: &str) -> ConnectOptionsBuilder {
        let mut options = ConnectOptionsBuilder::new();
        options
            .ssl_options(self.tls().finalize())
            .user_name(user)
            .password(password(user));
        options
    }

    fn user(&self, user: &str) -> Subscriber {
        self.connect(self.as_user(user)).unwrap()
    }

    /// A real gateway, as soon as it hears commands.
    fn gateway(&self) -> Gateway {
        let gateway = self
            .gateway_options()
            .mqtt(&format!("username = \"{GATEWAY}\""))
            .mqtt(&format!("password = \"{}\"", password(GATEWAY)))
            .start();
        gateway.wait_for_output("commands are heard");
        gateway
    }

    fn gateway_options(&self) -> Options {
        Options::stdin_at(&format!("mqtts://localhost:{}", self.broker.port()))
            .mqtt(&format!("ca_file = {:?}", self.authority.file()))
    }
}

#[test]
fn each_does_his_part_and_nobody_else_reads_a_set_message() {
    let site = Site::with_passwords();
    let (cloud, dashboard, other) = (
        site.user("cloud"),
        site.user("dashboard"),
        site.user(OTHER_GATEWAY),
    );
    let mut gateway = site.gateway();
    cloud.wait_for_state(GATEWAY, "online");
    cloud.publish_retained(&topic("sensors/set"), &set_message());
    cloud.wait_on(&topic("sensors/set/result"), 1);
    let late = site.user("dashboard");
    gateway.feed([COMPACT_2_06]);
    for reader in [&cloud, &dashboard, &late] {
        reader.wait_on(&topic("kam-32666857/data"), 4);
    }
    dashboard.wait_on(&topic("kam-32666857/config"), 1);
    dashboard.wait_for_state(GATEWAY, "online");

    // What is addressed to the other gateway it does get, and by then it would have got what is not.
    cloud.publish(&format!("v2/{OTHER_GATEWAY}/sensors/set"), "[]");
    other.wait_on(&format!("v2/{OTHER_GATEWAY}/sensors/set"), 1);
    assert_eq!(other.all().len(), 1, "{:?}", other.all());
    for reader in [&cloud, &dashboard, &late] {
        let all = reader.all();
        assert!(
            all.iter()
                .all(|message| !message.topic.ends_with("sensors/set")
                    && !message.payload.contains(KEY)),
            "{all:?}"
        );
    }
    assert!(dashboard.on(&topic("sensors/set/result")).is_empty());

    cloud.publish("STOP", "");
    assert_eq!(gateway.wait().code(), Some(0));
    dashboard.wait_for_state(GATEWAY, "offline");
}

#[test]
fn home_automation_is_told_and_may_ask_and_nobody_reads_what_is_asked() {
    let site = Site::with_passwords();
    let (home, dashboard) = (site.user("homeassistant"), site.user("dashboard"));
    let base = format!("omnigate/{GATEWAY}");
    let mut gateway = site
        .gateway_options()
        .mqtt(&format!("username = \"{GATEWAY}\""))
        .mqtt(&format!("password = \"{}\"", password(GATEWAY)))
        .sections(&format!(
            "[state]\nenabled = true\nbase_topic = \"{base}\"\n[home_assistant]\nenabled = true"
        ))
        .start();
    gateway.wait_for_output("requests are heard");
    let request = format!(r#"{{"meters":{}}}"#, set_message());
    home.publish(&format!("{base}/bridge/request/meters/add"), &request);
    home.wait_on(&format!("{base}/bridge/response/meters/add"), 1);
    gateway.feed([COMPACT_2_06]);
    for topic in [
        "kam_32666857/state",
        "kam_32666857/availability",
        "kam_32666857/diagnostics",
        "bridge/state",
        "bridge/info",
        "bridge/meters",
    ] {
        home.wait_on(&format!("{base}/{topic}"), 1);
    }
    home.wait_on("homeassistant/device/omnigate_kam_32666857/config", 1);
    home.publish("homeassistant/status", "online");
    home.wait_on("homeassistant/device/omnigate_kam_32666857/config", 2);
    let all = home.all();
    assert!(
        all.iter().all(|message| !message.payload.contains(KEY)),
        "{all:?}"
    );
    // A gateway may read when Home Assistant comes, and what holds for every gateway holds for every user.
    let seen = dashboard.all();
    assert!(
        seen.iter()
            .all(|message| message.topic.starts_with("v2/")
                || message.topic == "homeassistant/status"),
        "{seen:?}"
    );
}

#[test]
fn another_gateway_can_neither_command_nor_speak_for_this_one() {
    let site = Site::with_passwords();
    let cloud = site.user("cloud");
    let mut gateway = site.gateway();
    cloud.wait_for_state(GATEWAY, "online");
    let own = |rest: &str| format!("v2/{OTHER_GATEWAY}/{rest}");
    let intruders = [OTHER_GATEWAY, "dashboard"].map(|user| site.user(user));
    for intruder in &intruders {
        for topic in [
            topic("sensors/set"),
            topic("STOP"),
            "STOP".to_owned(),
            topic("status"),
            topic("sensors/set/result"),
            topic("kam-32666857/config"),
            topic("kam-32666857/data"),
            // Not even under its own id does a gateway command.
            own("sensors/set"),
            own("STOP"),
            "anything/else".to_owned(),
        ] {
            intruder.publish(&topic, "[]");
            intruder.publish_retained(&topic, "[]");
        }
    }
    // What it may say it says after all that, and the cloud hears that alone.
    for rest in ["status", "sensors/set/result", "kam-1/config", "kam-1/data"] {
        intruders[0].publish(&own(rest), "mine");
        cloud.wait_on(&own(rest), 1);
    }
    let foreign: Vec<_> = cloud
        .all()
        .into_iter()
        .filter(|message| message.payload == "[]")
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");

    // Nor does it speak through a last will. Of two that the broker finds broken, the forbidden one is the first.
    let wills = [topic("status"), own("status")].map(|of| {
        let door = Door::to(&site.broker);
        let mut options = site.as_user(OTHER_GATEWAY);
        options.will_message(Message::new(of, "my will", 1));
        (site.connect_at(door.port(), options).unwrap(), door)
    });
    wills.iter().for_each(|(_, door)| door.shut());
    cloud.wait_on(&own("status"), 2);
    let wills = cloud
        .all()
        .into_iter()
        .filter(|message| message.payload == "my will");
    assert_eq!(
        wills.map(|will| will.topic).collect::<Vec<_>>(),
        [own("status")]
    );

    // Nothing of it reached the gateway: this is the first set message that it hears, and it still runs.
    cloud.publish(&topic("sensors/set"), &set_message());
    let results = cloud.wait_on(&topic("sensors/set/result"), 1);
    assert_eq!(results[0].json()["accepted"], 1);
    gateway.feed([COMPACT_2_06, FULL_2_15]);
    cloud.wait_on(&topic("kam-32666857/data"), 8);
    assert_eq!(cloud.on(&topic("sensors/set/result")).len(), 1);
    assert!(gateway.is_running());
}

#[test]
fn nobody_is_let_in_without_the_right_password_or_without_tls() {
    let site = Site::with_passwords();
    assert!(site.connect(site.as_user("cloud")).is_ok());
    let mut anonymous = ConnectOptionsBuilder::new();
    anonymous.ssl_options(site.tls().finalize());
    assert!(site.connect(anonymous).is_err());
    let mut wrong = site.as_user("cloud");
    wrong.password(password(GATEWAY));
    assert!(site.connect(wrong).is_err());
    // Who does not speak TLS is hung up on, whatever he says.
    let mut plain = TcpStream::connect(("127.0.0.1", site.broker.port())).unwrap();
    plain
        .write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0")
        .unwrap();
    let mut answer = Vec::new();
    // Reset or closed: nothing that begins like a CONNACK.
    plain.read_to_end(&mut answer).ok();
    assert_ne!(answer.first(), Some(&0x20), "{answer:?}");
}

#[test]
fn a_certificate_says_who_a_client_is_as_well_as_a_password() {
    let site = Site::with_certificates();
    let of_gateway = site.authority.issue(GATEWAY, "DNS:gateway");
    let gateway = site
        .gateway_options()
        .mqtt(&format!("certificate_file = {:?}", of_gateway.certificate))
        .mqtt(&format!("private_key_file = {:?}", of_gateway.key))
        .start();
    gateway.wait_for_output("commands are heard");

    let with = |Certificate { certificate, key }: Certificate| {
        let mut tls = site.tls();
        tls.key_store(certificate)
            .unwrap()
            .private_key(key)
            .unwrap();
        let mut options = ConnectOptionsBuilder::new();
        options.ssl_options(tls.finalize());
        site.connect(options)
    };
    let cloud = with(site.authority.issue("cloud", "DNS:cloud")).unwrap();
    let other = with(site.authority.issue(OTHER_GATEWAY, "DNS:other")).unwrap();
    other.publish(&topic("sensors/set"), "[]");
    other.publish(&format!("v2/{OTHER_GATEWAY}/status"), "mine");
    cloud.wait_on(&format!("v2/{OTHER_GATEWAY}/status"), 1);
    cloud.publish(&topic("sensors/set"), &set_message());
    let results = cloud.wait_on(&topic("sensors/set/result"), 1);
    assert_eq!(results[0].json()["accepted"], 1);
    other.wait_on(&format!("v2/{OTHER_GATEWAY}/status"), 1);
    assert_eq!(other.all().len(), 1, "{:?}", other.all());

    // A password is not enough, nor is a certificate of somebody else's authority.
    assert!(site.connect(site.as_user("cloud")).is_err());
    let elsewhere = tempfile::tempdir().unwrap();
    let forged = Authority::new(elsewhere.path()).issue("cloud", "DNS:cloud");
    assert!(with(forged).is_err());
}

/// A topic of the gateway.
fn topic(rest: &str) -> String {
    format!("v2/{GATEWAY}/{rest}")
}

fn password(user: &str) -> String {
    format!("the password of {user}")
}

fn mosquitto_passwd(file: &Path, user: &str) {
    let output = Command::new("mosquitto_passwd")
        .arg("-b")
        .arg(file)
        .args([user, &password(user)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The example must say what is replaced, so that the test runs what the operator gets.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the example");
    text.replace(from, to)
}
