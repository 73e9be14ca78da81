//! The local page shows what works and what does not, in a real browser; so do the metrics, the health check and `omnigate status`. None
//! of them holds a secret.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::browser::Browser;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::http::{get, request};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_LATER, FULL_2_15, KEY, set_message};
use crate::support::{free_port, wait_for};

/// A gateway with a page, a dongle and a broker that wants a password.
struct Setting {
    port: u16,
    air: Air,
    subscriber: Subscriber,
    gateway: Gateway,
    broker: Broker,
}

impl Setting {
    fn new(faults: &str) -> Self {
        let broker = Broker::start();
        let subscriber = Subscriber::connect(&broker);
        let air = Air::open();
        let port = free_port();
        let mut options = Options::dongle(&broker, air.port())
            .mqtt("username = \"gateway\"")
            .mqtt(&format!("password = \"{PASSWORD}\""))
            .mqtt(&format!("stop_token = \"{TOKEN}\""))
            .page(port);
        if !faults.is_empty() {
            options = options.faults(faults);
        }
        let gateway = options.start();
        subscriber.wait_for_state(GATEWAY, "online");
        gateway.wait_for_output("commands are heard");
        subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
        subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
        air.wait_until_listening();
        gateway.wait_for_output("the page is there");
        Self {
            port,
            air,
            subscriber,
            gateway,
            broker,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Sends a telegram and waits until its reading is at the broker.
    fn reading(&self, telegram: &str) {
        self.subscriber.forget();
        self.air.send(telegram);
        self.subscriber
            .wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    }

    fn status(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_omnigate"))
            .arg("status")
            .arg("--config")
            .arg(self.gateway.settings())
            .output()
            .unwrap()
    }
}

#[test]
fn a_reading_appears_without_reload_and_a_missing_broker_too() {
    let mut setting = Setting::new("");
    let mut browser = Browser::open(&setting.url());
    browser.wait_for("document.getElementById('state').textContent === 'ready'");
    assert!(browser.text().contains("not heard yet"));
    browser.evaluate("window.notReloaded = true");

    setting.air.send(FULL_2_15);
    browser
        .wait_for("document.getElementById('meter-kam-32666857').innerText.includes('2.15 kWh')");
    let row = browser.evaluate("document.getElementById('meter-kam-32666857').innerText");
    let row = row.as_str().unwrap();
    for shown in ["reading", "OmniPower", "3 W", "−71 dBm"] {
        assert!(row.contains(shown), "{shown}: {row}");
    }

    setting.broker.kill();
    browser.wait_for("document.getElementById('state').textContent === 'not ready'");
    browser.wait_for("document.getElementById('troubles').innerText.includes('no connection')");
    setting.broker.resume();
    browser.wait_for("document.getElementById('state').textContent === 'ready'");
    assert_eq!(browser.evaluate("window.notReloaded"), true);

    // Nothing was fed back, so there is nothing to draw of that.
    browser.go(&format!("{}meters/kam-32666857", setting.url()));
    browser.wait_for("document.querySelectorAll('#plots .wide svg').length === 3");
    let plots = browser.evaluate("document.getElementById('plots').innerText");
    let plots = plots.as_str().unwrap();
    for shown in [
        "kWh per hour",
        "kWh per day",
        "W, the last day",
        "highest 3.00 W",
    ] {
        assert!(plots.contains(shown), "{shown}: {plots}");
    }
    assert_eq!(get(setting.port, "/meters/kam-1").status, 404);

    drop(setting.gateway);
    browser.wait_for("document.documentElement.classList.contains('away')");
    assert!(browser.text().contains("The gateway does not answer"));
}

#[test]
fn of_many_meters_one_is_found() {
    let setting = Setting::new("");
    let mut browser = Browser::open(&setting.url());
    browser.wait_for("document.querySelectorAll('#meters tbody tr').length === 1");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('.filter').length"),
        0
    );
    let set: Vec<_> = (32_666_851..32_666_871_u32)
        .map(|number| json!({"deviceId": number.to_string(), "manufacturerKey": "kam", "encryptionKey": KEY}))
        .collect();
    setting.subscriber.publish(
        &format!("v2/{GATEWAY}/sensors/set"),
        &json!(set).to_string(),
    );
    browser.wait_for("document.querySelectorAll('#meters tbody tr').length === 20");
    let shown = "[...document.querySelectorAll('#meters tbody tr')].filter(row => row.checkVisibility()).length";
    browser.evaluate("const input = document.querySelector('.filter'); input.value = 'READING'; input.dispatchEvent(new Event('input')); null");
    browser.wait_for(&format!("{shown} === 0"));
    // Its row is sent anew, and found then.
    setting.air.send(FULL_2_15);
    browser.wait_for(&format!("{shown} === 1"));
}

#[test]
fn a_killed_actor_shows() {
    let setting = Setting::new("parser:panic:1");
    let mut browser = Browser::open(&setting.url());
    let parser = "[...document.querySelectorAll('#actors tr')].find(row => row.innerText.startsWith('parser')).innerText";
    browser.wait_for(&format!("/^parser\\s+running\\s+0\\s/.test({parser})"));
    setting.air.send(FULL_2_15);
    browser.wait_for(&format!("/^parser\\s+running\\s+1\\s/.test({parser})"));
    let parser = browser.evaluate(parser);
    assert!(parser.as_str().unwrap().contains("injected"), "{parser}");
}

#[test]
fn nothing_that_it_tells_is_a_secret() {
    let setting = Setting::new("");
    setting.reading(FULL_2_15);
    let mut told = Vec::new();
    for path in [
        "/",
        "/meters/kam-32666857",
        "/metrics",
        "/healthz",
        "/style.css",
        "/live.js",
    ] {
        let answer = get(setting.port, path);
        assert_eq!(answer.status, 200, "{path}");
        told.push(answer.head + &answer.body);
    }
    let mut browser = Browser::open(&setting.url());
    browser.wait_for("document.getElementById('state').textContent === 'ready'");
    let html = browser.evaluate("document.documentElement.outerHTML");
    told.push(html.as_str().unwrap().to_owned());
    let status = setting.status();
    assert_eq!(status.status.code(), Some(0));
    told.push(String::from_utf8(status.stdout).unwrap());
    for text in told {
        for secret in [PASSWORD, TOKEN, KEY, &KEY.to_lowercase()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn healthz_says_ready_or_why_not() {
    let mut setting = Setting::new("");
    let health = wait_for("ready", || {
        Some(get(setting.port, "/healthz")).filter(|answer| answer.status == 200)
    });
    let health: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health, serde_json::json!({"ready": true, "troubles": []}));
    setting.broker.kill();
    let health = wait_for("not ready", || {
        Some(get(setting.port, "/healthz")).filter(|answer| answer.status == 503)
    });
    let health: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health["ready"], false);
    assert_eq!(health["troubles"][0]["part"], "broker");

    let status = setting.status();
    assert_eq!(status.status.code(), Some(1));
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.starts_with("706462169: not ready"), "{text}");
    assert!(text.contains("broker: no connection"), "{text}");
}

#[test]
fn the_metrics_satisfy_promtool_and_the_dashboard_uses_no_others() {
    let setting = Setting::new("");
    setting.reading(FULL_2_15);
    setting.reading(COMPACT_LATER);
    // The subscriber may have them before the gateway has their acknowledgement.
    let metrics = wait_for("the acknowledgements", || {
        Some(get(setting.port, "/metrics").body)
            .filter(|metrics| metrics.contains("omnigate_publish_latency_seconds_count 2\n"))
    });
    for sample in [
        "omnigate_telegrams_total{outcome=\"reading\",reason=\"\"} 2",
        "omnigate_meter_rssi_dbm{meter=\"kam-32666857\"} -71",
        "omnigate_broker_connected 1",
        "omnigate_actor_restarts_total{actor=\"parser\"} 0",
    ] {
        assert!(metrics.contains(sample), "{sample} in\n{metrics}");
    }
    let open = request(
        setting.port,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n",
    );
    assert!(open.head.contains("application/openmetrics-text"));
    assert!(open.body.ends_with("# EOF\n"));

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests need promtool (Debian package prometheus)");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(metrics.as_bytes()).unwrap();
    drop(input);
    let verdict = promtool.wait_with_output().unwrap();
    assert!(
        verdict.status.success() && verdict.stderr.is_empty(),
        "{}\n{metrics}",
        String::from_utf8_lossy(&verdict.stderr)
    );

    let existing: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    for file in [DASHBOARD, ALERTS] {
        let used = names(file);
        assert!(used.len() > 5);
        for name in used {
            assert!(existing.contains(name), "{name} does not exist");
        }
    }
    let rules = Command::new("promtool")
        .args([
            "check",
            "rules",
            concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yml"),
        ])
        .output()
        .unwrap();
    assert!(
        rules.status.success(),
        "{}",
        String::from_utf8_lossy(&rules.stderr)
    );
}

#[test]
fn a_taken_port_is_tried_again_and_the_gateway_works_meanwhile() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let gateway = Options::stdin(&broker).page(port).start();
    gateway.wait_for_output("the page is not there");
    subscriber.wait_for_state(GATEWAY, "online");
    drop(taken);
    gateway.wait_for_output("the page is there");
    assert_eq!(get(port, "/").status, 200);
}

#[test]
fn it_can_only_be_read_and_only_by_its_own_name() {
    let broker = Broker::start();
    let port = free_port();
    let gateway = Options::stdin(&broker).page(port).start();
    gateway.wait_for_output("the page is there");
    assert_eq!(get(port, "/nowhere").status, 404);
    let foreign = request(port, "GET / HTTP/1.1\r\nHost: evil.example\r\n");
    assert_eq!(foreign.status, 404);
    for method in ["POST", "PUT", "DELETE"] {
        let answer = request(
            port,
            &format!("{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"),
        );
        assert_eq!(answer.status, 405, "{method}");
    }
    let head = get(port, "/").head.to_lowercase();
    for header in [
        "content-security-policy: default-src 'none'",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{head}");
    }
}

/// The names of our metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter(|word| word.starts_with("omnigate_"))
        .collect()
}

const DASHBOARD: &str = include_str!("../../deploy/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../deploy/alerts.yml");
const PASSWORD: &str = "pass-Word-4711";
const TOKEN: &str = "token-Stop-0815";
