//! Writes one job's log behind the computation.
//!
//! Entries that arrive while an append is in flight travel together in the next one (group
//! commit). The order of entries is the order of [`Journal::write`].
//!
//! Where outputs are visible before they are durable ([`Outputs`]), callers are answered at once
//! and an entry waits for the outputs that it names, and all entries behind it wait with it. An
//! entry that ends the job or completes its result waits for nothing: with it in the same slot,
//! nobody reads any output again.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use rankmill_common::{ErrorKind, JobId, Result};
use tokio::sync::mpsc;

use super::command::{Command, EngineHandle};
use super::surroundings::Outputs;
use crate::log::{JobEntry, Log};
use crate::scheduler::RequestId;

/// Most entries in one slot.
const GROUP: usize = 256;

/// The way to a job's log.
#[derive(Debug)]
pub(super) struct Journal {
    entries: mpsc::UnboundedSender<Message>,
    /// Who is answered before the log holds what was said, if anybody is.
    early: Option<EngineHandle>,
}

#[derive(Debug)]
enum Message {
    Entry(JobEntry, Option<RequestId>),
    Answer(RequestId),
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl Journal {
    /// Starts writing to `log`.
    pub(super) fn start(
        job: JobId,
        log: Log,
        engine: EngineHandle,
        outputs: Option<Arc<dyn Outputs>>,
    ) -> Self {
        let (entries, receiver) = mpsc::unbounded_channel();
        let early = outputs.as_ref().map(|_| engine.clone());
        tokio::spawn(write(job, log, engine, outputs, receiver));
        Self { entries, early }
    }

    /// Appends `entry`; the engine hears of `request` once the log holds it.
    pub(super) fn write(&self, entry: JobEntry, request: Option<RequestId>) {
        let request = self.answer_early(request);
        // Fails only when the writer has told the engine that the log is lost.
        let _ = self.entries.send(Message::Entry(entry, request));
    }

    /// The engine hears of `request` once the log holds everything written before; never, if the
    /// log is lost.
    pub(super) fn acknowledge(&self, request: RequestId) {
        if let Some(request) = self.answer_early(Some(request)) {
            let _ = self.entries.send(Message::Answer(request));
        }
    }

    /// The request that is still to be answered.
    fn answer_early(&self, request: Option<RequestId>) -> Option<RequestId> {
        match (&self.early, request) {
            (Some(engine), Some(request)) => {
                engine.tell(Command::Appended { request });
                None
            }
            (Some(_), None) => None,
            (None, request) => request,
        }
    }

    /// Resolves when everything written before is in the log; never, if the log is lost.
    pub(super) fn flushed(&self) -> tokio::sync::oneshot::Receiver<()> {
        let (done, flushed) = tokio::sync::oneshot::channel();
        let _ = self.entries.send(Message::Flush(done));
        flushed
    }
}

impl Message {
    /// Where the outputs lie that this entry makes count.
    fn outputs(&self) -> Option<&str> {
        match self {
            Self::Entry(JobEntry::TaskCommitted { output_prefix, .. }, _) => Some(output_prefix),
            Self::Entry(..) | Self::Answer(_) | Self::Flush(_) => None,
        }
    }

    /// Objects that this entry lets go.
    fn released(&self) -> &[String] {
        match self {
            Self::Entry(JobEntry::ObjectsReleased { objects }, _) => objects,
            Self::Entry(..) | Self::Answer(_) | Self::Flush(_) => &[],
        }
    }

