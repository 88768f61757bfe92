//! The tools beside the server, in process and by the binary.

use redstart::check::rdb;
use std::path::{Path, PathBuf};
use std::process::Command;

fn check(bytes: &[u8]) -> (Option<u64>, String) {
    let mut told = Vec::new();
    let end = rdb::check("x.rdb", bytes, bytes.len() as u64, &mut told).expect("a vector takes everything");
    (end, String::from_utf8(told).expect("text"))
}

fn reference_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rdb");
    let files = std::fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|name| name == "rdb")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn whole_files_are_found_in_order() {
    for path in reference_files() {
        let bytes = std::fs::read(&path).expect("it can be read");
        let (end, told) = check(&bytes);
        assert_eq!(end, Some(bytes.len() as u64), "{}: {told}", path.display());
        assert!(told.starts_with("[offset 0] Checking RDB file x.rdb\n"), "{told}");
        assert!(told.contains("\\o/ RDB looks OK! \\o/\n[info] "), "{told}");
        // What stands behind (the tail of an append-only file) is not looked at.
        assert_eq!(check(&[&bytes[..], b"*1\r\n"].concat()).0, Some(bytes.len() as u64));
    }
}

/// However a file is cut, the place is told, and the key that was being read.
#[test]
fn cut_files_are_found_out() {
    for path in reference_files() {
        let bytes = std::fs::read(&path).expect("it can be read");
        for length in (0..bytes.len()).step_by(1 + bytes.len() / 500) {
            let (end, told) = check(&bytes[..length]);
            assert!(end.is_none() && told.contains("--- RDB ERROR DETECTED ---\n[offset "), "{length}: {told}");
            assert!(told.contains("[additional info] While doing: ") && told.contains(" keys read\n"), "{length}: {told}");
        }
    }
    let mut file = b"REDIS0011\xfe\x00\x00\x03key\x05val".to_vec();
    let told = check(&file).1;
    for line in ["While doing: read-object-value", "Reading key 'key'", "Reading type 0 (string)", "[info] 1 keys read"] {
        assert!(told.contains(line), "{told}");
    }
    file.extend_from_slice(b"ue\xff\x01\x02\x03\x04\x05\x06\x07\x08");
    let told = check(&file).1;
    assert!(told.contains("wrong checksum") && told.contains("While doing: check-sum"), "{told}");
    file.truncate(file.len() - 8);
    file.extend_from_slice(&[0; 8]);
    let told = check(&file).1;
    assert!(told.contains("saved with checksum disabled") && told.contains("RDB looks OK"), "{told}");
}

#[test]
fn the_binary_is_the_tool_by_its_first_argument() {
    let file = &reference_files()[0];
    let run = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_redstart")).args(args).output().expect("it runs");
        (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned())
    };
    let (good, told) = run(&["check-rdb", &file.display().to_string()]);
    assert!(good && told.contains("RDB looks OK"), "{told}");
    let (good, told) = run(&["check-rdb", "/nowhere.rdb"]);
    assert!(!good && told.contains("Cannot open file /nowhere.rdb"), "{told}");
    let (good, told) = run(&["check-rdb"]);
    assert!(!good && told.starts_with("Usage: "), "{told}");
    assert!(run(&["redis-check-rdb", "-v"]).1.starts_with("redis-check-rdb "));
}

