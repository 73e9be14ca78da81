//! A disk in memory below SQLite, which forgets what was not forced onto it when the power is cut, and fails on demand.
//!
//! It keeps, per file, what the operating system would show, what is on the platter, and every write in between. A cut takes the platter
//! and any part of the writes: each sector of each write is there or not, in no order. That is what a disk may do that keeps
//! neighbouring bytes intact when the power fails during a write, which is SQLite's own assumption ("powersafe overwrite").

#![expect(
    unsafe_code,
    reason = "SQLite calls a file system through C function pointers"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, ffi};

use super::support::Random;
use crate::store::disk::failure::Failure;
use crate::store::disk::state_dir::Place;

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub(super) struct Medium {
    name: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    /// Removed, but the directory was not forced since.
    removed: BTreeMap<String, Vec<u8>>,
    /// Calls that changed something.
    operations: u64,
    cut_at: Option<u64>,
    cut: Option<Image>,
    random: Random,
    pub(super) faults: Faults,
    traffic: Traffic,
}

/// What the disk does wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// Room in all, in bytes.
    pub(super) capacity: Option<u64>,
    /// The code that every write fails with.
    pub(super) write: Option<c_int>,
    /// The code that every forcing fails with.
    pub(super) sync: Option<c_int>,
    /// The code that every read fails with.
    pub(super) read: Option<c_int>,
    /// The code that every attempt to open a file fails with.
    pub(super) open: Option<c_int>,
    /// Forcing is answered and not done.
    pub(super) sync_lies: bool,
}

/// What the disk was asked to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) syncs: u64,
    pub(super) written: u64,
}

/// What is on a disk after a power cut.
#[derive(Debug, Clone, Default)]
pub(super) struct Image(BTreeMap<String, Vec<u8>>);

