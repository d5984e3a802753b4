//! Wire messages to domain types (`TryFrom`, checked) and back (`From`).

pub mod graph;
pub mod input;
pub mod status;
pub mod svd;

use rankmill_common::job::JobSpec;
use rankmill_common::{Error, Result};

use crate::pb;

/// The specification in a submission, validated.
///
/// # Errors
///
/// `InvalidInput` naming the field.
pub fn job_spec(request: pb::SubmitJobRequest) -> Result<JobSpec> {
    let spec = match required(request.job, "job")? {
        pb::submit_job_request::Job::Svd(job) => JobSpec::Svd(job.try_into()?),
        pb::submit_job_request::Job::PageRank(job) => JobSpec::PageRank(job.try_into()?),
        pb::submit_job_request::Job::Ppr(job) => JobSpec::Ppr(job.try_into()?),
        pb::submit_job_request::Job::PprIndex(job) => JobSpec::PprIndex(job.try_into()?),
    };
    spec.validate()?;
    Ok(spec)
}

/// A submission of `spec`; the same `submission_id` in every repetition of it.
pub fn submission(spec: JobSpec, submission_id: String) -> pb::SubmitJobRequest {
    let job = match spec {
        JobSpec::Svd(spec) => pb::submit_job_request::Job::Svd(spec.into()),
        JobSpec::PageRank(spec) => pb::submit_job_request::Job::PageRank(spec.into()),
        JobSpec::Ppr(spec) => pb::submit_job_request::Job::Ppr(spec.into()),
        JobSpec::PprIndex(spec) => pb::submit_job_request::Job::PprIndex(spec.into()),
    };
    pb::SubmitJobRequest {
        job: Some(job),
        submission_id,
    }
}

fn required<T>(field: Option<T>, name: &str) -> Result<T> {
    field.ok_or_else(|| Error::invalid_input(format!("the request has no field {name:?}")))
}
