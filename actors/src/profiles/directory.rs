//! The operator's directory of profiles: which files there are, what is in them, and what is wrong with them.
//!
//! Files that end in `.toml`, in the directory and in the folders in it; other files, deeper folders and names that begin with a dot are
//! not looked at. Symbolic links are followed, to files only as deep as that, so there is no going in circles. What is not a regular file, is
//! larger than 256 kB, or is beyond the first 1,000 files, is a mistake like any other: it is told, and the rest works.
//!
//! Of a file that is broken the last good version stays in force. Of two files for the same model or meter, the first by its path counts.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use wmbus::profile::{MeterType, ProfileError, ProfileFile};
use wmbus::{Manufacturer, Profile, Profiles};

/// The directory as it was seen last.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    files: BTreeMap<PathBuf, Known>,
    /// What is wrong with the directory itself.
    mistakes: Vec<FileMistake>,
}

/// What is known of one file.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// What was seen is what was read.
    read: bool,
    /// The last version without mistakes.
    good: Option<Good>,
    mistakes: Vec<ProfileError>,
}

/// A profile, with the lines that later mistakes may blame.
#[derive(Debug)]
struct Good {
    profile: Arc<Profile>,
    model_line: usize,
    meter_lines: Vec<usize>,
}

/// A mistake in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMistake {
    /// The file, or the directory itself.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: ProfileError,
}

/// `FILE:LINE: KEY: WHAT`, as the mistakes in the settings.
impl fmt::Display for FileMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.error.line.is_some() { ":" } else { ": " };
        write!(f, "{}{separator}{}", self.path.display(), self.error)
    }
}

/// A profile that a file gives.
#[derive(Debug, Clone)]
pub struct FileProfile {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub profile: Arc<Profile>,
}

impl Directory {
    /// Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            files: BTreeMap::new(),
            mistakes: Vec::new(),
        }
    }

    /// Reads all files at once.
    pub fn read(path: impl Into<PathBuf>) -> Self {
        let mut directory = Self::new(path);
        directory.look(true);
        directory
    }

    /// Looks at the directory again and reads what changed; says whether that changed anything. A file that is being written is left until
    /// it looks the same twice, unless `at_once`.
    pub fn look(&mut self, at_once: bool) -> bool {
        let (found, mistakes) = find(&self.path);
        let mut changed = std::mem::replace(&mut self.mistakes, mistakes) != self.mistakes;
        // A directory that cannot be read has not lost its files.
        if let Some(found) = found {
            let before = self.files.len();
            self.files.retain(|path, _| found.contains_key(path));
            changed |= self.files.len() != before;
            for (path, stamp) in found {
                changed |= self.look_at(path, stamp, at_once);
            }
        }
        changed
    }

    fn look_at(&mut self, path: PathBuf, stamp: Stamp, at_once: bool) -> bool {
        let known = self.files.entry(path.clone()).or_insert_with(|| Known {
            stamp: Stamp::default(),
            read: true,
            good: None,
            mistakes: Vec::new(),
        });
        if known.stamp != stamp {
            known.stamp = stamp;
            known.read = false;
            if !at_once {
                return false;
            }
        }
        !known.read && known.take(&path)
    }

    /// The embedded profiles with those of the directory in their places; which files those are from; and all mistakes.
    pub fn result(&self) -> (Arc<Profiles>, Vec<FileProfile>, Vec<FileMistake>) {
        let mut profiles = Profiles::clone(&Profiles::embedded());
        let mut from_files = Vec::new();
        let mut mistakes = self.mistakes.clone();
        let mut taken = Taken::default();
        for (path, known) in &self.files {
            let in_file = |error| FileMistake {
                path: path.clone(),
                error,
            };
            mistakes.extend(known.mistakes.iter().cloned().map(in_file));
            let Some(good) = &known.good else { continue };
            if let Some(error) = taken.conflict(good) {
                mistakes.push(in_file(error));
                continue;
            }
            taken.add(path, &good.profile);
            profiles.add(Arc::clone(&good.profile));
            from_files.push(FileProfile {
                path: path.clone(),
                profile: Arc::clone(&good.profile),
            });
        }
        (Arc::new(profiles), from_files, mistakes)
    }
}

