//! Ending the process at once.

use std::io::Write as _;

/// Ends the process without running exit handlers.
///
/// RocksDB is C++ with static objects; `exit` would destroy them under threads that still use
/// them, and a clean stop would end in an abort. Everything that has to be durable is so before
/// anyone gets here.
pub fn leave(status: i32) -> ! {
    // Lines of the log may still be in a buffer; where they go to may be gone.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` takes a number, touches no memory of this program, and does not return.
    unsafe { libc::_exit(status) }
}
