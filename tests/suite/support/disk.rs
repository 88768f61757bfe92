//! A disk that loses power: what was not synced may be gone afterwards, in part or in whole, and while it is broken its calls
//! fail. It keeps its files in a real folder, so that a server can be started on what is left.

use redstart::clock::Rng;
use redstart::persist::disk::{Disk, LogFile, RealDisk};
use std::collections::{HashMap, HashSet};
use std::io::{self, Error};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The disk.
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<Inner>>);

struct Inner {
    rng: Rng,
    /// Calls in a thousand that fail.
    failures: u64,
    /// Folders do not sync.
    folders_fail: bool,
    /// Power is off.
    off: bool,
    /// Bytes of each open file that are safe.
    synced: HashMap<PathBuf, u64>,
    /// What other bytes took the place of, which are not yet safe: where it was, and what.
    replaced: HashMap<PathBuf, Vec<(u64, Vec<u8>)>>,
    /// New names of files that are open under the old ones.
    moved: HashMap<PathBuf, PathBuf>,
    /// Changes of names that are not yet safe, with what they replaced.
    names: Vec<Name>,
}

enum Name {
    Created(PathBuf),
    /// Moved from the first to the second; what the second held before.
    Moved(PathBuf, PathBuf, Option<Vec<u8>>),
}

impl Inner {
    /// Fails if the power is off, or by chance.
    fn check(&mut self) -> io::Result<()> {
        match self.off || (self.failures > 0 && self.rng.below(1000) < self.failures) {
            true => Err(Error::from_raw_os_error(libc::EIO)),
            false => Ok(()),
        }
    }

    /// Of each sector that was written some of the last writes, or none, are not on the disk. `replaced`: all writes in their
    /// order.
    fn lose_sectors(&mut self, file: &std::fs::File, replaced: &[(u64, Vec<u8>)]) {
        const SECTOR: u64 = 512;
        let mut settled = HashSet::new();
        for (at, old) in replaced.iter().rev() {
            let (mut at, mut old) = (*at, &old[..]);
            while !old.is_empty() {
                let in_sector = ((SECTOR - at % SECTOR) as usize).min(old.len());
                if !settled.contains(&(at / SECTOR)) {
                    match self.rng.below(2) {
                        0 => file.write_all_at(&old[..in_sector], at).unwrap(),
                        _ => drop(settled.insert(at / SECTOR)),
                    }
                }
                (at, old) = (at + in_sector as u64, &old[in_sector..]);
            }
        }
    }
}

impl FaultyDisk {
    /// A disk that works.
    pub fn new(seed: u64) -> Self {
        let (synced, replaced, moved) = Default::default();
        let inner = Inner {
            rng: Rng::seeded(seed),
            failures: 0,
            folders_fail: false,
            off: false,
            synced,
            replaced,
            moved,
            names: Vec::new(),
        };
        FaultyDisk(Arc::new(Mutex::new(inner)))
    }

    /// Lets so many calls in a thousand fail.
    pub fn set_failures(&self, per_thousand: u64) {
        self.0.lock().unwrap().failures = per_thousand;
    }

    /// Lets folders sync no longer, or again.
    pub fn set_folders_fail(&self, fail: bool) {
        self.0.lock().unwrap().folders_fail = fail;
    }

    /// Turns the power off: nothing is written any more, and of what was not synced a random part is lost.
    pub fn lose_power(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.off = true;
        let count = inner.names.len() as u64;
        let kept = inner.rng.below(count + 1) as usize;
        let mut names = std::mem::take(&mut inner.names);
        // Names are journaled in order: the last ones are lost.
        for name in names.drain(kept..).rev() {
            match name {
                Name::Created(path) => drop(std::fs::remove_file(path)),
                Name::Moved(from, to, before) => {
                    let _ = std::fs::rename(&to, &from);
                    if let Some(replaced) = inner.replaced.remove(&to) {
                        inner.replaced.insert(from.clone(), replaced);
                    }
                    if let Some(len) = inner.synced.remove(&to) {
                        inner.synced.insert(from, len);
                    }
                    if let Some(bytes) = before {
                        std::fs::write(&to, bytes).unwrap();
                    }
                }
            }
        }
        let replaced: Vec<_> = inner.replaced.drain().collect();
        for (path, replaced) in replaced {
            if let Ok(file) = std::fs::File::options().write(true).open(&path) {
                inner.lose_sectors(&file, &replaced);
            }
        }
        let files: Vec<(PathBuf, u64)> = inner.synced.drain().collect();
        for (path, synced) in files {
            if let Ok(about) = std::fs::metadata(&path)
                && about.len() > synced
            {
                let len = synced + inner.rng.below(about.len() - synced + 1);
                std::fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
            }
        }
    }