/// A folder for files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("redstart-check-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).expect("written");
    }

    /// Runs the tool on a file in the folder.
    fn check(&self, options: &[&str], name: &str, answers: &str) -> (bool, String) {
        let mut args: Vec<std::ffi::OsString> = options.iter().map(Into::into).collect();
        args.push(self.0.join(name).into());
        let mut told = Vec::new();
        let good = redstart::check::aof::run(&args, &mut answers.as_bytes(), &mut told).expect("a vector takes everything");
        (good, String::from_utf8(told).expect("text"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn requests(requests: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        if request.starts_with('#') {
            bytes.extend_from_slice(format!("{request}\r\n").as_bytes());
            continue;
        }
        let words: Vec<&str> = request.split(' ').collect();
        bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        words.iter().for_each(|word| bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes()));
    }
    bytes
}

#[test]
fn append_only_files_are_checked_and_mended() {
    let folder = Folder::new("single");
    let good = requests(&["SET foo hello", "MULTI", "INCR n", "EXEC"]);
    folder.write("a.aof", &good);
    let (ok, told) = folder.check(&[], "a.aof", "");
    assert!(ok && told.starts_with("Start checking Old-Style AOF\nAOF analyzed: ") && told.contains("is valid"), "{told}");

    // However it is cut, only whole requests and transactions stay.
    let ends = [0, requests(&["SET foo hello"]).len(), good.len()];
    for length in 1..good.len() {
        folder.write("a.aof", &good[..length]);
        let (ok, told) = folder.check(&[], "a.aof", "");
        assert_eq!(ok, ends.contains(&length), "{length}: {told}");
        let (ok, _) = folder.check(&["--fix"], "a.aof", "n\n");
        assert_eq!(ok, ends.contains(&length));
        assert_eq!(std::fs::read(folder.0.join("a.aof")).expect("there").len(), length, "nobody agreed");
        let (ok, told) = folder.check(&["--fix"], "a.aof", "y\n");
        assert!(ok, "{length}: {told}");
        let left = std::fs::read(folder.0.join("a.aof")).expect("there").len();
        assert_eq!(Some(&left), ends.iter().rev().find(|end| **end <= length), "{length}");
    }
    for (broken, why) in [
        (&b"!!!"[..], "AOF "),
        (b"*1\r\n$-5\r\nx\r\n", "not in the suitable range"),
        (b"*1\r\n$9223372036854775807\r\nx\r\n", "Expected to read 9223372036854775809 bytes, got 3"),
        (b"*1\r\n+3\r\nfoo\r\n", "Expected prefix '$', got: '+'"),
        (b"*1\r\n$3\r\nfooxx", "Expected \\r\\n, got: 7878"),
        (b"*x\r\n", "Expected \\r\\n, got: 780d"),
        (b"*1\r\n$4\r\nEXEC\r\n", "Unexpected EXEC in AOF"),
        (b"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n", "Unexpected MULTI in AOF"),
        (b"*1\r\n$5\r\nMULTI\r\n", "Reached EOF before reading EXEC for MULTI"),
    ] {
        folder.write("b.aof", &[&requests(&["SET foo hello"])[..], broken].concat());
        let (ok, told) = folder.check(&[], "b.aof", "");
        assert!(!ok && told.contains(why) && told.contains("is not valid. Use the --fix option"), "{told}");
    }
    // A line is counted where reading stopped.
    folder.write("b.aof", &[&requests(&["SET foo hello"])[..], b"!!!"].concat());
    assert!(folder.check(&[], "b.aof", "").1.contains("ok_up_to_line=8"));
    folder.write("empty.aof", b"");
    assert!(folder.check(&[], "empty.aof", "").1.contains("is empty"));
}

#[test]
fn append_only_files_go_back_in_time() {
    let folder = Folder::new("time");
    let parts = [requests(&["#TS:100", "SET a 1"]), requests(&["#TS:200", "SET b 2"]), requests(&["#TS:300"])];
    folder.write("a.aof", &parts.concat());
    let run = |time: &str| folder.check(&["--truncate-to-timestamp", time], "a.aof", "");
    let (ok, told) = run("300");
    assert!(ok && told.contains("Truncate nothing in AOF"), "{told}");
    let (ok, told) = run("250");
    assert!(ok && told.contains("Successfully truncated AOF") && told.contains("to timestamp 250"), "{told}");
    assert_eq!(std::fs::read(folder.0.join("a.aof")).expect("there"), parts[..2].concat());
    let (ok, told) = run("99");
    assert!(!ok && told.contains("has nothing before timestamp 99, aborting"), "{told}");
    assert!(!run("soon").0);
}

#[test]
fn files_of_a_manifest_are_checked_together() {
    let folder = Folder::new("manifest");
    let manifest = "file \"a b.base.rdb\" seq 1 type b\nfile old.incr.aof seq 1 type h\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n";
    folder.write("a.manifest", manifest.as_bytes());
    let rdb = std::fs::read(reference_files().iter().find(|path| path.ends_with("redis8.0-lru.rdb")).expect("it is there"));
    folder.write("a b.base.rdb", &[&rdb.expect("it can be read")[..], &requests(&["SET k v"])].concat());
    folder.write("a.1.incr.aof", &requests(&["SET k v"]));
    folder.write("a.2.incr.aof", &requests(&["SET k v"]));
    let (ok, told) = folder.check(&[], "a.manifest", "");
    let mut rest = &told[..];
    for line in [
        "Start checking Multi Part AOF",
        "Start to check BASE AOF (RDB format).",
        "RDB preamble is OK, proceeding with AOF tail...",
        "BASE AOF a b.base.rdb is valid",
        "Start to check INCR files.",
        "INCR AOF a.1.incr.aof is valid",
        "INCR AOF a.2.incr.aof is valid",
        "All AOF files and manifest are valid",
    ] {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("{line} is missing in {told}")).1;
    }
    assert!(ok);
    // Only the last one may be cut.
    folder.write("a.1.incr.aof", b"*1\r\n$3\r\n");
    let (ok, told) = folder.check(&["--fix"], "a.manifest", "y\n");
    assert!(!ok && told.contains("Failed to truncate AOF a.1.incr.aof because it is not the last file"), "{told}");
    folder.write("a.1.incr.aof", &requests(&["#TS:5", "SET k v"]));
    let (ok, told) = folder.check(&["--truncate-to-timestamp", "1"], "a.manifest", "");
    assert!(!ok && told.contains("has nothing before"), "{told}");
    for (broken, why) in [
        ("file a seq 1\n", "Invalid AOF manifest file format"),
        ("file a seq 1 type x\n", "Unknown AOF file type"),
        ("file ../a seq 1 type b\n", "File can't be a path"),
        ("file a seq 1 type b\nfile b seq 1 type b\n", "Found duplicate base file information"),
        ("file a seq 1 type b\n!!!\n", "Invalid AOF manifest file format"),
    ] {
        folder.write("a.manifest", broken.as_bytes());
        let (ok, told) = folder.check(&[], "a.manifest", "");
        assert!(!ok && told.contains(why), "{told}");
    }
}
