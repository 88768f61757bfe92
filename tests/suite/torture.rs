//! Crash torture: eight clients write values of all types, the server's process is killed at a random moment, also while it
//! rewrites, saves or loads; then it must start again and have everything that it must have.
//!
//! A few rounds by default; `REDSTART_TORTURE_ROUNDS=500` for a long run.

use crate::support::env_number;
use crate::support::scribe::{Model, Written, write_until_gone};
use crate::support::spawn::Server;
use redstart::clock::Rng;
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;

/// What the policies promise: how much of what was acknowledged may be lost.
fn torture(policy: &str, may_lose: Option<Duration>) {
    let rounds = env_number("REDSTART_TORTURE_ROUNDS", 4);
    let mut rng = Rng::seeded(env_number("REDSTART_SEED", 1) + policy.len() as u64);
    let folder = std::env::temp_dir().join(format!("redstart-torture-{policy}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let dir = folder.to_str().unwrap().to_owned();
    let args = |preamble: bool| {
        let preamble = if preamble { "yes" } else { "no" };
        let args = ["--dir", &dir, "--appendonly", "yes", "--appendfsync", policy, "--aof-use-rdb-preamble", preamble];
        let more = ["--enable-debug-command", "yes", "--auto-aof-rewrite-min-size", "100kb"];
        args.iter().chain(&more).map(|arg| (*arg).to_owned()).collect::<Vec<String>>()
    };
    let start = |rng: &mut Rng| {
        let args = args(rng.below(2) == 0);
        Server::ours(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut models: Vec<Model> = (0..CLIENTS).map(|_| Model::default()).collect();
    let (mut total, mut lost) = (0, 0);
    let mut server = start(&mut rng);
    for _ in 0..rounds {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|i| {
                let (address, rng) = (server.address.clone(), Rng::seeded(rng.next_u64()));
                std::thread::spawn(move || write_until_gone(&address, i, rng))
            })
            .collect();
        let mut admin = server.client();
        for _ in 0..rng.below(5) {
            std::thread::sleep(Duration::from_millis(rng.below(40)));
            let request = ["BGREWRITEAOF", "BGREWRITEAOF", "BGSAVE", "SAVE", "CONFIG SET aof-use-rdb-preamble no"];
            let _ = admin.run(request[rng.below(request.len() as u64) as usize]);
        }
        std::thread::sleep(Duration::from_millis(rng.below(100)));
        server.kill();
        let killed = Instant::now();
        let written: Vec<Written> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        if rng.below(3) == 0 {
            kill_while_it_loads(&args(true), Duration::from_millis(rng.below(30)));
        }
        server = start(&mut rng);
        let mut c = server.client();
        let sure_until = may_lose.and_then(|window| killed.checked_sub(window));
        for (i, (model, written)) in models.iter_mut().zip(&written).enumerate() {
            total += written.done.len();
            lost += model.settle(&mut c, i, written, sure_until);
        }
    }
    println!("{policy}: {rounds} rounds, {total} operations acknowledged, {lost} lost");
    // In a single round the end may come before a client has connected.
    assert!(total > 0, "nothing was written");
    if may_lose.is_none() {
        assert_eq!(lost, 0);
    }
    server.kill();
    let _ = std::fs::remove_dir_all(&folder);
}

/// Starts the server and ends it before it is ready, or soon after.
fn kill_while_it_loads(args: &[String], after: Duration) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_redstart"))
        .args(["--port", "0", "--save", ""])
        .args(args)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn always_loses_nothing_that_was_acknowledged() {
    torture("always", None);
}

#[test]
fn everysec_loses_a_second_at_the_most() {
    torture("everysec", Some(Duration::from_secs(1)));
}