impl Known {
    /// Reads the file; says whether that changed anything.
    fn take(&mut self, path: &Path) -> bool {
        self.read = true;
        let (good, mistakes) = match read(path).and_then(|text| ProfileFile::parse(&text)) {
            Ok(file) => (Some(file), Vec::new()),
            Err(mistakes) => (None, mistakes),
        };
        let mut changed = std::mem::replace(&mut self.mistakes, mistakes) != self.mistakes;
        if let Some(file) = good {
            let same = self
                .good
                .take()
                .map(|good| good.profile)
                .filter(|profile| **profile == file.profile);
            changed |= same.is_none();
            self.good = Some(Good {
                profile: same.unwrap_or_else(|| Arc::new(file.profile)),
                model_line: file.model_line,
                meter_lines: file.meter_lines,
            });
        }
        changed
    }
}

/// What the files before have taken.
#[derive(Default)]
struct Taken<'a> {
    models: HashMap<(Manufacturer, &'a str), &'a Path>,
    meters: HashMap<MeterType, &'a Path>,
}

impl<'a> Taken<'a> {
    fn add(&mut self, path: &'a Path, profile: &'a Profile) {
        self.models
            .insert((profile.manufacturer, &profile.model), path);
        self.meters
            .extend(profile.meters.iter().map(|meter| (*meter, path)));
    }

    fn conflict(&self, good: &Good) -> Option<ProfileError> {
        let profile = &good.profile;
        if let Some(path) = self.models.get(&(profile.manufacturer, &*profile.model)) {
            return Some(ProfileError {
                line: Some(good.model_line),
                key: "model".to_owned(),
                message: format!("{} is for this model, too, and counts", path.display()),
            });
        }
        let mut meters = profile.meters.iter().zip(&good.meter_lines);
        meters.find_map(|(meter, line)| {
            let path = self.meters.get(meter)?;
            Some(ProfileError {
                line: Some(*line),
                key: "match".to_owned(),
                message: format!("{} is for this meter, too, and counts", path.display()),
            })
        })
    }
}

/// What tells whether a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The files, unless the directory cannot be read, and what is wrong besides what is in them.
fn find(directory: &Path) -> (Option<BTreeMap<PathBuf, Stamp>>, Vec<FileMistake>) {
    let mut mistakes = Vec::new();
    let top = match names(directory) {
        Ok(top) => top,
        Err(error) => {
            mistakes.push(mistake(directory, format!("cannot be read: {error}")));
            return (None, mistakes);
        }
    };
    let mut paths = Vec::new();
    for path in top {
        if path.is_dir() {
            match names(&path) {
                Ok(inner) => paths.extend(inner),
                Err(error) => mistakes.push(mistake(&path, format!("cannot be read: {error}"))),
            }
        } else {
            paths.push(path);
        }
    }
    paths.retain(|path| path.extension() == Some(OsStr::new("toml")));
    paths.sort_unstable();
    if paths.len() > MOST {
        let message = format!("{} files, and only the first {MOST} are read", paths.len());
        mistakes.push(mistake(directory, message));
        paths.truncate(MOST);
    }
    let mut found = BTreeMap::new();
    for path in paths {
        match fs::metadata(&path) {
            Ok(metadata) => {
                found.insert(path, Stamp::of(&metadata));
            }
            Err(error) => mistakes.push(mistake(&path, format!("cannot be read: {error}"))),
        }
    }
    (Some(found), mistakes)
}

/// What is in a directory, without what is hidden.
fn names(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)?.take(MOST_ENTRIES) {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            names.push(entry.path());
        }
    }
    Ok(names)
}

/// The text of a regular file, not too large.
fn read(path: &Path) -> Result<String, Vec<ProfileError>> {
    let failed = |message: String| vec![of_file(message)];
    // Without blocking: a FIFO has no reader to wait for.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    let metadata = file
        .metadata()
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(failed("is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(format!("is larger than {} kB", LARGEST >> 10)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let lines = before
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte == b'\n');
        vec![ProfileError {
            line: Some(1 + lines.count()),
            ..of_file("is not UTF-8".to_owned())
        }]
    })
}

fn mistake(path: &Path, message: String) -> FileMistake {
    FileMistake {
        path: path.to_owned(),
        error: of_file(message),
    }
}

fn of_file(message: String) -> ProfileError {
    ProfileError {
        line: None,
        key: String::new(),
        message,
    }
}

/// Larger files are no profiles. Bytes.
const LARGEST: u64 = 256 << 10;

/// Files that are read at most: several times as many as there are types of meters.
const MOST: usize = 1_000;

/// Names in one folder that are looked at.
const MOST_ENTRIES: usize = 20_000;
