//! The command line.

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::check_config::check_config;
use crate::exit::Exit;
use crate::settings::{DEFAULT_FILE, Environment};

/// Smart-meter gateway: hears wireless M-Bus meters and delivers every reading to an MQTT broker.
#[derive(Debug, Parser)]
#[command(name = "omnigate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find every mistake in the settings
    ///
    /// Prints a line for each, with file, line and key. Exit code 0 if there is none, otherwise 1.
    CheckConfig(ConfigArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigArguments {
    /// The settings
    #[arg(long, value_name = "FILE", env = "OMNIGATE_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

impl Cli {
    /// Reads the command line of this process; ends it when that is wrong, or asks for help.
    pub fn of_process() -> Self {
        Self::parse()
    }

    /// Does what it says.
    pub fn execute(self) -> Exit {
        let done = match self.command {
            Command::CheckConfig(arguments) => check_config(
                &arguments.config,
                &Environment::of_process(),
                &mut io::stdout().lock(),
            ),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
