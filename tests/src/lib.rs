//! What the tests share: `place` is where executions live, `guests` compiles components, `handmade` assembles them, `sandbox` is a folder
//! with a policy in it, `faults` makes the disk under a file store fail. `served` is a server: ours, or one of the Resonate project
//! (`resonate`), behind a `relay`; `deviations` has the tests that such a one cannot run.

pub mod deviations;
pub mod faults;
pub mod guests;
pub mod handmade;
pub mod place;
mod relay;
pub mod resonate;
pub mod sandbox;
pub mod served;