    /// The disk for one call that may fail. The power does not go in the middle of one: what a call did would not be known.
    fn call(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.0.lock().unwrap();
        inner.check()?;
        Ok(inner)
    }

    fn open(&self, inner: &mut Inner, path: &Path, file: Box<dyn LogFile>, is_new: bool) -> Box<dyn LogFile> {
        if is_new {
            inner.names.push(Name::Created(path.to_owned()));
        }
        let len = file.size().unwrap_or(0);
        inner.moved.remove(path);
        inner.synced.insert(path.to_owned(), if is_new { 0 } else { len });
        Box::new(FaultyFile { disk: self.clone(), path: path.to_owned(), file })
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    /// The name under which it was opened, or the one it has now.
    path: PathBuf,
    file: Box<dyn LogFile>,
}

impl FaultyFile {
    fn name(&self, inner: &Inner) -> PathBuf {
        inner.moved.get(&self.path).unwrap_or(&self.path).clone()
    }

    /// Remembers what bytes at `at` will take the place of.
    fn overwrite(&self, inner: &mut Inner, at: u64, len: usize) -> io::Result<()> {
        let size = self.file.size()?;
        let name = self.name(inner);
        let mut old = vec![0; len.min(size.saturating_sub(at) as usize)];
        if !old.is_empty() {
            std::fs::File::open(&name)?.read_exact_at(&mut old, at)?;
            inner.replaced.entry(name).or_default().push((at, old));
        }
        Ok(())
    }
}

impl LogFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let disk = self.disk.clone();
        let mut inner = disk.call()?;
        let short = inner.failures > 0 && inner.rng.below(4) == 0;
        let part = match short {
            true => inner.rng.below(bytes.len() as u64) as usize + 1,
            false => bytes.len(),
        };
        self.overwrite(&mut inner, at, part)?;
        self.file.write_at(&bytes[..part], at)
    }

    fn sync(&mut self) -> io::Result<()> {
        let disk = self.disk.clone();
        let mut inner = disk.call()?;
        self.file.sync()?;
        let len = self.file.size()?;
        let name = self.name(&inner);
        inner.replaced.remove(&name);
        inner.synced.insert(name, len);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let disk = self.disk.clone();
        let mut inner = disk.call()?;
        self.file.truncate(len)?;
        let name = self.name(&inner);
        if let Some(synced) = inner.synced.get_mut(&name) {
            *synced = len.min(*synced);
        }
        if let Some(replaced) = inner.replaced.get_mut(&name) {
            replaced.retain_mut(|(at, old)| {
                old.truncate(len.saturating_sub(*at) as usize);
                !old.is_empty()
            });
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

impl Disk for FaultyDisk {
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut inner = self.call()?;
        let is_new = !path.exists();
        Ok(self.open(&mut inner, path, RealDisk.append(path)?, is_new))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut inner = self.call()?;
        let is_new = !path.exists();
        Ok(self.open(&mut inner, path, RealDisk.create(path)?, is_new))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.call()?;
        let before = std::fs::read(to).ok();
        RealDisk.rename(from, to)?;
        if let Some(replaced) = inner.replaced.remove(from) {
            inner.replaced.insert(to.to_owned(), replaced);
        }
        if let Some(len) = inner.synced.remove(from) {
            inner.synced.insert(to.to_owned(), len);
            inner.moved.insert(from.to_owned(), to.to_owned());
        }
        inner.names.push(Name::Moved(from.to_owned(), to.to_owned(), before));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Data that are gone without need are no loss; and what is listed nowhere is not missed.
        let mut inner = self.call()?;
        inner.synced.remove(path);
        inner.replaced.remove(path);
        inner.names.retain(|name| !matches!(name, Name::Created(created) if created == path));
        RealDisk.remove(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let _inner = self.call()?;
        RealDisk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.call()?;
        if inner.folders_fail {
            return Err(Error::from_raw_os_error(libc::EIO));
        }
        RealDisk.sync_folder(path)?;
        inner.names.retain(|name| match name {
            Name::Created(at) | Name::Moved(_, at, _) => at.parent() != Some(path),
        });
        Ok(())
    }
}
