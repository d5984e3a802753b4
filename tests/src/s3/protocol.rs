//! The operations that rankmill's client uses, on the objects in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::BUCKET;
use super::backend::{Backend, Condition, Stored};

/// Objects on one page of a listing: few, so that paging is tried.
const PAGE: usize = 20;

pub(super) struct Protocol {
    backend: Arc<Backend>,
}

impl Protocol {
    pub(super) fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        check_bucket(bucket)?;
        let found = self.backend.get(bucket, key);
        found.ok_or_else(|| s3_error!(NoSuchKey))
    }
}

fn check_bucket(bucket: &str) -> S3Result {
    if bucket == BUCKET {
        Ok(())
    } else {
        Err(s3_error!(NoSuchBucket))
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else {
        return Ok(Bytes::new());
    };
    let parts: Vec<Bytes> = body
        .try_collect()
        .await
        .map_err(|_| s3_error!(IncompleteBody))?;
    Ok(parts.concat().into())
}

fn once(bytes: Bytes) -> StreamingBlob {
    StreamingBlob::wrap(futures::stream::iter([std::io::Result::Ok(bytes)]))
}

#[async_trait::async_trait]
impl S3 for Protocol {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        check_bucket(&input.bucket)?;
        let condition = match &input.if_none_match {
            None => Condition::None,
            Some(condition) if condition.is_any() => Condition::Absent,
            Some(_) => return Err(s3_error!(NotImplemented)),
        };
        let bytes = collect(input.body).await?;
        let put = self
            .backend
            .put(&input.bucket, &input.key, bytes, condition)
            .await;
        let stored = put.map_err(|_| s3_error!(PreconditionFailed))?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(stored.tag)),
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let stored = self.object(&input.bucket, &input.key)?;
        let size = stored.bytes.len() as u64;
        let range = match input.range {
            None => None,
            Some(range) => Some(range.check(size).map_err(|_| s3_error!(InvalidRange))?),
        };
        let bytes = match &range {
            None => stored.bytes,
            Some(range) => stored.bytes.slice(range.start as usize..range.end as usize),
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            content_range: range
                .map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
            body: Some(once(bytes)),
            e_tag: Some(ETag::Strong(stored.tag)),
            last_modified: Some(stored.modified.into()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let stored = self.object(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(stored.bytes.len() as i64),
            e_tag: Some(ETag::Strong(stored.tag)),
            last_modified: Some(stored.modified.into()),
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        check_bucket(&request.input.bucket)?;
        self.backend
            .delete(&request.input.bucket, &request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        check_bucket(&input.bucket)?;
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let prefix = input.prefix.unwrap_or_default();
        let after = input
            .continuation_token
            .or(input.start_after)
            .unwrap_or_default();
        let mut found = self.backend.list(&input.bucket, &prefix, &after, PAGE + 1);
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        let next = found.last().map(|(key, _)| key.clone()).filter(|_| more);
        let contents: Vec<Object> = found
            .into_iter()
            .map(|(key, stored)| Object {
                key: Some(key),
                size: Some(stored.bytes.len() as i64),
                e_tag: Some(ETag::Strong(stored.tag)),
                last_modified: Some(stored.modified.into()),
                ..Object::default()
            })
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(prefix),
            key_count: Some(contents.len() as i32),
            contents: Some(contents),
            is_truncated: Some(more),
            next_continuation_token: next,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        check_bucket(&request.input.bucket)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            key: Some(request.input.key),
            upload_id: Some(self.backend.begin_upload()),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = collect(input.body).await?;
        let kept = self
            .backend
            .put_part(&input.upload_id, input.part_number, bytes);
        let tag = kept.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(tag)),
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let listed = input.multipart_upload.and_then(|upload| upload.parts);
        let numbers: Vec<i32> = listed
            .unwrap_or_default()
            .iter()
            .filter_map(|part| part.part_number)
            .collect();
        let whole = self
            .backend
            .complete(&input.bucket, &input.key, &input.upload_id, &numbers);
        let stored = whole.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(stored.tag)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.backend.abort(&request.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