#[derive(Debug, Clone, Default)]
struct File {
    current: Vec<u8>,
    platter: Vec<u8>,
    /// It will be found after a cut.
    listed: bool,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Medium {
    /// A disk with these files on it.
    pub(super) fn new(image: Image, seed: u64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("medium-{}", NUMBER.fetch_add(1, Relaxed));
        let files = image.0.into_iter().map(|(name, content)| {
            let file = File {
                current: content.clone(),
                platter: content,
                listed: true,
                pending: Vec::new(),
            };
            (name, file)
        });
        let state = State {
            files: files.collect(),
            random: Random::new(seed),
            ..State::default()
        };
        let medium = Self {
            name,
            state: Arc::new(Mutex::new(state)),
        };
        medium.register();
        medium
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Cuts the power before so many more changes; what is left is then had from [`Medium::cut`].
    pub(super) fn cut_after(&self, operations: u64) {
        let mut state = self.state();
        state.cut_at = Some(state.operations + operations);
    }

    /// What the power cut has left, if it has come.
    pub(super) fn cut(&self) -> Option<Image> {
        self.state().cut.take()
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state().cut.is_some()
    }

    /// What a program that is killed leaves: all that the operating system knows.
    pub(super) fn kept_by_system(&self) -> Image {
        Image(
            self.state()
                .files
                .iter()
                .map(|(name, file)| (name.clone(), file.current.clone()))
                .collect(),
        )
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().traffic
    }

    /// Changes a file behind SQLite's back.
    pub(super) fn damage(&self, name: &str, how: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.files.get_mut(name).unwrap();
        how(&mut file.current);
        file.platter = file.current.clone();
        file.pending.clear();
    }

    pub(super) fn files(&self) -> BTreeMap<String, usize> {
        self.state()
            .files
            .iter()
            .map(|(name, file)| (name.clone(), file.current.len()))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn open(&self, name: &str) -> Result<Connection, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let vfs = CString::new(self.name.clone()).unwrap();
        Ok(Connection::open_with_flags_and_vfs(
            name,
            flags,
            vfs.as_c_str(),
        )?)
    }

    fn register(&self) {
        let name = CString::new(self.name.clone()).unwrap();
        let app_data: *const Mutex<State> = Arc::into_raw(Arc::clone(&self.state));
        // SQLite wants these for as long as the process lives, and a test's process is short.
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: size_of::<OpenFile>() as c_int,
            mxPathname: 512,
            pNext: ptr::null_mut(),
            zName: name.into_raw(),
            pAppData: app_data as *mut c_void,
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure is complete, and it and what it points to live for ever.
        assert_eq!(unsafe { ffi::sqlite3_vfs_register(vfs, 0) }, ffi::SQLITE_OK);
    }
}

impl Place for Medium {
    fn connect(&self) -> Result<Connection, Failure> {
        self.open(DATABASE)
    }

    fn connect_read_only(&self) -> Result<Connection, Failure> {
        Err(Failure::Other("not on this disk".to_owned()))
    }

    fn set_aside(&self, _: Timestamp) -> Result<(String, Option<Connection>), Failure> {
        let mut state = self.state();
        for suffix in ["", "-wal"] {
            if let Some(file) = state.files.remove(&format!("{DATABASE}{suffix}")) {
                state.files.insert(format!("{ASIDE}{suffix}"), file);
            }
        }
        drop(state);
        Ok((ASIDE.to_owned(), self.open(ASIDE).ok()))
    }
}

pub(super) const DATABASE: &str = "store.db";
pub(super) const ASIDE: &str = "aside.db";

impl State {
    /// One more change; the power may fail before it.
    fn change(&mut self) {
        if self.cut_at == Some(self.operations) {
            self.cut = Some(self.take_image());
        }
        self.operations += 1;
    }

    fn take_image(&mut self) -> Image {
        // Disks differ in how much they keep.
        let kept = *self.random.pick(&[0, 50, 90, 100]);
        let mut image = BTreeMap::new();
        for (name, content) in &self.removed {
            if self.random.chance(50) {
                image.insert(name.clone(), content.clone());
            }
        }
        for (name, file) in &self.files {
            if file.listed || self.random.chance(kept) {
                image.insert(name.clone(), file.after_cut(kept, &mut self.random));
            }
        }
        Image(image)
    }

    fn used(&self) -> u64 {
        self.files
            .values()
            .map(|file| file.current.len() as u64)
            .sum()
    }
}

impl File {
    fn after_cut(&self, kept: u64, random: &mut Random) -> Vec<u8> {
        let mut content = self.platter.clone();
        for change in &self.pending {
            match change {
                Change::Truncate(length) => {
                    if random.chance(kept) {
                        content.truncate(*length);
                    }
                }
                Change::Write(offset, data) => {
                    let (mut at, mut rest) = (*offset, data.as_slice());
                    while !rest.is_empty() {
                        let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                        if random.chance(kept) {
                            write_at(&mut content, at, sector);
                        }
                        at += sector.len();
                        rest = after;
                    }
                }
            }
        }
        content
    }
}

fn write_at(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}

const SECTOR: usize = 512;

/// What SQLite keeps for us per open file.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    state: *const Mutex<State>,
    /// Leaked: SQLite gives no other chance to keep it.
    name: *const c_char,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// SAFETY: `vfs` is one that [`Medium::register`] made; its state is never freed.
unsafe fn state_of<'a>(vfs: *mut ffi::sqlite3_vfs) -> MutexGuard<'a, State> {
    unsafe { (*(*vfs).pAppData.cast::<Mutex<State>>()).lock().unwrap() }
}

/// SAFETY: `file` is one that [`open`] has filled in.
unsafe fn of<'a>(file: *mut ffi::sqlite3_file) -> (MutexGuard<'a, State>, String) {
    unsafe {
        let file = &*file.cast::<OpenFile>();
        let name = CStr::from_ptr(file.name).to_str().unwrap().to_owned();
        ((*file.state).lock().unwrap(), name)
    }
}

unsafe fn text(name: *const c_char) -> String {
    // SAFETY: SQLite passes names that end with a zero.
    unsafe { CStr::from_ptr(name).to_str().unwrap().to_owned() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with room for an `OpenFile` and a name, which only temporary files lack; `temp_store` forbids those.
    unsafe {
        (*file).pMethods = ptr::null();
        let mut state = state_of(vfs);
        if let Some(code) = state.faults.open {
            return code;
        }
        let name = text(name);
        if !state.files.contains_key(&name) {
            if flags & ffi::SQLITE_OPEN_CREATE == 0 {
                return ffi::SQLITE_CANTOPEN;
            }
            state.change();
            state.removed.remove(&name);
            state.files.insert(name.clone(), File::default());
        }
        let open = &mut *file.cast::<OpenFile>();
        open.state = (*vfs).pAppData.cast();
        open.name = CString::new(name).unwrap().into_raw();
        open.base.pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as SQLite calls it.
    let (mut state, name) = unsafe { (state_of(vfs), text(name)) };
    if let Some(code) = state.faults.write {
        return code;
    }
    state.change();
    match state.files.remove(&name) {
        None => return ffi::SQLITE_IOERR_DELETE_NOENT,
        Some(file) if sync == 0 && file.listed => {
            state.removed.insert(name, file.platter);
        }
        Some(_) => {}
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    result: *mut c_int,
) -> c_int {
    // SAFETY: as SQLite calls it.
    unsafe {
        // An empty file counts as none, as in SQLite's own.
        let exists = state_of(vfs)
            .files
            .get(&text(name))
            .is_some_and(|file| !file.current.is_empty());
        *result = c_int::from(exists);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: as SQLite calls it, with `room` bytes at `out`.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(
    vfs: *mut ffi::sqlite3_vfs,
    count: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: as SQLite calls it, with `count` bytes at `out`.
    unsafe {
        let mut state = state_of(vfs);
        for index in 0..count as usize {
            *out.add(index) = state.random.next() as c_char;
        }
    }
    count
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: as SQLite calls it.
    unsafe { *out = 2_460_000.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` has made the name.
    unsafe {
        drop(CString::from_raw(
            (*file.cast::<OpenFile>()).name.cast_mut(),
        ))
    };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: as SQLite calls it, with `count` bytes at `out`.
    unsafe {
        let (state, name) = of(file);
        if let Some(code) = state.faults.read {
            return code;
        }
        let out = std::slice::from_raw_parts_mut(out.cast::<u8>(), count as usize);
        let content = state.files.get(&name).map_or(&[][..], |file| &file.current);
        let found = content.get(offset as usize..).unwrap_or_default();
        let found = &found[..found.len().min(out.len())];
        out[..found.len()].copy_from_slice(found);
        out[found.len()..].fill(0);
        if found.len() < out.len() {
            ffi::SQLITE_IOERR_SHORT_READ
        } else {
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: as SQLite calls it, with `count` bytes at `data`.
    unsafe {
        let (mut state, name) = of(file);
        if let Some(code) = state.faults.write {
            return code;
        }
        let data = std::slice::from_raw_parts(data.cast::<u8>(), count as usize);
        let offset = offset as usize;
        let used = state.used();
        let capacity = state.faults.capacity;
        state.change();
        state.traffic.written += data.len() as u64;
        let Some(file) = state.files.get_mut(&name) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        let growth = (offset + data.len()).saturating_sub(file.current.len()) as u64;
        if growth > 0 && capacity.is_some_and(|capacity| used + growth > capacity) {
            return ffi::SQLITE_FULL;
        }
        write_at(&mut file.current, offset, data);
        file.pending.push(Change::Write(offset, data.to_vec()));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    // SAFETY: as SQLite calls it.
    let (mut state, name) = unsafe { of(file) };
    if let Some(code) = state.faults.write {
        return code;
    }
    state.change();
    if let Some(file) = state.files.get_mut(&name) {
        file.current.truncate(length as usize);
        file.pending.push(Change::Truncate(length as usize));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: as SQLite calls it.
    let (mut state, name) = unsafe { of(file) };
    if let Some(code) = state.faults.sync {
        return code;
    }
    state.change();
    state.traffic.syncs += 1;
    if state.faults.sync_lies {
        return ffi::SQLITE_OK;
    }
    // The first time, SQLite's own file system forces the directory too.
    state.removed.clear();
    if let Some(file) = state.files.get_mut(&name) {
        file.listed = true;
        file.platter = file.current.clone();
        file.pending.clear();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: as SQLite calls it.
    unsafe {
        let (state, name) = of(file);
        *out = state
            .files
            .get(&name)
            .map_or(0, |file| file.current.len() as i64);
    }
    ffi::SQLITE_OK
}

/// One connection at a time uses such a disk.
unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: as SQLite calls it.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR as c_int
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}
