//! Who writes when: on a file whose syncs last as long as the test wants, and whose writes are slow or fail.

use super::*;
use crate::persist::aof::group;
use crate::persist::disk::RealDisk;
use std::path::Path;

/// A file in memory.
#[derive(Clone, Default)]
struct Fake(Arc<(Mutex<Inner>, Condvar)>);

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    /// Syncs wait, and changes of names; and somebody does.
    shut: bool,
    waiting: bool,
    slow_writes: u32,
    /// Writes that leave a byte behind and fail, and cuts that fail.
    failing_writes: u32,
    failing_cuts: u32,
    /// Syncs that fail, and forget what was not synced before; and syncs that take long.
    failing_syncs: u32,
    slow_syncs: u32,
    synced: usize,
    told: u32,
    /// The file that is created next.
    next: Option<Fake>,
}

impl Inner {
    fn put(&mut self, bytes: &[u8], at: u64) {
        let (at, end) = (at as usize, at as usize + bytes.len());
        assert!(at <= self.bytes.len(), "a hole");
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(bytes);
        self.synced = self.synced.min(at);
    }
}

impl Fake {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.0.lock().unwrap()
    }

    fn shut(&self) {
        self.inner().shut = true;
    }

    fn pass(&self) {
        self.inner().waiting = true;
        let mut inner = self.0.1.wait_while(self.inner(), |inner| inner.shut).unwrap();
        inner.waiting = false;
    }

    /// Waits until somebody is at the gate.
    fn await_waiting(&self) {
        while !self.inner().waiting {
            std::thread::yield_now();
        }
    }

    fn open(&self) {
        self.inner().shut = false;
        self.0.1.notify_all();
    }

    /// What is in the file, without the remarks of groups and the reserve.
    fn text(&self) -> String {
        let text = String::from_utf8(self.inner().bytes.clone()).unwrap();
        let (mut text, mut data) = (text.trim_end_matches(['#', '\n']), String::new());
        while let Some((before, rest)) = text.split_once("#G:") {
            data.push_str(before);
            text = rest.split_once('\n').unwrap().1;
        }
        data + text
    }

    fn writer(&self, policy: AppendFsync) -> Writer {
        let teller = self.clone();
        let tell = Box::new(move || teller.inner().told += 1);
        Writer::start(Arc::new(self.clone()), Some(Box::new(self.clone())), 0, policy, tell).unwrap()
    }
}

impl LogFile for Fake {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut inner = self.inner();
        if inner.slow_writes > 0 {
            inner.slow_writes -= 1;
            std::thread::sleep(WRITE_PATIENCE * 2);
        }
        if inner.failing_writes > 0 {
            inner.failing_writes -= 1;
            inner.put(&bytes[..1], at);
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.put(bytes, at);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.pass();
        let mut inner = self.inner();
        if inner.slow_syncs > 0 {
            inner.slow_syncs -= 1;
            std::thread::sleep(SYNC_SLOW * SYNC_SMOOTHING);
        }
        if inner.failing_syncs > 0 {
            inner.failing_syncs -= 1;
            let synced = inner.synced;
            inner.bytes[synced..].fill(b'?');
            return Err(io::ErrorKind::Other.into());
        }
        inner.synced = inner.bytes.len();
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.failing_cuts > 0 {
            inner.failing_cuts -= 1;
            return Err(io::ErrorKind::Other.into());
        }
        inner.bytes.truncate(len as usize);
        inner.synced = inner.synced.min(len as usize);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.inner().bytes.len() as u64)
    }
}

