//! `omnigate profiles`: the profiles of types of meters, embedded and of a directory, which takes whose place, and every mistake.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use omnigate_actors::profiles::{Directory, FileMistake, FileProfile};
use serde_json::{Value, json};
use wmbus::profile::MeterType;
use wmbus::{Profile, Profiles};

use crate::exit::Exit;
use crate::table::Table;

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people: a table, and a line for each mistake.
    Table,
    /// For programs: one JSON object.
    Json,
}

/// Writes all profiles and all mistakes of the directory, if there is one. [`Exit::Failed`] if there is a mistake.
///
/// # Errors
/// Those of `out`.
pub fn profiles(directory: Option<&Path>, form: Form, out: &mut impl Write) -> io::Result<Exit> {
    let (from_files, mistakes) = match directory {
        Some(path) => {
            let (_, from_files, mistakes) = Directory::read(path).result();
            (from_files, mistakes)
        }
        None => (Vec::new(), Vec::new()),
    };
    let embedded = Profiles::embedded();
    let listed = list(&from_files, &embedded);
    match form {
        Form::Table => {
            write_table(&listed, out)?;
            for mistake in &mistakes {
                writeln!(out, "{mistake}")?;
            }
        }
        Form::Json => {
            let profiles: Vec<_> = listed.iter().map(Listed::to_json).collect();
            let mistakes: Vec<_> = mistakes.iter().map(mistake_json).collect();
            let all = json!({"profiles": profiles, "mistakes": mistakes});
            serde_json::to_writer_pretty(&mut *out, &all)?;
            writeln!(out)?;
        }
    }
    Ok(match mistakes.as_slice() {
        [] => Exit::Clean,
        _ => Exit::Failed,
    })
}

/// A profile, where it comes from, and what became of it.
struct Listed<'a> {
    profile: &'a Profile,
    /// The file; `None` for the embedded ones.
    file: Option<&'a Path>,
    /// The file that took its place.
    replaced_by: Option<&'a Path>,
    /// The meters that other files took from it.
    taken: Vec<(MeterType, &'a Path)>,
}

fn list<'a>(from_files: &'a [FileProfile], embedded: &'a Profiles) -> Vec<Listed<'a>> {
    let mut models = HashMap::new();
    let mut meters = HashMap::new();
    for FileProfile { path, profile } in from_files {
        models.insert((profile.manufacturer, &*profile.model), path.as_path());
        meters.extend(profile.meters.iter().map(|meter| (*meter, path.as_path())));
    }
    let of_files = from_files
        .iter()
        .map(|FileProfile { path, profile }| Listed {
            profile,
            file: Some(path),
            replaced_by: None,
            taken: Vec::new(),
        });
    let embedded = embedded.iter().map(|profile| {
        let taken = profile.meters.iter();
        Listed {
            profile,
            file: None,
            replaced_by: models
                .get(&(profile.manufacturer, &*profile.model))
                .copied(),
            taken: taken
                .filter_map(|meter| Some((*meter, *meters.get(meter)?)))
                .collect(),
        }
    });
    let mut all: Vec<_> = of_files.chain(embedded).collect();
    all.sort_by_key(|listed| {
        let profile = listed.profile;
        (
            profile.manufacturer.to_string(),
            profile.model.to_lowercase(),
            listed.file.is_none(),
        )
    });
    all
}

impl Listed<'_> {
    fn to_json(&self) -> Value {
        let profile = self.profile;
        let meter = |meter: &MeterType| json!({"manufacturer": meter.manufacturer.to_string(), "version": meter.version, "type": meter.medium.0});
        json!({
            "manufacturer": profile.manufacturer.to_string(),
            "model": profile.model,
            "meters": profile.meters.iter().map(meter).collect::<Vec<_>>(),
            "fields": profile.fields.len(),
            "channels": profile.channels.len(),
            "file": self.file.map(|file| file.display().to_string()),
            "replaced_by": self.replaced_by.map(|file| file.display().to_string()),
        })
    }

    /// Where it comes from, and what became of it.
    fn origin(&self) -> String {
        let mut origin = match self.file {
            Some(file) => file.display().to_string(),
            None => "embedded".to_owned(),
        };
        if let Some(path) = self.replaced_by {
            origin += &format!(", replaced by {}", path.display());
        } else {
            for (meter, path) in &self.taken {
                origin += &format!(", {} taken by {}", short(meter), path.display());
            }
        }
        origin
    }
}

