//! A real Chromium without a window. Driven through a pair of pipes by its own protocol (DevTools), so that neither a driver nor a client
//! library is needed.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{DEADLINE, wait_for};

/// Runs until it is dropped, with one page open.
pub struct Browser {
    process: Child,
    commands: File,
    answers: Receiver<Value>,
    session: String,
    next_id: u64,
    _folder: TempDir,
}

impl Browser {
    /// Opens a page.
    pub fn open(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| {
            let path = folder.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            path
        });
        // It reads commands from file 3 and answers on file 4.
        let process = Command::new("sh")
            .arg("-c")
            .arg(r#"exec "$0" "$@" 3<"$TO" 4>"$FROM""#)
            .arg(CHROMIUM)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("user").display()
            ))
            .env("TO", &to)
            .env("FROM", &from)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = File::options().write(true).open(&to).unwrap();
        let (sender, answers) = channel();
        let from = BufReader::new(File::open(&from).unwrap());
        std::thread::spawn(move || {
            for message in from.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            process,
            commands,
            answers,
            session: String::new(),
            next_id: 0,
            _folder: folder,
        };
        let target = browser.command("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.command("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser.go(url);
        browser
    }

    /// Shows another page.
    pub fn go(&mut self, url: &str) {
        let gone = self.command("Page.navigate", &json!({"url": url}));
        assert_eq!(gone["errorText"], Value::Null, "{url}");
        let loaded = format!(
            "location.href === {} && document.readyState === 'complete'",
            json!(url)
        );
        self.wait_for(&loaded);
    }

    /// The value of a JavaScript expression on the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let command = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.command("Runtime.evaluate", &command);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, expression: &str) {
        wait_for(expression, || {
            (self.evaluate(expression) == true).then_some(())
        });
    }

    /// All text on the page, as it is seen.
    pub fn text(&mut self) -> String {
        let text = self.evaluate("document.body.innerText");
        text.as_str().unwrap().to_owned()
    }

    /// Takes a picture of the whole page, so many pixels wide.
    pub fn picture(&mut self, width: u32, dark: bool, to: &Path) {
        let metrics =
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme =
            json!({"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }});
        self.command("Emulation.setEmulatedMedia", &json!({"features": [scheme]}));
        let height = self.evaluate("document.documentElement.scrollHeight");
        let whole = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let how = json!({"format": "png", "clip": whole, "captureBeyondViewport": true});
        let picture = self.command("Page.captureScreenshot", &how);
        let mut decode = Command::new("base64")
            .arg("--decode")
            .stdin(Stdio::piped())
            .stdout(File::create(to).unwrap())
            .spawn()
            .unwrap();
        let data = picture["data"].as_str().unwrap().as_bytes();
        decode.stdin.take().unwrap().write_all(data).unwrap();
        assert!(decode.wait().unwrap().success());
    }

    fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.next_id += 1;
        let mut command = json!({"id": self.next_id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        write!(self.commands, "{command}\0").unwrap();
        loop {
            let mut message = self
                .answers
                .recv_timeout(DEADLINE)
                .unwrap_or_else(|_| panic!("the browser does not answer {method}"));
            if message["id"] == self.next_id {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].take();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The Debian package chromium-headless-shell.
const CHROMIUM: &str = "chromium-headless-shell";
