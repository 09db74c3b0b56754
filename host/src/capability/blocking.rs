//! The part of an effect that may block.

use crate::guest_error::{ErrorCode, GuestError};
use std::future;

/// Runs it where it may block; `what` is named when it panics. When the runtime ends before it has begun, that is no outcome which
/// anybody could record: this never returns then, and who goes on with the execution makes the effect.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    effect: impl FnOnce() -> T + Send + 'static,
) -> Result<T, GuestError> {
    match tokio::task::spawn_blocking(effect).await {
        Ok(outcome) => Ok(outcome),
        Err(lost) if lost.is_cancelled() => future::pending().await,
        Err(_) => Err(GuestError::new(ErrorCode::Failed, format!("the host gave {what} up"))),
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
        assert_eq!(handle.block_on(blocking("it", || 1)).unwrap(), 1);
        runtime.shutdown_background();
        assert!(handle.block_on(async { blocking("it", || 1).now_or_never() }).is_none());
    }

    #[test]
    fn what_panics_has_failed() {
        let panics = blocking("it", || panic!("a bug"));
        let error = Runtime::new().unwrap().block_on(panics).unwrap_err();
        assert_eq!((error.code, &*error.message), (ErrorCode::Failed, "the host gave it up"));
    }
}