/// A disk with this file only.
impl Disk for Fake {
    fn append(&self, _: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(self.clone()))
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn LogFile>> {
        self.pass();
        Ok(Box::new(self.inner().next.clone().unwrap_or_default()))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.pass();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_folder(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Who kills the process right after a reply finds what the reply told of in the file.
#[test]
fn what_is_appended_is_written_before_anything_is_answered() {
    for policy in [AppendFsync::Everysec, AppendFsync::No] {
        let file = Fake::default();
        let writer = file.writer(policy);
        writer.shared().append([b"", b"one "], 4);
        assert_eq!((file.text().as_str(), writer.shared().settled(), writer.shared().file_len()), ("one ", 4, 4));
        writer.shared().append([b"#TS ", b"two"], 7);
        assert_eq!((file.text().as_str(), writer.shared().settled()), ("one #TS two", 7));
        assert!(!writer.shared().holds_replies() && writer.shared().durable() == 0);
        drop(writer);
    }
}

#[test]
fn a_sync_keeps_nobody_waiting_but_for_long() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::Everysec);
    let shared = writer.shared();
    shared.append([b"", b"a"], 1);
    file.shut();
    shared.change(Change::Sync);
    file.await_waiting();
    shared.append([b"", b"b"], 2);
    assert_eq!((file.text().as_str(), shared.settled(), shared.holds_replies()), ("a", 1, false));
    lock(&shared.state).taken_at -= THREAD_PATIENCE * 2;
    shared.append([b"", b"c"], 3);
    assert_eq!((file.text().as_str(), shared.settled(), shared.holds_replies()), ("a", 1, true));
    let told = file.inner().told;
    file.open();
    shared.drain();
    assert_eq!((file.text().as_str(), shared.settled()), ("abc", 3));
    assert!(file.inner().told > told);
    shared.append([b"", b"d"], 4);
    assert_eq!((file.text().as_str(), shared.settled(), shared.holds_replies()), ("abcd", 4, false));
}

fn manifest() -> ManifestText {
    ManifestText { folder: PathBuf::new(), temporary: String::new(), name: String::new(), bytes: Vec::new() }
}

/// Names on the disk are nothing that a write has to wait for.
#[test]
fn the_engine_writes_while_files_get_their_names() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::Everysec);
    let shared = writer.shared();
    for change in [Change::Tidy { manifest: manifest() }, Change::Install { renames: Vec::new(), manifest: manifest() }] {
        // Before a rewrite's files are named what is in them is synced.
        shared.change(Change::Sync);
        shared.drain();
        shared.take_reports();
        let before = shared.settled();
        file.shut();
        shared.change(change);
        file.await_waiting();
        shared.append([b"", b"x"], before + 1);
        assert_eq!((file.text().len() as u64, shared.settled(), shared.holds_replies()), (before + 1, before + 1, false));
        file.open();
        shared.drain();
        assert_eq!(shared.take_reports().len(), 1);
    }
    drop(writer);
    assert_eq!(file.text(), "xx");
}

/// What is in a file that no list names is lost with the process.
#[test]
fn replies_wait_while_the_thread_goes_on_in_another_file() {
    let (file, next) = (Fake::default(), Fake::default());
    file.inner().next = Some(next.clone());
    let writer = file.writer(AppendFsync::Everysec);
    let shared = writer.shared();
    shared.append([b"", b"a"], 1);
    file.shut();
    shared.change(Change::Rotate { path: PathBuf::new(), manifest: None });
    shared.append([b"", b"b"], 2);
    assert_eq!((shared.settled(), shared.holds_replies()), (1, true));
    file.open();
    shared.drain();
    assert_eq!((file.text().as_str(), next.text().as_str(), shared.settled()), ("a", "b", 2));
    shared.append([b"", b"c"], 3);
    assert_eq!((next.text().as_str(), shared.settled(), shared.holds_replies()), ("bc", 3, false));
}

#[test]
fn a_disk_that_takes_bytes_slowly_is_left_to_the_thread_for_a_while() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::Everysec);
    let shared = writer.shared();
    file.inner().slow_writes = 1;
    shared.append([b"", b"a"], 1);
    assert_eq!((file.text().as_str(), shared.holds_replies()), ("a", false));
    shared.append([b"", b"b"], 2);
    assert!(shared.holds_replies());
    shared.drain();
    assert_eq!((file.text().as_str(), shared.settled()), ("ab", 2));
    lock(&shared.state).left_until = Some(Instant::now());
    shared.append([b"", b"c"], 3);
    assert_eq!((file.text().as_str(), shared.settled(), shared.holds_replies()), ("abc", 3, false));
}

/// What a failed write leaves must not stand between what is whole, even if it cannot be cut off at once.
#[test]
fn the_rest_of_a_failed_write_does_not_stay() {
    for policy in [AppendFsync::Everysec, AppendFsync::Always] {
        let file = Fake::default();
        let writer = file.writer(policy);
        let shared = writer.shared();
        shared.append([b"", b"first "], 6);
        shared.drain();
        {
            let mut inner = file.inner();
            (inner.failing_writes, inner.failing_cuts) = (2, 2);
        }
        shared.append([b"", b"second "], 13);
        await_recovery(shared);
        assert_eq!(file.text(), "first second ");
        shared.append([b"", b"third"], 18);
        shared.drain();
        assert_eq!((file.text().as_str(), shared.settled()), ("first second third", 18));
    }
}

/// Waits until what failed works again, and nothing is lost.
fn await_recovery(shared: &Shared) {
    let mut reports = Vec::new();
    while reports.len() < 2 {
        reports.extend(shared.take_reports());
        std::thread::yield_now();
    }
    assert!(matches!(reports[..], [Report::Failed(_), Report::Recovered { doubtful: false }]), "{reports:?}");
    shared.drain();
}

