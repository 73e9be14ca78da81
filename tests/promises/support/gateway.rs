//! The real program, started as an operator would.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::broker::Broker;
use super::door::Door;
use super::wait_for;

/// The gateway's name in topics.
pub const GATEWAY: &str = "706462169";

/// Runs `omnigate run` until it is dropped.
pub struct Gateway {
    process: Child,
    output: Arc<Mutex<String>>,
    _folder: TempDir,
}

/// How to start the gateway.
pub struct Options {
    driver: String,
    mqtt: String,
    environment: Vec<(String, String)>,
}

impl Options {
    /// A gateway at this broker that reads its telegrams from standard input.
    pub fn stdin(broker: &Broker) -> Self {
        Self::with_driver(broker, "source = \"stdin\"\n")
    }

    /// A gateway at this broker with a dongle at this path.
    pub fn dongle(broker: &Broker, path: &str) -> Self {
        Self::with_driver(broker, &format!("source = \"im871a\"\npath = \"{path}\"\n"))
    }

    /// A gateway at this broker that reads its telegrams from a file.
    pub fn file(broker: &Broker, path: &str) -> Self {
        Self::with_driver(broker, &format!("source = \"file\"\npath = \"{path}\"\n"))
    }

    /// A gateway that reads its telegrams from standard input and reaches its broker through a door.
    pub fn behind(door: &Door) -> Self {
        Self::stdin_at(&door.url())
    }

    /// A gateway that reads its telegrams from standard input, at the broker with this address.
    pub fn stdin_at(url: &str) -> Self {
        Self::at(url, "source = \"stdin\"\n")
    }

    fn with_driver(broker: &Broker, driver: &str) -> Self {
        Self::at(&broker.url(), driver)
    }

    fn at(url: &str, driver: &str) -> Self {
        Self {
            driver: driver.to_owned(),
            mqtt: format!("url = \"{url}\"\n"),
            environment: Vec::new(),
        }
    }

    /// With a further line in the section `[mqtt]`.
    pub fn mqtt(mut self, line: &str) -> Self {
        self.mqtt += line;
        self.mqtt += "\n";
        self
    }

    /// With a variable in the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With faults injected, in the language of `OMNIGATE_FAULTS`.
    pub fn faults(self, faults: &str) -> Self {
        self.environment("OMNIGATE_FAULTS", faults)
    }

    pub fn start(self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "[gateway]\nid = \"{GATEWAY}\"\nstate_dir = \"{}\"\n[driver]\n{}[mqtt]\n{}[log]\nlevel = \"debug\"\nsyslog = false\n",
            folder.path().display(),
            self.driver,
            self.mqtt
        );
        let path = folder.path().join("omnigate.toml");
        std::fs::write(&path, settings).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_omnigate"))
            .arg("run")
            .arg("--config")
            .arg(&path)
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output: Arc<Mutex<String>> = Arc::default();
        collect(process.stdout.take().unwrap(), Arc::clone(&output));
        collect(process.stderr.take().unwrap(), Arc::clone(&output));
        Gateway {
            process,
            output,
            _folder: folder,
        }
    }
}

impl Gateway {
    /// Everything it printed so far, standard output and standard error together.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it printed this.
    pub fn wait_for_output(&self, text: &str) {
        wait_for(&format!("{text:?} in the gateway's output"), || {
            Some(self.output()).filter(|output| output.contains(text))
        });
    }

    /// Writes lines to its standard input.
    pub fn feed<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        let input = self.stdin();
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
        input.flush().unwrap();
    }

    /// Sends it a signal: `TERM`, `INT`, `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.process.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let output = &self.output;
        wait_for("the gateway's end", || {
            let ended = process.try_wait().unwrap();
            if ended.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            ended
        });
        let status = process.wait().unwrap();
        if !status.success() {
            eprintln!("{}", output.lock().unwrap());
        }
        status
    }

    fn stdin(&mut self) -> &mut ChildStdin {
        self.process.stdin.as_mut().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("the gateway printed:\n{}", self.output());
        }
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}
