//! Answers to calls that waited for the scheduler or the log.

use rankmill_common::{AttemptId, Error, ErrorKind, Result};

use super::{Engine, Reply};
use crate::scheduler::RequestId;

impl Engine {
    pub(super) fn pulse(&mut self, request: RequestId, cancelled: Option<Vec<AttemptId>>) {
        let unknown = || Error::new(ErrorKind::NotFound, "the worker is not registered");
        match (self.replies.remove(&request), cancelled) {
            (Some(Reply::Pulse(reply)), Some(cancelled)) => {
                let names = cancelled.iter().map(ToString::to_string).collect();
                let _ = reply.send(Ok(names));
            }
            (Some(Reply::Pulse(reply)), None) => {
                let _ = reply.send(Err(unknown()));
            }
            (Some(Reply::Lease(reply)), _) => {
                let _ = reply.send(Err(unknown()));
            }
            (Some(Reply::Report(_, reply)), _) => {
                let _ = reply.send(Err(unknown()));
            }
            (None, _) => {}
        }
    }

    /// Answers a report that changes nothing, after everything that its job has said so far is in
    /// the log: it may be the second copy of a report whose commit is still on its way there.
    pub(super) fn acknowledge(&mut self, request: RequestId) {
        let job = match self.replies.get(&request) {
            Some(Reply::Report(job, _)) => self.jobs.get(job),
            Some(Reply::Lease(_) | Reply::Pulse(_)) | None => None,
        };
        match job {
            Some(job) => job.acknowledge(request),
            None => self.answer(request, Ok(())),
        }
    }

    pub(super) fn answer(&mut self, request: RequestId, result: Result<()>) {
        if let Some(Reply::Report(_, reply)) = self.replies.remove(&request) {
            let _ = reply.send(result);
        }
    }
}
