use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Discard, Logger, o};
use wmbus::Profiles;

use super::*;

fn profile(manufacturer: &str, model: &str, version: u8) -> String {
    format!(
        "manufacturer = \"{manufacturer}\"\nmodel = \"{model}\"\nmatch = [{{ version = {version}, type = 2 }}]\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The models of the directory's profiles.
fn models(directory: &Directory) -> Vec<String> {
    let (_, files, _) = directory.result();
    files
        .iter()
        .map(|file| file.profile.model.clone())
        .collect()
}

/// All mistakes, without the folder.
fn mistakes(directory: &Directory, folder: &Path) -> Vec<String> {
    let (_, _, mistakes) = directory.result();
    let folder = format!("{}/", folder.display());
    mistakes
        .iter()
        .map(|mistake| mistake.to_string().replace(&folder, ""))
        .collect()
}

fn model_of_omnipower(profiles: &Profiles) -> Option<String> {
    let meter = wmbus::profile::MeterType {
        manufacturer: "KAM".parse().unwrap(),
        version: 0x30,
        medium: wmbus::Medium(2),
    };
    profiles.find(meter).map(|profile| profile.model.clone())
}

#[test]
fn files_add_to_the_embedded_profiles_and_take_their_places() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "abc/one.toml", &profile("ABC", "One", 1));
    write(folder.path(), "mine.toml", &profile("KAM", "Mine", 0x30));
    write(folder.path(), "notes.txt", "no profile");
    write(folder.path(), ".hidden.toml", "no profile");
    write(folder.path(), "a/b/deep.toml", "no profile");
    let directory = Directory::read(folder.path());
    assert_eq!(models(&directory), ["One", "Mine"]);
    assert_eq!(mistakes(&directory, folder.path()), [""; 0]);
    let (profiles, ..) = directory.result();
    assert_eq!(model_of_omnipower(&profiles).unwrap(), "Mine");
    assert_eq!(
        profiles.iter().count(),
        Profiles::embedded().iter().count() + 2
    );
}

#[test]
fn a_broken_file_is_told_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "one.toml", &profile("ABC", "One", 1));
    let mut directory = Directory::read(folder.path());
    write(
        folder.path(),
        "one.toml",
        &format!("{}colour = 1\n", profile("ABC", "Two", 1)),
    );
    assert!(directory.look(true));
    assert_eq!(models(&directory), ["One"]);
    let [mistake] = &mistakes(&directory, folder.path())[..] else {
        panic!("one mistake")
    };
    assert!(
        mistake.starts_with("one.toml:4: colour: unknown key"),
        "{mistake}"
    );
    // Nothing changes until the file does.
    assert!(!directory.look(true));
    write(folder.path(), "one.toml", &profile("ABC", "Two", 1));
    assert!(directory.look(true));
    assert_eq!(models(&directory), ["Two"]);
    assert_eq!(mistakes(&directory, folder.path()), [""; 0]);
}

#[test]
fn a_removed_file_gives_the_embedded_profile_back() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "mine.toml", &profile("KAM", "Mine", 0x30));
    let mut directory = Directory::read(folder.path());
    fs::remove_file(folder.path().join("mine.toml")).unwrap();
    assert!(directory.look(false));
    let (profiles, ..) = directory.result();
    assert_eq!(model_of_omnipower(&profiles).unwrap(), "OmniPower");
}

#[test]
fn a_file_is_not_read_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut directory = Directory::read(folder.path());
    write(folder.path(), "one.toml", "manufacturer = \"ABC\"\n");
    assert!(!directory.look(false), "seen once");
    write(folder.path(), "one.toml", &profile("ABC", "One", 1));
    assert!(!directory.look(false), "it has changed");
    assert_eq!(models(&directory), [""; 0]);
    assert!(directory.look(false), "it looks the same again");
    assert_eq!(models(&directory), ["One"]);
    assert!(!directory.look(false));
}

#[test]
fn a_directory_that_goes_away_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profiles");
    write(&path, "one.toml", &profile("ABC", "One", 1));
    let mut directory = Directory::read(&path);
    fs::rename(&path, folder.path().join("away")).unwrap();
    assert!(directory.look(true));
    assert_eq!(models(&directory), ["One"]);
    assert_eq!(mistakes(&directory, folder.path()).len(), 1);
    fs::rename(folder.path().join("away"), &path).unwrap();
    assert!(directory.look(true));
    assert_eq!(mistakes(&directory, folder.path()), [""; 0]);
}

