//! Who writes when: on a file whose syncs last as long as the test wants, and whose writes are slow or fail.

use super::*;

/// A file in memory.
#[derive(Clone, Default)]
struct Fake(Arc<(Mutex<Inner>, Condvar)>);

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    /// Syncs wait.
    shut: bool,
    slow_writes: u32,
    /// Writes that leave a byte behind and fail, and cuts that fail.
    failing_writes: u32,
    failing_cuts: u32,
    told: u32,
}

impl Fake {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.0.lock().unwrap()
    }

    fn open(&self) {
        self.inner().shut = false;
        self.0.1.notify_all();
    }

    fn text(&self) -> String {
        String::from_utf8(self.inner().bytes.clone()).unwrap()
    }

    fn writer(&self, policy: AppendFsync) -> Writer {
        let teller = self.clone();
        let tell = Box::new(move || teller.inner().told += 1);
        let disk = Arc::new(crate::persist::disk::RealDisk);
        Writer::start(disk, Some(Box::new(self.clone())), 0, policy, tell).unwrap()
    }
}

impl LogFile for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.inner();
        if inner.slow_writes > 0 {
            inner.slow_writes -= 1;
            std::thread::sleep(WRITE_PATIENCE * 2);
        }
        if inner.failing_writes > 0 {
            inner.failing_writes -= 1;
            inner.bytes.push(bytes[0]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        drop(self.0.1.wait_while(self.inner(), |inner| inner.shut).unwrap());
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.failing_cuts > 0 {
            inner.failing_cuts -= 1;
            return Err(io::ErrorKind::Other.into());
        }
        inner.bytes.truncate(len as usize);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.inner().bytes.len() as u64)
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
    file.inner().shut = true;
    shared.change(Change::Sync);
    while !shared.is_syncing() {
        std::thread::yield_now();
    }
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
        let mut reports = Vec::new();
        while file.text() != "first second " || reports.len() < 2 {
            reports.extend(shared.take_reports());
            std::thread::yield_now();
        }
        assert!(matches!(reports[..], [Report::Failed(_), Report::Recovered { doubtful: false }]), "{reports:?}");
        shared.append([b"", b"third"], 18);
        shared.drain();
        assert_eq!((file.text().as_str(), shared.settled()), ("first second third", 18));
    }
}
