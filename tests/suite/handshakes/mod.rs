//! What the programs of the ecosystem send, and what they read from the answers: client libraries when they connect,
//! frameworks, GUIs, exporters and dev tools. Read from their sources; a test per program, named after it.
//!
//! Where a program probes for something that this version lacks (scripts, replication), the test says which error it takes
//! for a no, and becomes strict by itself when the command is there.

mod clients;
mod commands;
mod frameworks;
mod guis;
mod tools;

use redstart::testkit::Kit;
use std::collections::BTreeMap;

/// INFO's sections by their headers, each with its fields, read as exporters and GUIs do: lines end with CR LF, a header
/// begins with `# `, and a field's name ends at the first colon.
type Info = BTreeMap<String, BTreeMap<String, String>>;

fn info(kit: &mut Kit, request: &str) -> Info {
    let reply = kit.run(request);
    let text = reply.trim_start_matches("=txt:").trim_matches('"').replace("\\r\\n", "\r\n");
    let (mut sections, mut section) = (Info::new(), String::new());
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        match (line.strip_prefix("# "), line.split_once(':')) {
            (Some(header), _) => {
                section = header.to_owned();
                sections.insert(section.clone(), BTreeMap::new());
            }
            (None, Some((name, value))) => {
                sections.get_mut(&section).expect("a field in a section").insert(name.to_owned(), value.to_owned());
            }
            (None, None) => panic!("neither a header nor a field: {line}"),
        }
    }
    sections
}

/// True if the server has this command.
fn knows(kit: &mut Kit, command: &str) -> bool {
    let resp3 = std::mem::take(&mut kit.session.resp3);
    let known = kit.run(&format!("COMMAND INFO {command}")) != "[nil]";
    kit.session.resp3 = resp3;
    known
}

/// The reply if the server has the command. If not, a program is to hear that from an error that it understands.
fn if_known(kit: &mut Kit, request: &str) -> Option<String> {
    let name = request.split(' ').next().unwrap_or_default();
    if knows(kit, name) {
        return Some(kit.run(request));
    }
    let reply = kit.run(request);
    assert!(reply.starts_with(&format!("-ERR unknown command '{name}', with args beginning with: ")), "{reply}");
    None
}
