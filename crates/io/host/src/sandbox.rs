//! What a process takes away from itself before it touches anything foreign.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Limits the private memory of this process (heap, stacks, writable mappings) to `bytes`, for good:
/// not even this process can raise it again. An allocation beyond it fails, which aborts the process.
///
/// # Errors
/// The system refuses the limit, for instance because one below it is in force.
pub fn limit_memory(bytes: u64) -> io::Result<()> {
    // RLIMIT_DATA and not RLIMIT_AS: allocators reserve far more address space than they use.
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Data, limit).map_err(io::Error::from)?;
    // A dump of a charging session's memory holds keys.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(io::Error::from)
}
