//! The process' title: what `ps` shows instead of the command line. There is one per process, hence the static; only the
//! binary takes it over, so servers inside of other programs leave the title alone.

use std::ffi::{CStr, c_char};
use std::sync::{Mutex, OnceLock, PoisonError};

unsafe extern "C" {
    /// The environment: pointers to terminated texts, and a null at the end.
    static mut environ: *mut *mut c_char;
}

/// The memory behind the command line: its first address and its length in bytes.
static AREA: Mutex<Option<(usize, usize)>> = Mutex::new(None);

/// The program as it was called: where it stood a title may stand now.
static NAME: OnceLock<String> = OnceLock::new();

/// The program as it was called; empty if the title was not taken over.
pub fn name() -> &'static str {
    NAME.get().map_or("", String::as_str)
}

/// Takes the memory of the command line over. The environment lies behind it and makes room, so that titles may be longer than
/// the command line was. To be called before any thread is started; without effect where the system does not tell the place.
pub fn take() {
    let Some([arguments, arguments_end, surroundings, surroundings_end]) = places() else { return };
    let _ = NAME.set(std::env::args().next().unwrap_or_default());
    let mut end = arguments_end;
    if surroundings == arguments_end {
        let mut moved = true;
        // SAFETY: no other thread exists yet, the list ends with a null, and a copy lives for ever.
        unsafe {
            let mut at = environ;
            while !at.is_null() && !(*at).is_null() {
                if (surroundings..surroundings_end).contains(&(*at as usize)) {
                    let copy = libc::strdup(*at);
                    if copy.is_null() {
                        moved = false;
                        break;
                    }
                    *at = copy;
                }
                at = at.add(1);
            }
        }
        if moved {
            end = surroundings_end;
        }
    }
    // The program's own path lies behind the environment and is none of ours.
    *AREA.lock().unwrap_or_else(PoisonError::into_inner) = Some((arguments, end - arguments));
}

/// Shows this title, cut to the room there is. Without effect unless the title was taken over.
pub fn set(title: &CStr) {
    let area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((start, length)) = *area else { return };
    let title = title.to_bytes();
    let shown = title.len().min(length - 1);
    // SAFETY: the memory was taken over, is writable and as long as the kernel said; the lock keeps others out.
    unsafe {
        std::ptr::copy_nonoverlapping(title.as_ptr(), start as *mut u8, shown);
        std::ptr::write_bytes((start as *mut u8).add(shown), 0, length - shown);
    }
}

/// Where command line and environment begin and end.
fn places() -> Option<[usize; 4]> {
    /// Fields before the first of them, counted behind the program's name.
    const BEFORE: usize = 45;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(BEFORE);
    let places: Vec<usize> = fields.take(4).filter_map(|field| field.parse().ok()).collect();
    let places: [usize; 4] = places.try_into().ok()?;
    (places[0] != 0 && places[0] < places[1] && places[2] <= places[3] && places[1] <= places[3]).then_some(places)
}