#[test]
fn who_syncs_depends_on_how_long_it_takes() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::Always);
    let shared = writer.shared();
    shared.append([b"", b"a"], 1);
    assert_eq!((file.text().as_str(), shared.settled(), shared.durable()), ("a", 1, 1));
    file.inner().slow_syncs = 1;
    shared.append([b"", b"b"], 2);
    assert_eq!((shared.settled(), shared.syncs_are_quick()), (2, false));
    file.shut();
    shared.append([b"", b"c"], 3);
    assert_eq!(shared.settled(), 2, "the engine is not kept");
    file.await_waiting();
    file.open();
    shared.drain();
    assert_eq!((file.text().as_str(), shared.settled()), ("abc", 3));
    let mut end = 3;
    while !shared.syncs_are_quick() {
        end += 1;
        shared.append([b"", b"d"], end);
        shared.drain();
    }
    let told = file.inner().told;
    shared.append([b"", b"e"], end + 1);
    assert_eq!((shared.settled(), file.inner().told), (end + 1, told));
}

/// The system may have thrown away what a failed sync was to save, and forget that it did.
#[test]
fn what_a_failed_sync_was_to_commit_is_written_again() {
    for leaves_to_thread in [false, true] {
        let file = Fake::default();
        let writer = file.writer(AppendFsync::Always);
        let shared = writer.shared();
        shared.append([b"", b"first "], 6);
        shared.quick_syncs.store(!leaves_to_thread, Ordering::Relaxed);
        file.inner().failing_syncs = 2;
        shared.append([b"", b"second "], 13);
        assert_eq!(shared.settled(), 6);
        shared.append([b"", b"third"], 18);
        await_recovery(shared);
        while shared.settled() < 18 {
            std::thread::yield_now();
        }
        assert_eq!(file.text(), "first second third");
        let inner = file.inner();
        assert_eq!(inner.synced, inner.bytes.len());
    }
}

/// What was written under a policy that keeps nothing for a sync cannot be written again: a rewrite is to save it.
#[test]
fn what_a_failed_sync_was_to_save_may_be_lost() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::No);
    let shared = writer.shared();
    shared.append([b"", b"before "], 7);
    shared.set_policy(AppendFsync::Always, false);
    shared.drain();
    let mut reports = Vec::new();
    shared.set_policy(AppendFsync::No, false);
    shared.drain();
    shared.append([b"", b"more "], 12);
    file.inner().failing_syncs = 1;
    shared.set_policy(AppendFsync::Always, false);
    while reports.len() < 2 {
        reports.extend(shared.take_reports());
        std::thread::yield_now();
    }
    assert!(matches!(reports[..], [Report::Failed(_), Report::Recovered { doubtful: true }]), "{reports:?}");
}

/// A sync of a file that grows takes longer than one of a file that does not.
#[test]
fn what_is_waited_for_takes_the_place_of_a_reserve() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::Always);
    let shared = writer.shared();
    shared.append([b"", b"x"], 1);
    assert_eq!(file.inner().bytes, b"x", "little is not worth a reserve");
    shared.append([b"", &[b'x'; 1024]], 1025);
    let (mut grown, mut size) = (1, 0);
    let mut end = 1025;
    for _ in 0..1000 {
        end += 100;
        shared.append([b"", &[b'x'; 100]], end);
        grown += usize::from(file.inner().bytes.len() > size);
        size = file.inner().bytes.len();
    }
    assert!((3..6).contains(&grown), "{grown}: each reserve is twice as long as the one before");
    assert_eq!(file.text(), "x".repeat(101_025));
    assert!(shared.file_len() < size as u64 && shared.file_len() < 150_000, "what is told is what is in it");
    // Too long for a reader to check.
    let long = "y".repeat(group::LEN_MAX + 1);
    shared.append([b"", long.as_bytes()], end + long.len() as u64);
    assert!(file.inner().bytes.ends_with(b"yyy"));
    let mut end = end + long.len() as u64;
    let mut append = |bytes: &[u8]| {
        end += bytes.len() as u64;
        shared.append([b"", bytes], end);
    };
    append(&[b'z'; 1024]);
    assert!(file.inner().bytes.ends_with(b"#\n"));
    shared.set_policy(AppendFsync::Everysec, false);
    append(b"a");
    assert!(file.inner().bytes.ends_with(b"za"));
    shared.set_policy(AppendFsync::Always, false);
    append(&[b'b'; 1024]);
    assert!(file.inner().bytes.ends_with(b"#\n"));
    drop(writer);
    assert!(file.inner().bytes.ends_with(b"b"), "whoever ends leaves no reserve");
}

#[test]
fn where_there_is_no_room_for_a_reserve_there_is_none() {
    let file = Fake::default();
    let writer = file.writer(AppendFsync::Always);
    file.inner().failing_writes = 1;
    writer.shared().append([b"", &[b'a'; 1024]], 1024);
    assert_eq!((writer.shared().settled(), file.inner().bytes.last()), (1024, Some(&b'a')));
    writer.shared().append([b"", &[b'b'; 1024]], 2048);
    assert!(file.inner().bytes.ends_with(b"#\n"));
    assert_eq!(file.text(), "a".repeat(1024) + &"b".repeat(1024));
}
