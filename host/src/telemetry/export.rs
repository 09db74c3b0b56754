//! Sends spans in batches, from a thread of its own.

use super::settings::Settings;
use crate::capability::http::{Bounds, Client, Request, check_headers};
use crate::network::Options;
use crate::policy::address::Rules;
use crate::trace::{BATCH, Batch, Queue, request};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::time::timeout;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The pauses before a request that a collector has not taken is sent again.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Statuses of a collector that cannot take a request now.
const BUSY: [u16; 4] = [429, 502, 503, 504];

/// Sends the spans of this process to a collector.
pub struct Export {
    queue: Arc<Queue>,
    done: mpsc::Receiver<()>,
}

/// The sending side.
struct Sender {
    queue: Arc<Queue>,
    client: Client,
    settings: Settings,
    /// Whether the last request failed, which is told once.
    fails: bool,
}

impl Export {
    /// Starts the thread.
    ///
    /// # Errors
    /// A certificate authority cannot be read, a header cannot be sent, or no thread can be started.
    pub(super) fn start(settings: Settings) -> Result<Self, String> {
        let options = Options::system().with_authorities(&settings.authorities).map_err(|error| error.to_string())?;
        check_headers(&settings.headers)
            .map_err(|_| "OTEL_EXPORTER_OTLP_HEADERS has a header that cannot be sent".to_owned())?;
        // The operator names the collector, wherever it is.
        let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|range| range.parse().ok()).collect();
        let client = Client::new(&options, Rules { allow: everywhere, ..Rules::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let queue = Arc::new(Queue::new(settings.queue));
        let (end, done) = mpsc::channel();
        let sender = Sender { queue: Arc::clone(&queue), client, settings, fails: false };
        let work = move || {
            runtime.block_on(sender.work());
            // Nobody may wait for it.
            let _ = end.send(());
        };
        thread::Builder::new().name("everstep-otlp".into()).spawn(work).map_err(|error| error.to_string())?;
        Ok(Self { queue, done })
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Sends what waits, for at most that long.
    pub fn finish(self, within: Duration) {
        self.queue.end();
        // What has not been sent by then is lost.
        let _ = self.done.recv_timeout(within);
    }
}

impl Sender {
    async fn work(mut self) {
        loop {
            let (batch, is_ending) = self.queue.take();
            if batch.spans > 0 {
                self.send(&batch).await;
                if batch.spans == BATCH {
                    continue;
                }
            }
            if is_ending {
                return;
            }
            // A batch, the end, or the time.
            let _ = timeout(self.settings.delay, self.queue.ready.notified()).await;
        }
    }

    async fn send(&mut self, batch: &Batch) {
        let body = request(&self.settings.resource, batch);
        let sent = self.post(body).await;
        let failed = sent.is_err();
        if let (Err(why), false) = (sent, self.fails) {
            tracing::warn!(why, "the collector does not take the spans of this process; executions go on without it");
        }
        self.fails = failed;
    }

    /// Posts a request, again after a pause if the collector is busy or gone.
    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let Settings { endpoint, headers, timeout, .. } = &self.settings;
        let mut headers = headers.clone();
        headers.push(("content-type".to_owned(), "application/x-protobuf".to_owned()));
        let (method, url) = ("POST".to_owned(), endpoint.clone());
        let request = Request { method, url, headers, body: body.into(), secret: None };
        let bounds = Bounds {
            timeout: *timeout,
            connect: CONNECT.min(*timeout),
            max_response: 0,
            redirects: 0,
            ..Bounds::default()
        };
        let mut pauses = AGAIN.iter();
        loop {
            let why = match self.client.tell(request.clone(), &bounds).await {
                Ok(status) if status < 300 => return Ok(()),
                Ok(status) if !BUSY.contains(&status) => return Err(format!("it answers with status {status}")),
                Ok(status) => format!("it answers with status {status}"),
                Err(failure) => failure.into_guest("export").message,
            };
            // Known to be gone, it gets one chance for each batch, and none after the end.
            match pauses.next().filter(|_| !self.fails && !self.queue.is_ending()) {
                // What was not taken by the end is tried once more.
                Some(pause) => drop(tokio::time::timeout(*pause, self.queue.ended.notified()).await),
                None => return Err(why),
            }
        }
    }
}
