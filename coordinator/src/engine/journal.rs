//! Writes one job's log behind the computation.
//!
//! Entries that arrive while an append is in flight travel together in the next one (group
//! commit). The order of entries is the order of [`Journal::write`].

use rankmill_common::JobId;
use tokio::sync::mpsc;

use super::command::{Command, EngineHandle};
use crate::log::{JobEntry, Log};
use crate::scheduler::RequestId;

/// Most entries in one slot.
const GROUP: usize = 256;

/// The way to a job's log.
#[derive(Debug)]
pub(super) struct Journal {
    entries: mpsc::UnboundedSender<Message>,
}

#[derive(Debug)]
enum Message {
    Entry(JobEntry, Option<RequestId>),
    Answer(RequestId),
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl Journal {
    /// Starts writing to `log`.
    pub(super) fn start(job: JobId, log: Log, engine: EngineHandle) -> Self {
        let (entries, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write(job, log, engine, receiver));
        Self { entries }
    }

    /// Appends `entry`; the engine hears of `request` once the log holds it.
    pub(super) fn write(&self, entry: JobEntry, request: Option<RequestId>) {
        // Fails only when the writer has told the engine that the log is lost.
        let _ = self.entries.send(Message::Entry(entry, request));
    }

    /// The engine hears of `request` once the log holds everything written before; never, if the
    /// log is lost.
    pub(super) fn acknowledge(&self, request: RequestId) {
        let _ = self.entries.send(Message::Answer(request));
    }

    /// Resolves when everything written before is in the log; never, if the log is lost.
    pub(super) fn flushed(&self) -> tokio::sync::oneshot::Receiver<()> {
        let (done, flushed) = tokio::sync::oneshot::channel();
        let _ = self.entries.send(Message::Flush(done));
        flushed
    }
}

async fn write(
    job: JobId,
    mut log: Log,
    engine: EngineHandle,
    mut messages: mpsc::UnboundedReceiver<Message>,
) {
    let mut group = Vec::new();
    while messages.recv_many(&mut group, GROUP).await > 0 {
        let (mut entries, mut requests, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
        for message in group.drain(..) {
            match message {
                Message::Entry(entry, request) => {
                    entries.push(entry);
                    requests.extend(request);
                }
                Message::Answer(request) => requests.push(request),
                Message::Flush(done) => flushes.push(done),
            }
        }
        if !entries.is_empty()
            && let Err(error) = log.append(entries).await
        {
            engine.tell(Command::LogFailed { job, error });
            return;
        }
        for request in requests {
            engine.tell(Command::Appended { request });
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}
