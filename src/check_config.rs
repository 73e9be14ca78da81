//! `omnigate check-config`: every mistake in the settings and in the directory of profiles that they name.

use std::io::{self, Write};
use std::path::Path;

use omnigate_actors::profiles::Directory;

use crate::exit::Exit;
use crate::settings::{Environment, Settings};

/// Writes a line for each mistake, or says that there is none.
///
/// # Errors
/// Those of `out`.
pub fn check_config(
    file: &Path,
    environment: &Environment,
    out: &mut impl Write,
) -> io::Result<Exit> {
    let settings = match Settings::load(file, environment) {
        Ok(settings) => settings,
        Err(mistakes) => {
            writeln!(out, "{mistakes}")?;
            return Ok(Exit::Failed);
        }
    };
    let mistakes = match settings.profiles.directory {
        Some(directory) => Directory::read(directory).result().2,
        None => Vec::new(),
    };
    for mistake in &mistakes {
        writeln!(out, "{mistake}")?;
    }
    if !mistakes.is_empty() {
        return Ok(Exit::Failed);
    }
    writeln!(out, "{}: no mistakes", file.display())?;
    Ok(Exit::Clean)
}

/// Writes the state directory, for scripts; the mistakes, if there are any, go to standard error.
///
/// # Errors
/// Those of `out`.
pub fn print_state_dir(
    file: &Path,
    environment: &Environment,
    out: &mut impl Write,
) -> io::Result<Exit> {
    match Settings::load(file, environment) {
        Ok(settings) => {
            writeln!(out, "{}", settings.gateway.state_dir.display())?;
            Ok(Exit::Clean)
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            Ok(Exit::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (Exit, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("omnigate.toml");
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        let exit = check_config(&file, &Environment::default(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        (exit, out.replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn says_that_there_is_no_mistake() {
        assert_eq!(
            check("[gateway]\nid = 'g'\n"),
            (Exit::Clean, "/omnigate.toml: no mistakes\n".to_owned())
        );
    }

    #[test]
    fn names_the_mistakes_in_profiles() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.toml"), "colour = 1\n").unwrap();
        let settings = format!(
            "[gateway]\nid = 'g'\n[profiles]\ndirectory = {:?}\n",
            folder.path()
        );
        let (exit, out) = check(&settings);
        assert_eq!(exit, Exit::Failed);
        assert!(out.contains("/x.toml:1: colour: unknown key"), "{out}");
    }

    #[test]
    fn names_every_mistake() {
        let (exit, out) = check("[gateway]\nid = ''\n[log]\nsyslog = 1\n");
        assert_eq!(exit, Exit::Failed);
        assert_eq!(out.lines().count(), 2, "{out}");
        assert!(out.starts_with("/omnigate.toml:2: gateway.id: "), "{out}");
    }
}