    /// Whether nobody reads any output once the log holds this.
    fn ends(&self) -> bool {
        match self {
            Self::Entry(entry, _) => match entry {
                JobEntry::ResultCommitted { .. }
                | JobEntry::JobSucceeded
                | JobEntry::JobFailed { .. }
                | JobEntry::JobCancelled => true,
                JobEntry::JobCreated { .. }
                | JobEntry::EpochStarted { .. }
                | JobEntry::StageStarted { .. }
                | JobEntry::TaskCommitted { .. }
                | JobEntry::ObjectsReleased { .. } => false,
            },
            Self::Answer(_) | Self::Flush(_) => false,
        }
    }
}

async fn write(
    job: JobId,
    mut log: Log,
    engine: EngineHandle,
    outputs: Option<Arc<dyn Outputs>>,
    mut messages: mpsc::UnboundedReceiver<Message>,
) {
    let (mut received, mut waiting) = (Vec::new(), VecDeque::new());
    while messages.recv_many(&mut received, GROUP).await > 0 {
        waiting.extend(received.drain(..));
        while !waiting.is_empty() {
            let count = match &outputs {
                Some(outputs) => ready(&**outputs, &mut messages, &mut waiting).await,
                None => Ok(waiting.len()),
            };
            let written = match count {
                Ok(count) => append(&mut log, &engine, waiting.drain(..count)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                engine.tell(Command::LogFailed { job, error });
                return;
            }
        }
    }
}

/// How many of the messages may go into the log; waits until it is one.
async fn ready(
    outputs: &dyn Outputs,
    messages: &mut mpsc::UnboundedReceiver<Message>,
    waiting: &mut VecDeque<Message>,
) -> Result<usize> {
    loop {
        drain(messages, waiting);
        if let Some(last) = waiting.iter().rposition(Message::ends) {
            return Ok(last + 1);
        }
        let mut count = 0;
        for prefix in waiting.iter().map(Message::outputs) {
            match prefix.map(|prefix| outputs.settled(prefix).now_or_never()) {
                None | Some(Some(Ok(()))) => count += 1,
                Some(Some(Err(error))) => return Err(error),
                Some(None) => break,
            }
        }
        // What let go of an output that is settled for this reason has been said by now: whoever
        // lets go says so first.
        drain(messages, waiting);
        // Nothing that follows the job's end would wake what waits below.
        if waiting.iter().any(Message::ends) {
            continue;
        }
        let whole = whole(waiting, count);
        if whole > 0 {
            return Ok(whole);
        }
        // Where this is none, it was said meanwhile.
        let Some(Some(prefix)) = waiting.get(count).map(Message::outputs) else {
            continue;
        };
        let settled = outputs.settled(prefix);
        tokio::select! {
            settled = settled => settled?,
            Some(message) = messages.recv() => waiting.push_back(message),
        }
    }
}

fn drain(messages: &mut mpsc::UnboundedReceiver<Message>, waiting: &mut VecDeque<Message>) {
    while let Ok(message) = messages.try_recv() {
        waiting.push_back(message);
    }
}

/// How many of the first `settled` messages may go without the rest. An output that was let go may
/// never have been written: it counts only together with the entry that let it go, and so with all
/// that was made of it.
fn whole(waiting: &VecDeque<Message>, settled: usize) -> usize {
    let mut count = settled;
    loop {
        let left_behind = waiting.iter().skip(count).flat_map(Message::released);
        let made_by = |key: &String| {
            let mut first = waiting.iter().take(count).map(Message::outputs);
            first.position(|prefix| prefix.is_some_and(|prefix| key.starts_with(prefix)))
        };
        match left_behind.filter_map(made_by).min() {
            Some(place) => count = place,
            None => return count,
        }
    }
}

async fn append(
    log: &mut Log,
    engine: &EngineHandle,
    group: impl Iterator<Item = Message>,
) -> Result<()> {
    let (mut entries, mut requests, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
    for message in group {
        match message {
            Message::Entry(entry, request) => {
                entries.push(entry);
                requests.extend(request);
            }
            Message::Answer(request) => requests.push(request),
            Message::Flush(done) => flushes.push(done),
        }
    }
    if !entries.is_empty() {
        log.append(entries)
            .await
            .map_err(|error| match error.kind {
                ErrorKind::ResourceExhausted => error.context("the job's log cannot be written"),
                ErrorKind::InvalidInput
                | ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::Unavailable
                | ErrorKind::InputLost
                | ErrorKind::Fenced
                | ErrorKind::Cancelled
                | ErrorKind::NotConverged
                | ErrorKind::Internal => error,
            })?;
    }
    for request in requests {
        engine.tell(Command::Appended { request });
    }
    for done in flushes {
        let _ = done.send(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::TaskCost;
    use futures::future::BoxFuture;
    use rankmill_common::operator::{Done, Report};
    use rankmill_common::{AttemptId, StageId, TaskIndex, WorkerId};
    use std::sync::Mutex;

    /// Outputs that never become durable; whoever asks for them first says something else as well.
    struct Never {
        messages: mpsc::UnboundedSender<Message>,
        last_words: Mutex<Option<Message>>,
    }

    impl Outputs for Never {
        fn settled(&self, _: &str) -> BoxFuture<'static, Result<()>> {
            if let Some(message) = self.last_words.lock().expect("one thread").take() {
                self.messages.send(message).expect("somebody listens");
            }
            futures::future::pending().boxed()
        }

        fn release(&self, _: &[String]) {}

        fn forget(&self, _: &str) -> BoxFuture<'static, ()> {
            futures::future::ready(()).boxed()
        }
    }

    fn committed() -> Message {
        let entry = JobEntry::TaskCommitted {
            stage: StageId(0),
            task: TaskIndex(0),
            attempt: AttemptId::new("1-1"),
            worker: WorkerId::new("worker-0"),
            output_prefix: "jobs/1/a/0/0".to_owned(),
            report: Box::new(Report::Done(Done {})),
            cost: TaskCost::default(),
        };
        Message::Entry(entry, None)
    }

    #[tokio::test]
    async fn the_end_of_a_job_waits_for_no_output_whenever_it_is_said() {
        let (sender, mut messages) = mpsc::unbounded_channel();
        let outputs = Never {
            messages: sender.clone(),
            last_words: Mutex::new(Some(Message::Entry(JobEntry::JobSucceeded, None))),
        };
        let mut waiting = VecDeque::from([committed()]);
        let count = ready(&outputs, &mut messages, &mut waiting).now_or_never();
        assert_eq!(count.expect("it waits for nothing").expect("no error"), 2);
    }
}
