//! The command line.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use omnigate_actors::secrets::Secret;

use crate::check_config::check_config;
use crate::decode;
use crate::exit::Exit;
use crate::logging::Logging;
use crate::settings::{DEFAULT_FILE, Environment, Settings};
use crate::wiring;

/// Smart-meter gateway: hears wireless M-Bus meters and delivers every reading to an MQTT broker.
#[derive(Debug, Parser)]
#[command(name = "omnigate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Until STOP comes over MQTT, or SIGTERM or SIGINT; a second signal ends it at once.
    Run(ConfigArguments),
    /// Find every mistake in the settings
    ///
    /// Prints a line for each, with file, line and key. Exit code 0 if there is none, otherwise 1.
    CheckConfig(ConfigArguments),
    /// Decode telegrams to JSON
    ///
    /// Each input line is `TELEGRAM_HEX [KEY_HEX]` and is answered by one line with a JSON object, in order: what the telegram says, or
    /// `error`, `layer` and `offset`. Exit code 0 if all lines could be decoded, otherwise 1.
    Decode(DecodeArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigArguments {
    /// The settings
    #[arg(long, value_name = "FILE", env = "OMNIGATE_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct DecodeArguments {
    /// The key of lines without one: 32 hexadecimal digits, or 16 for DES. Others on this machine can see it while the program runs; to
    /// hide it put it on the lines or into the variable.
    #[arg(long, value_name = "HEX", env = "OMNIGATE_KEY", hide_env_values = true, value_parser = secret)]
    key: Option<Secret>,
    /// The telegrams; `-` or none is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Cli {
    /// Reads the command line of this process; ends it when that is wrong, or asks for help.
    pub fn of_process() -> Self {
        Self::parse()
    }

    /// Does what it says.
    pub fn execute(self) -> Exit {
        let done = match self.command {
            Command::Run(arguments) => run(&arguments.config),
            Command::CheckConfig(arguments) => check_config(
                &arguments.config,
                &Environment::of_process(),
                &mut io::stdout().lock(),
            ),
            Command::Decode(arguments) => arguments.execute(),
        };
        match done {
            Ok(exit) => exit,
            // Whoever read our output has heard enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Clean,
            Err(error) => {
                eprintln!("omnigate: {error}");
                Exit::Failed
            }
        }
    }
}

impl DecodeArguments {
    fn execute(self) -> io::Result<Exit> {
        let key = match self
            .key
            .map(|key| decode::Key::new(key.expose()))
            .transpose()
        {
            Ok(key) => key,
            Err(error) => return Ok(wrong_use(&format!("--key: {error}"))),
        };
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let all_good = match self.files.as_slice() {
            [] => decode::decode(key, io::stdin().lock(), out)?,
            [file] if file.as_os_str() == "-" => decode::decode(key, io::stdin().lock(), out)?,
            [file] => {
                let input = File::open(file).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
                })?;
                decode::decode(key, input, out)?
            }
            // Not told by clap, which would repeat it: it may be a key.
            _ => {
                return Ok(wrong_use(
                    "only one FILE can be decoded; keys are given with --key or on the lines of the file",
                ));
            }
        };
        Ok(if all_good { Exit::Clean } else { Exit::Failed })
    }
}

fn run(config: &Path) -> io::Result<Exit> {
    let settings = match Settings::load(config, &Environment::of_process()) {
        Ok(settings) => settings,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(Exit::BadSettings);
        }
    };
    let logging = Logging::for_service(settings.log.level, settings.log.syslog);
    wiring::run(&settings, logging.logger())
}

/// Takes any text: what is wrong with it must not be told by clap, which would repeat it.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

fn wrong_use(what: &str) -> Exit {
    eprintln!("omnigate: {what}");
    Exit::WrongUse
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
