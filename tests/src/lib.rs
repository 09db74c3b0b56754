//! What the tests share: `place` is where executions live, `guests` compiles components, `handmade` assembles them, `sandbox` is a folder
//! with a policy in it, `faults` makes the disk under a file store fail.

pub mod faults;
pub mod guests;
pub mod handmade;
pub mod place;
pub mod sandbox;
pub mod served;
