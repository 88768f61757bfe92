//! The debugger of scripts: what its client is told, which is what Redis 8.0 tells, and what happens to all others meanwhile.

use crate::support::client::{Client, PATIENCE};
use crate::support::spawn::Server;
use redstart::resp::request::OwnedRequest;
use redstart::testkit::{Kit, check};
use std::time::Duration;

#[test]
fn a_session_step_by_step() {
    check(
        r##"
        > SCRIPT DEBUG SYNC
        +OK
        > EVAL "local a = 1\nlocal b = {1, 2, {3}}\nlocal c = {x = 1, y = 'q\"z'}\nredis.call('set', KEYS[1], a)\nreturn redis.call('get', KEYS[1])\n\n" 1 k v
        [+* Stopped at 1, stop reason = step over, +-> 1   local a = 1]
        > print
        [+No local variables in the current context.]
        > list 4 1
        [+   3   local c = {x = 1, y = 'q"z'}, +   4   redis.call('set', KEYS[1], a), +   5   return redis.call('get', KEYS[1])]
        > list 0 1
        [+-> 1   local a = 1, +   2   local b = {1, 2, {3}}]
        > w
        [+-> 1   local a = 1, +   2   local b = {1, 2, {3}}, +   3   local c = {x = 1, y = 'q"z'}, +   4   redis.call('set', KEYS[1], a), +   5   return redis.call('get', KEYS[1])]
        > NEXT
        [+* Stopped at 2, stop reason = step over, +-> 2   local b = {1, 2, {3}}]
        > n
        [+* Stopped at 3, stop reason = step over, +-> 3   local c = {x = 1, y = 'q"z'}]
        > step
        [+* Stopped at 4, stop reason = step over, +-> 4   redis.call('set', KEYS[1], a)]
        > p
        [+<value> a = 1, +<value> b = {1; 2; {3}}, +<value> c = {["y"]="q\"z"; ["x"]=1}]
        > p KEYS
        [+<value> {"k"}]
        > print ARGV
        [+<value> {"v"}]
        > p nothing
        [+No such variable.]
        ~
        > s
        [+<redis> set k 1, +<reply> "+OK", +* Stopped at 5, stop reason = step over, +-> 5   return redis.call('get', KEYS[1])]
        ~
        > c
        [+<endsession>] ;; "1"
        ~ set k 1
        "##,
    );
}

