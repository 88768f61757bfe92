//! Scripts: EVAL and its like, SCRIPT, the API, the sandbox.

use redstart::resp::request::OwnedRequest;
use redstart::testkit::{Kit, check};

#[test]
fn values_become_replies() {
    check(
        r##"
        > EVAL "return 1.9" 0
        1
        > EVAL "return {1, 'two', {3}, true, false, nil, 7}" 0
        [1, "two", [3], 1, nil]
        > EVAL "return {err = 'MYERR y'}" 0
        -MYERR y
        > EVAL "return {ok = 'fine'}" 0
        +fine
        > EVAL "return {KEYS[1], ARGV[1], #KEYS, #ARGV}" 1 k a b
        ["k", "a", 1, 2]
        > EVAL "return {double = 1.5}" 0
        "1.5"
        # resp3
        > EVAL "return {{double = 1.5}, {map = {a = 1}}, {set = {x = true}}, {big_number = '123'}, true}" 0
        [,1.5, {"a": 1}, ~["x"], (123, 1]
        > EVAL "redis.setresp(3) return {true, false, {verbatim_string = {format = 'txt', string = 'hi'}}}" 0
        [#t, #f, =txt:hi]
        > EVAL "return nil" 0
        nil
        "##,
    );
}

#[test]
fn texts_are_formatted_as_in_lua_5_1() {
    let mut kit = Kit::new();
    let mut run =
        |expression: &str| kit.run_request(&OwnedRequest::build([&b"EVAL"[..], format!("return {expression}").as_bytes(), b"0"]));
    for (expression, expected) in [
        (r#"string.format('%d %5.1f %-4s| %q %%', 3.9, 2.25, 'ab', 'a"b')"#, r#""3   2.2 ab  | \"a\\\"b\" %""#),
        ("('%s'):format(1e15)", r#""1e+15""#),
        ("('%x %X %o %u'):format(255, 255, 8, -1)", r#""ff FF 10 18446744073709551615""#),
        (r"('%s'):format('a\0b') .. #('%s'):format('a\0' .. ('b'):rep(100))", r#""a102""#),
        (r##"('%q'):format('\0\r\n') == '"\\000\\r\\\n"' and 1"##, "1"),
        ("('%c%5.3s|'):format(65, 'abcdef')", r#""A  abc|""#),
        ("('%c|'):format(123456789012345678)", r#""|""#),
        ("('%g'):format(0/0)", r#""-nan""#),
    ] {
        assert_eq!(run(expression), expected, "{expression}");
    }
    for (expression, expected) in [
        ("('%s'):format({})", "bad argument #1 to 'format' (string expected, got table)"),
        ("string.format('%d', 'x')", "bad argument #2 to 'format' (number expected, got string)"),
        ("string.format('%s')", "bad argument #2 to 'format' (no value)"),
        ("string.format('%y', 1)", "invalid option '%y' to 'format'"),
        ("string.format('%', 1)", "invalid option '%' to 'format'"),
        ("string.format('%123d', 1)", "invalid format (width or precision too long)"),
        ("string.format('%-+ #0-d', 1)", "invalid format (repeated flags)"),
    ] {
        let reply = run(expression);
        assert!(reply.contains(expected), "{expression}: {reply}");
    }
}

#[test]
fn commands_run_under_the_script() {
    check(
        r##"
        > EVAL "redis.call('set', KEYS[1], ARGV[1]) return redis.call('incrby', KEYS[1], 5)" 1 k 10
        15
        ~ MULTI
        ~ set k 10
        ~ incrby k 5
        ~ EXEC
        > EVAL "return redis.call('incr', 'k')" 0
        16
        ~ incr k
        > EVAL "return redis.call('get', 'k')" 0
        "16"
        ~
        > EVAL "redis.set_repl(redis.REPL_NONE) return redis.call('incr', 'k')" 0
        17
        ~
        > EVAL "return redis.call('get', 'nothing')" 0
        nil
        > EVAL "return type(redis.call('get', 'nothing'))" 0
        "boolean"
        > EVAL "return redis.call('blpop', 'l', 0)" 0
        nil
        > EVAL "return redis.call('set', 'f', 0.1)" 0
        +OK
        > MULTI
        +OK
        > EVAL "redis.call('set', 'a', 1) redis.call('set', 'b', 2)" 0
        +QUEUED
        > SET c 3
        +QUEUED
        > EXEC
        [nil, +OK]
        ~ MULTI
        ~ set a 1
        ~ set b 2
        ~ SET c 3
        ~ EXEC
        "##,
    );
}

#[test]
fn errors_tell_where_they_come_from() {
    check(
        r##"
        > EVAL "return" abc
        -ERR value is not an integer or out of range
        > EVAL "return 1" -1
        -ERR Number of keys can't be negative
        > EVAL "return 1" 2 a
        -ERR Number of keys can't be greater than number of args
        > EVAL "foo(" 0
        -ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'
        > EVAL "return foo" 0
        -ERR user_script:1: Script attempted to access nonexistent global variable 'foo' script: 47e30a5d10d5694f99208f9adc4fe3bf2450edbd, on @user_script:1.
        > EVAL "x=1" 0
        -ERR user_script:1: Attempt to modify a readonly table script: 7caf6056913504f0508c65faf2dc3f94ff65bcfd, on @user_script:1.
        > EVAL "return redis.call('get')" 0
        -ERR Wrong number of args calling Redis command from script script: f187dee77f607f7cff00bbabc9df38507582c78d, on @user_script:1.
        > EVAL "return redis.pcall('get')" 0
        -ERR Wrong number of args calling Redis command from script
        > EVAL "return redis.call('foo')" 0
        -ERR Unknown Redis command called from script script: cc78c5a793d041f28ab0f6b117a82d1428ccfd13, on @user_script:1.
        > EVAL "return redis.call()" 0
        -ERR Please specify at least one argument for this redis lib call script: 0a907e1429221a4d85516cab7fd219a82a9439d8, on @user_script:1.
        > EVAL "error('boom')" 0
        -ERR user_script:1: boom script: 82903a0434f1503e152f89c03c9acd881a0e8150, on @user_script:1.
        > EVAL "error({err='MYCODE boom'})" 0
        -MYCODE boom script: a4e8cf059233042f65a471d71ea3fe91e834da5f, on @user_script:1.
        > EVAL "error({})" 0
        -ERR unknown error script: 367bf7fe449ba40e54d99d9086aa3c2164008136, on @user_script:1.
        > EVAL "return redis.error_reply('single')" 0
        -ERR single
        > EVAL "return redis.call('multi')" 0
        -ERR This Redis command is not allowed from script script: c329a1a294be6bf95b44144f7502610661ae925a, on @user_script:1.
        > EVAL_RO "return redis.call('set','a','b')" 0
        -ERR Write commands are not allowed from read-only scripts. script: ff967d0ae0e68b4f9e360fa91c54598bc25ad9b6, on @user_script:1.
        > EVAL_RO "#!lua\nreturn 1" 0
        -ERR Can not execute a script with write flag using *_ro command.
        > EVAL "#!lua flags=no-writes\nreturn redis.call('set','a','b')" 0
        -ERR Write commands are not allowed from read-only scripts. script: 6acb400a50fe96e33eca4e0af6e9dcfb21193726, on @user_script:2.
        > EVALSHA abc 0
        -NOSCRIPT No matching script. Please use EVAL.
        "##,
    );
}

#[test]
fn the_cache_knows_scripts_by_their_digest() {
    check(
        r##"
        > SCRIPT LOAD "return ARGV[1]"
        "098e0f0d1448c0a81dafe820f66d460eb09263da"
        > EVALSHA 098E0F0D1448C0A81DAFE820F66D460EB09263DA 0 x
        "x"
        > EVALSHA_RO 098e0f0d1448c0a81dafe820f66d460eb09263da 0 y
        "y"
        > SCRIPT EXISTS 098e0f0d1448c0a81dafe820f66d460eb09263da e0e1f9fabfc9d4800c877a703b823ac0578ff8db
        [1, 0]
        > SCRIPT SHOW 098e0f0d1448c0a81dafe820f66d460eb09263da
        "return ARGV[1]"
        > SCRIPT FLUSH LATER
        -ERR SCRIPT FLUSH only support SYNC|ASYNC option
        > SCRIPT FLUSH ASYNC
        +OK
        > EVALSHA 098e0f0d1448c0a81dafe820f66d460eb09263da 0 x
        -NOSCRIPT No matching script. Please use EVAL.
        > SCRIPT KILL
        -NOTBUSY No scripts in execution right now.
        > SCRIPT DEBUG NO
        +OK
        > SCRIPT DEBUG maybe
        -ERR Use SCRIPT DEBUG YES/SYNC/NO
        > SCRIPT LOAD "x"
        -ERR Error compiling script (new function): user_script:1: '=' expected near '<eof>'
        "##,
    );
}

#[test]
fn nothing_stays_between_scripts() {
    let mut kit = Kit::new();
    let attempts = [
        "redis.call = nil",
        "string.rep = nil",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "rawset(string, 'x', 1)",
        "table.insert(redis, 1)",
        "setmetatable(_G, {})",
        "setmetatable(redis, {})",
        "getmetatable(_G).__index = nil",
        "getmetatable('').__index = function() end",
        "getmetatable('').__index.x = 1",
        "for _, t in pairs(_G) do if type(t) == 'table' and t ~= KEYS and t ~= ARGV then t.x = 1 end end",
    ];
    for attempt in attempts {
        let reply = kit.run(&format!("EVAL \"{attempt}\" 0"));
        assert!(reply.starts_with("-ERR user_script:1: Attempt to modify a readonly table script: "), "{attempt}: {reply}");
    }
    let seen = kit.run("EVAL \"local n = 0 for k in pairs(redis) do n = n + 1 end return n > 15\" 0");
    assert_eq!(seen, "1");
    assert!(kit.run("EVAL \"return {type(rawget(_G, 'redis')), type(rawget(_G, 'x')), type(io), 1}\" 0").contains("'io'"));
    for gone in
        ["dofile", "loadfile", "print", "require", "package", "debug", "io", "jit", "ffi", "newproxy", "getfenv", "setfenv"]
    {
        let reply = kit.run(&format!("EVAL \"return {gone}\" 0"));
        assert!(reply.contains(&format!("nonexistent global variable '{gone}'")), "{gone}: {reply}");
    }
    let random = |kit: &mut Kit, seed: &str| kit.run(&format!("EVAL \"{seed} return {{math.random(1e9), math.random(1e9)}}\" 0"));
    let seeded = random(&mut kit, "math.randomseed(7)");
    assert_eq!(random(&mut kit, "math.randomseed(7)"), seeded);
    assert_ne!(random(&mut kit, ""), random(&mut kit, ""));
}

#[test]
fn bombs_end_as_errors() {
    let mut kit = Kit::new();
    let bombs = [
        "return string.rep('x', 1e9)",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "local function f() return f() + 1 end return f()",
        "return loadstring('return ' .. ('('):rep(1000))()",
        "local s = 'x' while true do s = s .. s end",
        "return loadstring('\\27Lua')()",
        "return string.format('%99999d', 1)",
        "return unpack({}, 1, 1e8)",
        "local t = {} t[1] = t return t",
    ];
    for bomb in bombs {
        let reply = kit.run(&format!("EVAL \"{bomb}\" 0"));
        assert!(reply.contains("ERR "), "{bomb}: {}", &reply[..reply.len().min(300)]);
    }
    assert_eq!(kit.run("EVAL \"return 1\" 0"), "1");
}

#[test]
fn functions_live_in_libraries() {
    check(
        r##"
        > FUNCTION LOAD "#!lua name=lib\nlocal function f(keys, args) return {keys[1], args[1]} end redis.register_function('f', f) redis.register_function{function_name='g', callback=function(keys) return redis.call('incr', keys[1]) end, description='counts', flags={'allow-oom'}}"
        "lib"
        > FCALL f 1 k a
        ["k", "a"]
        > FCALL g 1 n
        1
        ~ incr n
        > FCALL_RO g 1 n
        -ERR Can not execute a script with write flag using *_ro command.
        > FCALL nothing 0
        -ERR Function not found
        > FCALL f x
        -ERR Bad number of keys provided
        > FUNCTION LIST LIBRARYNAME l*
        [["library_name", "lib", "engine", "LUA", "functions", [["name", "f", "description", nil, "flags", []], ["name", "g", "description", "counts", "flags", [+allow-oom]]]]]
        > FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() end)"
        -ERR Library 'lib' already exists
        > FUNCTION LOAD "#!lua name=other\nredis.register_function('f', function() end)"
        -ERR Function f already exists
        > FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function('h', function() return 'h' end)"
        "lib"
        > FCALL h 0
        "h"
        > FCALL f 0
        -ERR Function not found
        > FUNCTION LOAD "redis.register_function('h')"
        -ERR Missing library metadata
        > FUNCTION LOAD "#!lua name=bad\nreturn 1"
        -ERR No functions registered
        > FUNCTION LOAD "#!lua name=bad\nredis.call('set', 'x', 1)"
        -ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'
        > FUNCTION LOAD "#!lua name=bad\nmath.random()"
        -ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'
        > FUNCTION STATS
        ["running_script", nil, "engines", ["LUA", ["libraries_count", 1, "functions_count", 1]]]
        > FUNCTION KILL
        -NOTBUSY No scripts in execution right now.
        > FUNCTION DELETE none
        -ERR Library not found
        > FUNCTION DELETE lib
        +OK
        ~ FUNCTION DELETE lib
        > FUNCTION FLUSH
        +OK
        > FUNCTION LIST
        []
        "##,
    );
}

#[test]
fn help_lists_the_subcommands() {
    let mut kit = Kit::new();
    assert!(kit.run("SCRIPT HELP").contains("+SHOW <sha1>"));
    assert!(kit.run("FUNCTION HELP").contains("+DELETE <library-name>"));
}

#[test]
fn libraries_can_be_dumped_and_restored() {
    let mut kit = Kit::new();
    kit.run("FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"");
    kit.run_request(&OwnedRequest::build([&b"FUNCTION"[..], b"DUMP"]));
    let dump = kit.run("FUNCTION DUMP");
    assert_eq!(kit.run(&format!("FUNCTION RESTORE {dump}")), "-ERR Library lib already exists");
    assert_eq!(kit.run(&format!("FUNCTION RESTORE {dump} REPLACE")), "+OK");
    assert_eq!(kit.run("FUNCTION FLUSH SYNC"), "+OK");
    assert_eq!(kit.run(&format!("FUNCTION RESTORE {dump} FLUSH")), "+OK");
    assert_eq!(kit.run("FCALL f 0"), "7");
    assert_eq!(kit.run("FUNCTION RESTORE garbage"), "-ERR DUMP payload version or checksum are wrong");
}

/// A script that hands on the error of one of its commands has failed, too, although the error is counted once. And scripts
/// that were forgotten are counted anew after CONFIG RESETSTAT.
#[test]
fn failed_scripts_are_counted() {
    let mut kit = Kit::new();
    for (script, failed) in [
        ("return redis.call('select', 99)", 1),
        ("return redis.pcall('select', 99)", 2),
        ("redis.pcall('select', 99) return 1", 2),
        ("return {err = 'MY error'}", 3),
        ("return nil + 1", 4),
    ] {
        kit.run(&format!("EVAL \"{script}\" 0"));
        let stats = kit.run("INFO commandstats");
        let (_, of_eval) = stats.split_once("cmdstat_eval:").expect("it ran");
        let expected = format!("rejected_calls=0,failed_calls={failed}\\r");
        assert!(of_eval.contains(&expected), "{script}: {stats}");
    }
    assert!(kit.run("INFO errorstats").contains("errorstat_ERR:count=4\\r\\nerrorstat_MY:count=1"));
    (0..600).for_each(|n| drop(kit.run(&format!("EVAL 'return {n}' 0"))));
    assert!(!kit.run("INFO memory").contains("evicted_scripts:0") && !kit.run("INFO stats").contains("evicted_scripts:0"));
    kit.run("CONFIG RESETSTAT");
    assert!(kit.run("INFO everything").contains("evicted_scripts:0"));
}