#[test]
fn of_two_files_for_one_meter_or_model_the_first_counts() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.toml", &profile("ABC", "One", 1));
    write(folder.path(), "b.toml", &profile("ABC", "Two", 1));
    write(folder.path(), "c.toml", &profile("ABC", "One", 2));
    let directory = Directory::read(folder.path());
    assert_eq!(models(&directory), ["One"]);
    let a = folder.path().join("a.toml").display().to_string();
    let a = a.replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(
        mistakes(&directory, folder.path()),
        [
            format!("b.toml:3: match: {a} is for this meter, too, and counts"),
            format!("c.toml:2: model: {a} is for this model, too, and counts"),
        ]
    );
}

#[test]
fn what_is_no_profile_is_told_and_the_rest_works() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(folder.path(), "one.toml", &profile("ABC", "One", 1));
    write(folder.path(), "large.toml", &"#".repeat(300 << 10));
    fs::write(at("latin.toml"), b"\n# \xE9\n").unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(at("fifo.toml"))
        .status();
    assert!(fifo.unwrap().success());
    symlink("/dev/zero", at("zero.toml")).unwrap();
    symlink("nowhere.toml", at("dangling.toml")).unwrap();
    symlink("loop.toml", at("loop.toml")).unwrap();
    // A way in circles: every file has two paths.
    fs::create_dir(at("circle")).unwrap();
    symlink("..", at("circle/up.toml")).unwrap();
    fs::create_dir(at("folder.toml")).unwrap();
    fs::write(
        at("x").with_file_name(std::ffi::OsStr::from_bytes(b"\xFF.toml")),
        "",
    )
    .unwrap();

    let directory = Directory::read(folder.path());
    let told = mistakes(&directory, folder.path());
    for expected in [
        "large.toml: is larger than 256 kB",
        "latin.toml:2: is not UTF-8",
        "fifo.toml: is no regular file",
        "zero.toml: is no regular file",
        "dangling.toml: cannot be read: ",
        "loop.toml: cannot be read: ",
        "circle/up.toml: is no regular file",
        "\u{FFFD}.toml: manufacturer: is missing",
    ] {
        assert!(
            told.iter().any(|mistake| mistake.starts_with(expected)),
            "{expected:?} is not in {told:#?}"
        );
    }
    assert_eq!(models(&directory), ["One"]);
}

#[test]
fn ten_thousand_files_do_not_hold_anything_up() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10_000 {
        let name = format!("{number:05}.toml");
        fs::write(
            folder.path().join(name),
            profile("ABC", &format!("M{number}"), (number % 256) as u8),
        )
        .unwrap();
    }
    let mut directory = Directory::read(folder.path());
    let told = mistakes(&directory, folder.path());
    assert!(
        told[0].ends_with("10000 files, and only the first 1000 are read"),
        "{}",
        told[0]
    );
    assert_eq!(models(&directory).len(), 256);
    assert!(!directory.look(false));
}

#[test]
fn a_change_comes_into_force_while_it_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let in_force = Arc::new(InForce::default());
    let watch = Watch::start(
        folder.path().to_owned(),
        Duration::from_millis(10),
        Arc::clone(&in_force),
        Logger::root(Discard, o!()),
    )
    .unwrap();
    let wait_for_model = |model: &str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while model_of_omnipower(&in_force.profiles()).as_deref() != Some(model) {
            assert!(Instant::now() < deadline, "never {model}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let wait_for_count = |what: &str, count: u64| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while watch.section()()[what] != count {
            assert!(Instant::now() < deadline, "never {count} {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for_model("OmniPower");
    let before = in_force.generation();
    write(folder.path(), "mine.toml", &profile("KAM", "Mine", 0x30));
    wait_for_model("Mine");
    assert!(in_force.generation() > before);
    wait_for_count("from_files", 1);
    write(folder.path(), "mine.toml", "broken");
    wait_for_count("mistakes", 1);
    wait_for_model("Mine");
    fs::remove_file(folder.path().join("mine.toml")).unwrap();
    wait_for_model("OmniPower");
}
