//! BGSAVE in all its answers, what it leaves on the disk, and how a failure shows.

use redstart::testkit::Kit;
use std::path::PathBuf;
use std::time::Duration;

/// A server in a box with a folder of its own, which goes with this.
struct Saver {
    kit: Kit,
    folder: PathBuf,
}

impl Saver {
    fn new(name: &str) -> Saver {
        let folder = std::env::temp_dir().join(format!("redstart-saving-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut kit = Kit::new();
        kit.world.config.dir = folder.to_str().unwrap().into();
        kit.world.config.save.clear();
        Saver { kit, folder }
    }

    /// What the engine does with a snapshot, until it is over.
    fn finish(&mut self) {
        let world = &mut self.kit.world;
        let mut snapshot = world.persistence.snapshot.take().expect("a snapshot in the making");
        let result = loop {
            snapshot.step(&mut world.keyspace, Duration::from_millis(1));
            if let Some(result) = snapshot.outcome(&mut world.keyspace) {
                break result;
            }
        };
        world.persistence.saved_in_background(&snapshot, result);
        world.review_restrictions();
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(&self.folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn info(&mut self, field: &str) -> String {
        let info = self.kit.run("INFO persistence");
        let start = info.find(&format!("{field}:")).unwrap_or_else(|| panic!("{field} in {info}")) + field.len() + 1;
        info[start..].split("\\r").next().unwrap().to_owned()
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.kit.world.give_snapshots_up();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn bgsave_saves_while_commands_go_on() {
    let mut saver = Saver::new("good");
    saver.kit.run("SET a 1");
    saver.kit.run("SET b 2");
    assert_eq!(saver.kit.run("BGSAVE"), "+Background saving started");
    assert_eq!(saver.kit.run("BGSAVE"), "-ERR Background save already in progress");
    assert_eq!(saver.kit.run("BGSAVE SCHEDULE"), "-ERR Background save already in progress");
    assert_eq!(saver.kit.run("SAVE"), "-ERR Background save already in progress");
    assert_eq!(saver.kit.run("BGSAVE NOW"), "-ERR syntax error");
    assert_eq!((saver.info("rdb_bgsave_in_progress"), saver.info("rdb_saves")), ("1".into(), "0".into()));
    saver.kit.run("SET b changed");
    saver.kit.run("SET c new");
    saver.finish();
    assert_eq!(saver.files(), ["dump.rdb"]);
    assert_eq!((saver.info("rdb_bgsave_in_progress"), saver.info("rdb_saves")), ("0".into(), "1".into()));
    // What came after the beginning is not in the file.
    assert_eq!((saver.info("rdb_changes_since_last_save"), saver.info("rdb_last_bgsave_status")), ("2".into(), "ok".into()));
    saver.kit.run("FLUSHALL");
    let world = &mut saver.kit.world;
    world.persistence.load(&mut world.keyspace, &world.config, false).unwrap();
    assert_eq!(saver.kit.run("MGET a b c"), r#"["1", "2", nil]"#);
}

#[test]
fn a_transaction_is_not_cut_in_half() {
    let mut saver = Saver::new("multi");
    saver.kit.run("MULTI");
    saver.kit.run("SET a 1");
    saver.kit.run("BGSAVE");
    saver.kit.run("SET b 1");
    assert_eq!(saver.kit.run("EXEC"), "[+OK, +Background saving scheduled, +OK]");
    assert!(saver.kit.world.persistence.background.scheduled && saver.kit.world.persistence.snapshot.is_none());
}

#[test]
fn a_failure_stops_writes_until_saving_works_again() {
    let mut saver = Saver::new("bad");
    saver.kit.run("CONFIG SET save \"3600 1\"");
    saver.kit.world.config.dbfilename = "folder".into();
    std::fs::create_dir(saver.folder.join("folder")).unwrap();
    saver.kit.run("SET a 1");
    assert_eq!(saver.kit.run("BGSAVE"), "+Background saving started");
    saver.finish();
    assert_eq!(saver.files(), ["folder"]);
    assert_eq!(saver.info("rdb_last_bgsave_status"), "err");
    let refusal = saver.kit.run("SET a 2");
    assert!(refusal.starts_with("-MISCONF Redis is configured to save RDB snapshots"), "{refusal}");
    assert_eq!(saver.kit.run("PING"), refusal);
    assert_eq!(saver.kit.run("GET a"), "\"1\"");
    saver.kit.run("CONFIG SET stop-writes-on-bgsave-error no");
    saver.kit.world.adopt_config();
    assert_eq!(saver.kit.run("SET a 3"), "+OK");
    saver.kit.run("CONFIG SET stop-writes-on-bgsave-error yes");
    saver.kit.world.adopt_config();
    assert!(saver.kit.run("SET a 4").starts_with("-MISCONF"));
    saver.kit.world.config.dbfilename = "dump.rdb".into();
    assert_eq!(saver.kit.run("BGSAVE"), "+Background saving started");
    saver.finish();
    assert_eq!(saver.kit.run("SET a 5"), "+OK");
    assert_eq!(saver.files(), ["dump.rdb", "folder"]);
}

#[test]
fn a_missing_folder_is_told_at_once() {
    let mut saver = Saver::new("gone");
    std::fs::remove_dir_all(&saver.folder).unwrap();
    assert_eq!(saver.kit.run("BGSAVE"), "-ERR");
    assert_eq!(saver.info("rdb_last_bgsave_status"), "err");
    std::fs::create_dir_all(&saver.folder).unwrap();
    assert_eq!(saver.kit.run("BGSAVE"), "+Background saving started");
    // Given up, it leaves nothing behind, and that is no failure.
    let world = &mut saver.kit.world;
    world.persistence.last_save_failed = false;
    world.persistence.cancel_save(&mut world.keyspace);
    assert!(saver.files().is_empty());
    assert_eq!(saver.info("rdb_last_bgsave_status"), "ok");
}
