//! Libraries of functions in data files.

use redstart::config::Protected;
use redstart::resp::request::OwnedRequest;
use redstart::testkit::Kit;

#[test]
fn libraries_survive_a_reload() {
    let folder = std::env::temp_dir().join(format!("redstart-functions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut kit = Kit::new();
    kit.world.config.enable_debug_command = Protected::Yes;
    kit.world.config.dir = folder.display().to_string();
    let code = b"#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    kit.run_request(&OwnedRequest::build([&b"FUNCTION"[..], b"LOAD", code]));
    kit.run("SET k v");
    assert_eq!(kit.run("DEBUG RELOAD"), "+OK");
    assert_eq!(kit.run("FCALL f 0"), "7");
    assert_eq!(kit.run("DEBUG RELOAD NOSAVE NOFLUSH"), "-ERR Error trying to load the RDB dump, check server logs.");
    assert_eq!(kit.run("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), "+OK");
    assert_eq!(kit.run("FCALL f 0"), "7");
    let _ = std::fs::remove_dir_all(folder);
}
