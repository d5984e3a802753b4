//! A job's way through the engine: started, advanced, ended, or left to the next coordinator.

use rankmill_common::status::{JobState, JobStatus};
use rankmill_common::{Error, ErrorKind, JobId, Result};

use super::job::{Job, Step};
use super::{Engine, Reply, unknown};
use crate::scheduler::Event;

impl Engine {
    /// Polls a job's algorithm after `change` and passes on what it asks for.
    pub(super) fn advance(&mut self, id: &JobId, change: impl FnOnce(&mut Job)) -> Vec<Event> {
        let Some(job) = self.jobs.get_mut(id) else {
            return Vec::new();
        };
        change(job);
        match job.poll(self.config.max_tasks, &self.state) {
            Step::Asked(events) => events,
            Step::Finished(result) => {
                let isa = self.isa.iter().cloned().collect::<Vec<_>>().join("+");
                job.publish_result(*result, isa, self.state.clone(), &self.handle);
                // Nothing is left to schedule, and nothing there can fail the job any more.
                vec![Event::JobEnded { job: id.clone() }]
            }
            Step::Failed(error) => self.give_up(id, JobState::Failed, Some(error)),
        }
    }

    pub(super) fn start(&mut self, id: &JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        if job.state().is_terminal() {
            return;
        }
        self.dispatch(Event::JobAdded { job: id.clone() });
        for event in self.advance(id, |_| {}) {
            self.dispatch(event);
        }
    }

    /// Ends a job without a result, unless its result is complete: then it is too late.
    pub(super) fn give_up(
        &mut self,
        id: &JobId,
        state: JobState,
        error: Option<Error>,
    ) -> Vec<Event> {
        match self.jobs.get(id) {
            Some(job) if job.is_publishing() => Vec::new(),
            Some(_) | None => self.end(id, state, error),
        }
    }

    pub(super) fn end(&mut self, id: &JobId, state: JobState, error: Option<Error>) -> Vec<Event> {
        match self.jobs.get_mut(id) {
            Some(job) if !job.state().is_terminal() => {
                job.end(state, error, self.state.clone(), &self.handle);
            }
            Some(_) | None => return Vec::new(),
        }
        vec![Event::JobEnded { job: id.clone() }]
    }

    pub(super) fn cancel(&mut self, id: &JobId) -> Result<JobStatus> {
        if !self.jobs.contains_key(id) {
            return Err(unknown(id));
        }
        for event in self.give_up(id, JobState::Cancelled, None) {
            self.dispatch(event);
        }
        self.status(id)
    }

    pub(super) fn published(&mut self, id: &JobId, result: Result<()>) {
        let (state, error) = match result {
            Ok(()) => (JobState::Succeeded, None),
            Err(error) => (JobState::Failed, Some(error)),
        };
        for event in self.end(id, state, error) {
            self.dispatch(event);
        }
    }

    /// An append failed, or an output before it. Fenced, or out of touch with the store: this coordinator's term is over,
    /// and whoever leads next picks up every job where its log ends. Otherwise (a full disk) only
    /// this job ends here, and stays as its log has it.
    pub(super) fn abandon(&mut self, id: &JobId, error: Error) -> Result<()> {
        if matches!(error.kind, ErrorKind::Fenced | ErrorKind::Unavailable) {
            return Err(error);
        }
        if let Some(job) = self.jobs.get_mut(id) {
            job.abandon(error);
        }
        // Dropped, these calls fail as if the coordinator were out of reach.
        self.replies
            .retain(|_, reply| !matches!(reply, Reply::Report(job, _) if job == id));
        self.dispatch(Event::JobEnded { job: id.clone() });
        Ok(())
    }

    pub(super) fn status(&self, id: &JobId) -> Result<JobStatus> {
        let job = self.jobs.get(id).ok_or_else(|| unknown(id))?;
        Ok(self.status_of(job))
    }

    pub(super) fn status_of(&self, job: &Job) -> JobStatus {
        let under_way = self.scheduler.bytes_under_way(job.id());
        job.status(self.scheduler.workers() as u32, under_way)
    }

    /// Jobs whose end the log does not hold: the next coordinator has to look at them.
    pub(super) fn unsettled_jobs(&self) -> Vec<JobId> {
        let unsettled = self.jobs.iter().filter(|(_, job)| !job.is_settled());
        let dormant = self.dormant.iter();
        let dormant = dormant.filter(|id| !self.jobs.contains_key(id));
        unsettled
            .map(|(id, _)| id)
            .chain(dormant)
            .cloned()
            .collect()
    }
}
