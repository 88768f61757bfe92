//! Random bytes from the kernel, for secrets.

/// So many bytes that nobody can predict.
///
/// # Errors
/// The kernel gives none.
pub fn bytes(count: usize) -> std::io::Result<Vec<u8>> {
    let mut random = vec![0; count];
    let mut filled = 0;
    while filled < count {
        let rest = &mut random[filled..];
        // SAFETY: the pointer and the length are those of a slice that lives through the call.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => filled += got,
            Err(_) => {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(random)
}
