//! Builds the Lua interpreter and the few lines of C between it and `src/sys/lua`.
//!
//! LuaJIT comes from the `luajit-src` crate, without its compiler and its foreign function interface: scripts are
//! interpreted (only the interpreter can be interrupted), and nothing in them can reach memory or code of the process.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/sys/lua/shim.c");
    println!("cargo:rerun-if-changed=src/sys/lua/hook.c");
    println!("cargo:rerun-if-changed=src/sys/lua/order.h");
    println!("cargo:rerun-if-env-changed=CFLAGS");
    // The makefile reads the flags for its tools and for the library from here.
    let flags = env::var("CFLAGS").unwrap_or_default();
    // Without tail calls, as the function that makes one has no place in messages: `return redis.call(…)` is the most frequent
    // last line of scripts, and in Lua 5.1 errors in it tell that line.
    let without = "-DLUAJIT_DISABLE_JIT -DLUAJIT_DISABLE_FFI -DLUAJIT_DISABLE_PROFILE -DLUAJIT_DISABLE_TAILCALL";
    // Errors jump to the protected call instead of unwinding the C stack on the way, the time for which grows with the square of
    // the depth: an endless recursion through `string.gsub` held the server for seconds. (`_UNWIND_INTERNAL` would do that, too,
    // but not save all registers.)
    let jumps = "-DLUAJIT_NO_UNWIND";
    // SAFETY: a build script has one thread.
    unsafe { env::set_var("CFLAGS", format!("{flags} {without} {jumps}")) };
    let lua = luajit_src::Build::new().debug(false).build();
    order_tables_as_lua_does(&lua);
    cc::Build::new().file("src/sys/lua/shim.c").include(lua.include_dir()).compile("redstart_lua_shim");
    cc::Build::new().file("src/sys/lua/hook.c").include(sources()).warnings(false).compile("redstart_lua_hook");
    lua.print_cargo_metadata();
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-lib=dylib=m");
    }
}

/// A file of LuaJIT, and what is put in the stead of what.
type Change = (&'static str, &'static [(&'static str, &'static str)]);

/// See `src/sys/lua/order.h`.
const CHANGES: &[Change] = &[
    (
        "lj_str",
        &[
            ("static GCstr *lj_str_alloc(", "#include \"order.h\"\nstatic GCstr *lj_str_alloc("),
            ("s->sid = g->str.id++;", "s->sid = redstart_string_place(str, len);"),
        ],
    ),
    (
        "lj_tab",
        &[
            ("/* -- Object hashing ", "#include \"order.h\"\n\n/* -- Object hashing "),
            // When a table grows, Lua puts the keys in from the last to the first.
            ("for (i = 0; i <= oldhmask; i++) {", "for (i = oldhmask + 1; i-- > 0; ) {"),
        ],
    ),
    (
        "lj_parse",
        &[
            (
                "static void expr_table(LexState *ls, ExpDesc *e)\n{\n",
                "#include \"order.h\"\nstatic void expr_table(LexState *ls, ExpDesc *e)\n{\n  GCstr *keys[REDSTART_KEYS_MAX];\n  \
                 uint32_t key_count = 0;\n",
            ),
            (
                "lj_gc_anybarriert(fs->L, t);\n",
                "lj_gc_anybarriert(fs->L, t);\n      redstart_note_key(keys, &key_count, &key);\n",
            ),
            (
                "lj_tab_reasize(fs->L, t, narr-1);\n",
                "lj_tab_reasize(fs->L, t, narr-1);\n    redstart_order_keys(fs->L, t, keys, key_count, nhash);\n",
            ),
        ],
    ),
];

/// LuaJIT's source, as it was copied to be built.
fn sources() -> PathBuf {
    Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("luajit-build/src")
}

/// Compiles some of LuaJIT's files once more, changed, and puts them into the library.
fn order_tables_as_lua_does(lua: &luajit_src::Artifacts) {
    let sources = sources();
    let library = fs::read_dir(lua.lib_dir()).expect("the library was built").flatten().map(|entry| entry.path());
    let library = library.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "a")).expect("it is static");
    for (name, replacements) in CHANGES {
        let mut text = fs::read_to_string(sources.join(format!("{name}.c"))).expect("LuaJIT's source was copied there");
        for (old, new) in *replacements {
            assert!(text.contains(old), "{name}.c of LuaJIT is not what it was: no {old}");
            text = text.replace(old, new);
        }
        let file = sources.join(format!("{name}_redstart.c"));
        fs::write(&file, text).expect("the folder is ours");
        let mut compiler = cc::Build::new();
        compiler.file(&file).include(&sources).include("src/sys/lua").opt_level(2).warnings(false);
        let compiled = compiler.compile_intermediates();
        // Under the name that the object has in the library, where it takes the other's place.
        let object = sources.join(format!("{name}.o"));
        fs::copy(&compiled[0], &object).expect("it was just compiled");
        let replaced = compiler.get_archiver().arg("rs").arg(&library).arg(object).status();
        assert!(replaced.is_ok_and(|status| status.success()), "the library cannot be changed");
    }
}
