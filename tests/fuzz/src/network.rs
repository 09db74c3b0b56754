//! The rule about addresses, without connections.

#[path = "../../../host/src/network/address.rs"]
pub mod address;