fn write_table(listed: &[Listed<'_>], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        "manufacturer",
        "model",
        "meters",
        " fields",
        " channels",
        "from",
    ]);
    for listed in listed {
        let profile = listed.profile;
        let meters: Vec<_> = profile.meters.iter().map(short).collect();
        table.add([
            profile.manufacturer.to_string(),
            profile.model.clone(),
            shorten(&meters),
            profile.fields.len().to_string(),
            profile.channels.len().to_string(),
            listed.origin(),
        ]);
    }
    table.write(out)
}

/// Manufacturer, version and type, the last two in hexadecimal as in an address.
fn short(meter: &MeterType) -> String {
    format!(
        "{}-{:02X}-{:02X}",
        meter.manufacturer, meter.version, meter.medium.0
    )
}

/// The first of many.
fn shorten(meters: &[String]) -> String {
    match meters {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first} {second} {third} and {} more", rest.len())
        }
        few => few.join(" "),
    }
}

fn mistake_json(mistake: &FileMistake) -> Value {
    json!({
        "file": mistake.path.display().to_string(),
        "line": mistake.error.line,
        "key": mistake.error.key,
        "message": mistake.error.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str =
        "manufacturer = 'KAM'\nmodel = 'OmniPower'\nmatch = [{ version = 0x30, type = 2 }]\n";

    fn listed(files: &[(&str, &str)], form: Form) -> (Exit, String) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut out = Vec::new();
        let exit = profiles(Some(folder.path()), form, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        (
            exit,
            out.replace(&format!("{}/", folder.path().display()), ""),
        )
    }

    #[test]
    fn says_which_takes_whose_place() {
        let other = MINE.replace("OmniPower", "Other");
        let (exit, table) = listed(&[("mine.toml", MINE)], Form::Table);
        assert_eq!(exit, Exit::Clean);
        assert!(table.lines().any(|line| line.starts_with("KAM ")
            && line.contains("OmniPower")
            && line.ends_with("embedded, replaced by mine.toml")));
        assert!(
            table
                .lines()
                .any(|line| line.contains("OmniPower") && line.ends_with(" mine.toml"))
        );
        let (_, table) = listed(&[("other.toml", &other)], Form::Table);
        assert!(
            table
                .lines()
                .any(|line| line.ends_with("embedded, KAM-30-02 taken by other.toml"))
        );
    }

    #[test]
    fn tells_every_mistake() {
        let broken = "manufacturer = 'K'\nmodel = ''\ncolour = 1\nmatch = []\n";
        let (exit, table) = listed(&[("a.toml", MINE), ("b.toml", broken)], Form::Table);
        assert_eq!(exit, Exit::Failed);
        for mistake in [
            "b.toml:1: manufacturer: ",
            "b.toml:2: model: ",
            "b.toml:3: colour: ",
        ] {
            assert!(
                table.lines().any(|line| line.starts_with(mistake)),
                "{mistake} is not in {table}"
            );
        }
        let (exit, text) = listed(&[("b.toml", broken)], Form::Json);
        assert_eq!(exit, Exit::Failed);
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(all["mistakes"][0]["file"], "b.toml");
        assert_eq!(all["mistakes"][0]["line"], 1);
        assert_eq!(all["mistakes"][0]["key"], "manufacturer");
        let embedded = Profiles::embedded().iter().count();
        assert_eq!(all["profiles"].as_array().unwrap().len(), embedded);
    }

    #[test]
    fn without_a_directory_the_embedded_ones_are_listed() {
        let mut out = Vec::new();
        assert_eq!(profiles(None, Form::Table, &mut out).unwrap(), Exit::Clean);
        let lines = String::from_utf8(out).unwrap().lines().count();
        assert_eq!(lines, 1 + Profiles::embedded().iter().count());
    }
}
