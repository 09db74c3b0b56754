//! The time of the server, which judges the deadlines of its promises, by the clock of this machine.

use crate::client::Client;
use everstep_store::clock::Clock;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A clock of this machine that is set by the server of a client.
pub struct ServerClock {
    own: Arc<dyn Clock>,
    client: Client,
}

impl ServerClock {
    /// A clock that goes as `own` does.
    pub fn new(own: Arc<dyn Clock>, client: Client) -> Self {
        Self { own, client }
    }

    /// The moment of this machine's clock at which the server's shows `server_ms`, as far as is known now.
    fn own_ms(&self, server_ms: u64) -> u64 {
        server_ms.saturating_add_signed(self.client.ahead_ms().saturating_neg())
    }
}

impl Clock for ServerClock {
    fn now_ms(&self) -> u64 {
        self.own.now_ms().saturating_add_signed(self.client.ahead_ms())
    }

    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now_ms() < deadline_ms {
                self.own.sleep_until(self.own_ms(deadline_ms)).await;
            }
        })
    }

    fn sleep_aside(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now_ms() < deadline_ms {
                self.own.sleep_aside(self.own_ms(deadline_ms)).await;
            }
        })
    }
}
