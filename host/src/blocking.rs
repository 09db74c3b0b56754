//! Work that may block its thread.

use std::future;

/// The work panicked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it panicked")]
pub(crate) struct Panicked;

/// Runs work on a thread where it may block. If the runtime ends before the work has begun, this never returns: the work has no outcome
/// then that could be recorded, and whoever resumes the execution does it.
///
/// # Errors
/// The work panicked.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome),
        Err(error) if error.is_cancelled() => future::pending().await,
        Err(_) => Err(Panicked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::runtime::Runtime;

    #[test]
    fn what_the_end_of_a_runtime_has_kept_from_beginning_has_no_outcome() {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        assert_eq!(handle.block_on(blocking(|| 1)), Ok(1));
        runtime.shutdown_background();
        assert!(handle.block_on(async { blocking(|| 1).now_or_never() }).is_none());
    }

    #[test]
    fn what_panics_has_failed() {
        let panics = blocking(|| panic!("a bug"));
        assert_eq!(Runtime::new().unwrap().block_on(panics), Err(Panicked));
    }
}