#[test]
fn breakpoints() {
    check(
        r##"
        > SCRIPT DEBUG sync
        +OK
        > EVAL "local s = 0\nfor i = 1, 3 do\n  s = s + i\n  redis.debug('i', i, {i})\nend\nredis.breakpoint()\nreturn s" 0
        [+* Stopped at 1, stop reason = step over, +-> 1   local s = 0]
        > b
        [+No breakpoints set. Use 'b <line>' to add one.]
        > b 3
        [+   2   for i = 1, 3 do, +  #3     s = s + i, +   4     redis.debug('i', i, {i})]
        > break 3 99 x -7
        [+Wrong line number., +Wrong line number., +Invalid argument:'x', +No breakpoint in the specified line.]
        > b
        [+1 breakpoints set:, +  #3     s = s + i]
        > c
        [+* Stopped at 3, stop reason = break point, +->#3     s = s + i]
        > p i
        [+<value> 1]
        > c
        [+<debug> line 4: "i", 1, {1}, +* Stopped at 3, stop reason = break point, +->#3     s = s + i]
        > b -3
        [+Breakpoint removed.]
        > b 3 0
        [+   2   for i = 1, 3 do, +->#3     s = s + i, +   4     redis.debug('i', i, {i}), +All breakpoints removed.]
        > c
        [+<debug> line 4: "i", 2, {2}, +<debug> line 4: "i", 3, {3}, +* Stopped at 7, stop reason = redis.breakpoint() called, +-> 7   return s]
        > c
        [+<endsession>] ;; 6
        "##,
    );
    let mut kit = Kit::new();
    kit.run("SCRIPT DEBUG SYNC");
    kit.run(&format!("EVAL \"return 1{}\" 0", "\\n--".repeat(70)));
    let lines: Vec<String> = (1..=65).map(|line| line.to_string()).collect();
    assert!(kit.run(&format!("b {}", lines.join(" "))).ends_with("+Too many breakpoints set.]"));
}

#[test]
fn commands_and_code_of_the_client() {
    check(
        r##"
        > SCRIPT DEBUG SYNC
        +OK
        > EVAL "local function f(n)\n  return n + 1\nend\nlocal sum = f(1) +\n  f(2)\nreturn sum" 0
        [+* Stopped at 3, stop reason = step over, +-> 3   end]
        > b 2
        [+   1   local function f(n), +  #2     return n + 1, +-> 3   end]
        > c
        [+* Stopped at 2, stop reason = break point, +->#2     return n + 1]
        > trace
        [+In f:, +->#2     return n + 1, +From top level:, +   4   local sum = f(1) +]
        > redis set a 1
        [+<redis> set a 1, +<reply> "+OK"]
        > r lpush a x
        [+<redis> lpush a x, +<error> -WRONGTYPE Operation against a key holding the wrong kind of value, +<reply> "-WRONGTYPE Operation against a key holding the wrong kind of value"]
        > r nothing
        [+<redis> nothing, +<error> Unknown Redis command called from script]
        > r echo 1 2 3 4 5 6 7 8 9 10
        [+<redis> echo 1 2 3 4 5 6 7 8 9 ... (0 more), +<error> Wrong number of args calling Redis command from script]
        > r mget a b
        [+<redis> mget a b, +<reply> ["1",NULL]]
        > r
        [+<error> Unknown Redis Lua debugger command or wrong number of arguments.]
        > e 1 + 1
        [+<retval> 2]
        > e local x = 5 return {x, y = x}
        [+<retval> {[1]=5; ["y"]=5}]
        > e 'redis.call("get", "a")'
        [+<retval> "1"]
        > e n
        [+<error> ldb_eval:1: Script attempted to access nonexistent global variable 'n']
        > e foo bar
        [+<error> ldb_eval:1: '=' expected near 'bar']
        > e
        [+<retval> nil]
        > e 'error({err = "told"})'
        [+<error> told]
        > e 'error({})'
        [+<error> (error object is a table value)]
        > m
        [+<value> replies are truncated at 256 bytes.]
        > m 1
        [+<value> replies are truncated at 60 bytes.]
        > e '("x"):rep(60)'
        [+<retval> "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ...]
        > maxlen 0
        [+<value> replies are unlimited.]
        > quit
        [+<error> Unknown Redis Lua debugger command or wrong number of arguments.]
        > abort
        [+<endsession>] ;; -ERR script aborted for user request script: 9b6378b14524c318de6c52b348af44f1e04c5ca9, on @user_script:2.
        ~ set a 1
        "##,
    );
}

#[test]
fn what_comes_of_scripts_that_fail() {
    check(
        r##"
        > SCRIPT DEBUG SYNC
        +OK
        > EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        -ERR Please use EVAL instead of EVALSHA for debugging
        > EVAL "return (" 0
        [+<endsession>] ;; -ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'
        # fresh
        > SCRIPT DEBUG SYNC
        +OK
        > EVAL "return 1" x
        [+<endsession>] ;; -ERR value is not an integer or out of range
        # fresh
        > SCRIPT DEBUG SYNC
        +OK
        > EVAL "local ok = redis.pcall('lpush')\nredis.error_reply('MY error')\nreturn nil + 1" 0
        [+* Stopped at 1, stop reason = step over, +-> 1   local ok = redis.pcall('lpush')]
        > n
        [+<redis> lpush, +<error> Wrong number of args calling Redis command from script, +* Stopped at 2, stop reason = step over, +-> 2   redis.error_reply('MY error')]
        > n
        [+<error> -MY error, +* Stopped at 3, stop reason = step over, +-> 3   return nil + 1]
        > n
        [+<endsession>] ;; -ERR user_script:3: attempt to perform arithmetic on a nil value script: ba164d3f78dfd7f75e082fb79fc94267539238d8, on @user_script:3.
        "##,
    );
}

#[test]
fn who_is_debugged() {
    check(
        r##"
        > SCRIPT DEBUG YES
        -ERR SCRIPT DEBUG YES needs a fork of the server, and this one never forks: use SCRIPT DEBUG SYNC (redis-cli --ldb-sync-mode), which keeps what the script writes
        > EVAL "return 1" 0
        [+<endsession>] ;; -ERR SCRIPT DEBUG YES needs a fork of the server, and this one never forks: use SCRIPT DEBUG SYNC (redis-cli --ldb-sync-mode), which keeps what the script writes
        > SCRIPT DEBUG NO
        +OK
        > EVAL "return redis.breakpoint()" 0
        nil
        > SCRIPT DEBUG SYNC
        +OK
        > MULTI
        +OK
        > EVAL "redis.debug('x') return 'as it is'" 0
        +QUEUED
        > EXEC
        ["as it is"]
        2> EVAL "return 'another client'" 0
        "another client"
        > FUNCTION LOAD "#!lua name=l\nredis.register_function('f', function() return 'a function' end)"
        "l"
        > FCALL f 0
        "a function"
        > EVAL_RO "return 1" 0
        [+* Stopped at 1, stop reason = step over, +-> 1   return 1]
        2> SCRIPT KILL
        +OK
        "##,
    );
}

/// Loops of the script and of the client's own code, values without end, requests of any shape: nothing may hold the server up
/// for long, or make it keep more than a bounded text.
#[test]
fn nothing_takes_for_ever() {
    let mut kit = Kit::new();
    kit.run("CONFIG SET busy-reply-threshold 20");
    kit.run("SCRIPT DEBUG SYNC");
    let mut run = |args: &[&[u8]]| kit.run_request(&OwnedRequest::build(args.iter().copied()));
    let script = b"local t = {}\nt.t = t\nlocal all = {}\nfor i = 1, 200 do all[i] = all end\nlocal long = ('x'):rep(3e7)\n\
        while true do redis.debug(long) end";
    run(&[b"EVAL", script, b"0"]);
    let stopped = run(&[b"c"]);
    assert!(stopped.contains("stop reason = timeout reached, infinite loop?, +-> 6   while"), "{}", &stopped[..200]);
    assert!(stopped.len() < 20 << 20);
    let told = run(&[b"e", b"local long = ('x'):rep(3e7) for i = 1, 9 do redis.debug(long) end"]);
    assert!(told.starts_with("[+<hint> There was too much to tell: ") && told.len() < 20 << 20);
    assert_eq!(run(&[b"e", b"while true do end"]), "[+<error> the code takes too long]");
    assert_eq!(run(&[b"e", b"while true do pcall(function() while true do end end) end"]), "[+<error> the code takes too long]");
    let wrapped = run(&[b"e", b"coroutine.wrap(function() while true do end end)()"]);
    assert!(wrapped.contains("the code takes too long"), "{wrapped}");
    run(&[b"m", b"0"]);
    assert!(run(&[b"p", b"t"]).contains("<max recursion level reached! Nested table?>"));
    assert!(run(&[b"p", b"all"]).len() < 10 << 20);
    assert!(run(&[b"p", b"long"]).len() < 10 << 20);
    assert!(run(&[b"p"]).len() < 30 << 20);
    let many: Vec<&[u8]> = std::iter::once(&b"redis"[..]).chain(std::iter::repeat_n(&b"test"[..], 1000)).collect();
    assert!(run(&many).contains("Unknown Redis command called from script"));
    let more: Vec<&[u8]> = std::iter::repeat_n(&b"e"[..], 100_000).collect();
    assert_eq!(run(&more), "[+<error> The request is too long.]");
    assert_eq!(run(&[b"e", &vec![b' '; 2 << 20]]), "[+<error> The request is too long.]");
    assert_eq!(run(&[b"b", b"9223372036854775807", b"-9223372036854775808"]).matches("line").count(), 2);
    run(&[b"l", b"-99999999999999999999", b"99999999999999999999"]);
    run(&[b"l", b"99999999999", b"-1"]);
    assert!(run(&[b"a"]).starts_with("[+<endsession>] ;; -ERR script aborted for user request"));
    assert_eq!(kit.run("EVALSHA x 0"), "-ERR Please use EVAL instead of EVALSHA for debugging");
}

fn stopped_in(server: &Server, script: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.run("SCRIPT DEBUG SYNC").to_string(), "OK");
    let reply = client.call(&["EVAL", script, "0"]).expect("a reply");
    assert!(reply.to_string().contains("Stopped at 1"), "{reply}");
    client
}

/// Others wait, and are answered in their order when the session is over; then its connection ends.
#[test]
fn others_wait_until_the_session_is_over() {
    for threads in ["1", "2"] {
        let server = Server::ours(&["--io-threads", threads]);
        let mut other = server.client();
        let mut debugging = stopped_in(&server, "redis.call('set', 'k', 1)\nreturn redis.call('incr', 'k')");
        other.send(&["GET", "k"]).expect("sent");
        other.send(&["SET", "k", "x"]).expect("sent");
        assert!(server.client().run("FUNCTION STATS").to_string().starts_with("(error) BUSY"));
        let mut third = server.client();
        third.send(&["PING"]).expect("sent");
        assert!(debugging.run("n").to_string().contains("Stopped at 2"));
        assert!(other.read_within(Duration::from_millis(50)).is_err());
        assert_eq!(debugging.run("c").to_string(), "[<endsession>]");
        assert_eq!(debugging.read().expect("the script's reply").to_string(), "(integer) 2");
        assert!(debugging.closes_within(PATIENCE));
        assert_eq!(other.read().expect("a reply").to_string(), "\"2\"");
        assert_eq!(other.read().expect("a reply").to_string(), "OK");
        assert_eq!(third.read().expect("a reply").to_string(), "PONG");
    }
}

/// Commands for the debugger that came with the script are carried out.
#[test]
fn a_session_in_one_piece() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let script = vec![b"EVAL".to_vec(), b"local a = 1\nreturn a".to_vec(), b"0".to_vec()];
    let requests = [words("PING"), words("SCRIPT DEBUG SYNC"), script, words("n"), words("p a"), words("c"), words("PING")];
    let (replies, _) = client.pipeline(&requests);
    let replies: Vec<String> = replies.iter().map(ToString::to_string).collect();
    assert_eq!(replies[..2], ["PONG", "OK"]);
    assert!(replies[3].contains("Stopped at 2") && replies[4].contains("<value> 1"), "{replies:?}");
    assert_eq!(replies[6], "(integer) 1");
    assert!(client.closes_within(PATIENCE));
}

/// A client that goes takes its script with it; what that has written stays. SCRIPT KILL ends one that has not written.
#[test]
fn a_session_that_is_left_ends() {
    let server = Server::ours(&[]);
    let script = "redis.call('set', 'k', 1)\nwhile true do redis.pcall('incr', 'k') end";
    let mut debugging = stopped_in(&server, script);
    debugging.run("n");
    let mut other = server.client();
    other.send(&["GET", "k"]).expect("sent");
    let unkillable = server.client().run("SCRIPT KILL").to_string();
    assert!(unkillable.starts_with("(error) UNKILLABLE"), "{unkillable}");
    drop(debugging);
    assert_eq!(other.read().expect("a reply").to_string(), "\"1\"");

    let mut debugging = stopped_in(&server, "local a = 1\nreturn a");
    other.send(&["GET", "k"]).expect("sent");
    assert_eq!(server.client().run("SCRIPT KILL").to_string(), "OK");
    assert_eq!(debugging.read().expect("the end").to_string(), "[<endsession>]");
    assert!(debugging.read().expect("the script's reply").to_string().contains("Script killed by user"));
    assert!(debugging.closes_within(PATIENCE));
    assert_eq!(other.read().expect("a reply").to_string(), "\"1\"");
    assert_eq!(other.run("EVAL 'return 1' 0").to_string(), "(integer) 1");
}

/// LuaJIT tells of a line once more when a function returns into it: the client is not stopped there twice.
#[test]
fn a_function_returns_into_a_line() {
    let mut kit = Kit::new();
    kit.run("SCRIPT DEBUG SYNC");
    let script = "local function f(n)\n  if n == 0 then return 0 end\n  return f(n - 1) + 1\nend\nlocal a = f(1) + f(1)\n\
        for i = 1, 2 do f(0) end\nreturn a";
    kit.run(&format!("EVAL \"{}\" 0", script.replace('\n', "\\n")));
    let mut lines = Vec::new();
    loop {
        let reply = kit.run("n");
        let Some((_, told)) = reply.split_once("Stopped at ") else { break };
        lines.push(told.split(',').next().unwrap_or_default().to_owned());
    }
    assert_eq!(lines.join(" "), "5 2 3 2 2 3 2 6 2 6 2 7");
}
