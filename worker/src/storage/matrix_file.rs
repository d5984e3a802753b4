//! A tall or small matrix as the file that it is, or will be: the numbers once, in memory, between
//! the few bytes that Arrow puts around them.
//!
//! What Arrow puts around numbers depends on their shape alone, so it is taken from Arrow's own
//! writer once per shape.
//!
//! Invariant: [`MatrixFile::segments`] are, in order, the bytes that [`super::ipc`] writes for the
//! same numbers.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::Buffer;
use bytemuck::cast_slice;
use rankmill_common::{Digest, Error, ObjectRef, Result};
use rankmill_kernels::Panel;
use rankmill_kernels::tall::Entries;

use super::ipc::{self, IpcFile};
use super::tall::for_each_batch;
use super::vectors::{self, Numbers};

/// Numbers of a matrix, row-major.
#[derive(Clone, Debug)]
pub(crate) enum Numbered {
    /// Of 32 bits.
    Single(Panel),
    /// Of 64 bits.
    Double(Vec<f64>),
}

/// What decides the bytes around the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) nrows: usize,
    pub(super) ncols: usize,
    pub(super) double: bool,
}

/// A file without its numbers.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Around(Vec<u8>),
    Numbers(Range<usize>),
}

/// A complete object in memory.
#[derive(Debug)]
pub(crate) struct MatrixFile {
    object: ObjectRef,
    shape: Shape,
    template: Arc<Template>,
    numbers: Numbered,
}

impl Numbered {
    /// The numbers as kernels take them.
    pub(crate) fn entries(&self) -> Entries<'_> {
        match self {
            Self::Single(panel) => Entries::Single(panel.as_slice()),
            Self::Double(entries) => Entries::Double(entries),
        }
    }

    /// The numbers as a panel, where they are of 32 bits.
    pub(crate) fn panel(&self) -> Option<&Panel> {
        match self {
            Self::Single(panel) => Some(panel),
            Self::Double(_) => None,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Single(panel) => cast_slice(panel.as_slice()),
            Self::Double(entries) => cast_slice(entries),
        }
    }

    pub(super) fn is_double(&self) -> bool {
        matches!(self, Self::Double(_))
    }
}

impl Template {
    /// What Arrow puts around `numbers` of this shape.
    pub(super) fn make(shape: Shape, numbers: &Numbered) -> Result<Self> {
        let file = match numbers {
            Numbered::Single(panel) => encode::<f32>(shape, panel.as_slice()),
            Numbered::Double(entries) => encode::<f64>(shape, entries),
        };
        let file = Buffer::from_vec(file?);
        let failed = |e: arrow::error::ArrowError| Error::internal(e.to_string());
        let parsed = IpcFile::parse("a template", file.clone()).map_err(failed)?;
        let (mut parts, mut at, mut seen) = (Vec::new(), 0, 0);
        for batch in parsed.batches() {
            let batch = batch?;
            let bytes: &[u8] = match vectors::numbers(&batch, shape.ncols) {
                Some(Numbers::Single(numbers)) => cast_slice(numbers),
                Some(Numbers::Double(numbers)) => cast_slice(numbers),
                None => return Err(Error::internal("a template holds no vectors")),
            };
            if bytes.is_empty() {
                continue;
            }
            // Batches point into the file.
            let start = bytes.as_ptr() as usize - file.as_ptr() as usize;
            parts.push(Part::Around(file[at..start].to_vec()));
            parts.push(Part::Numbers(seen..seen + bytes.len()));
            seen += bytes.len();
            at = start + bytes.len();
        }
        parts.push(Part::Around(file[at..].to_vec()));
        Ok(Self { parts })
    }

    fn segments<'a>(&'a self, numbers: &'a Numbered) -> impl Iterator<Item = &'a [u8]> {
        let bytes = numbers.bytes();
        self.parts.iter().map(move |part| match part {
            Part::Around(around) => around.as_slice(),
            Part::Numbers(range) => &bytes[range.clone()],
        })
    }
}

fn encode<T: vectors::Number>(shape: Shape, numbers: &[T]) -> Result<Vec<u8>> {
    let schema = vectors::schema::<T>(shape.ncols)?;
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let mut writer = ipc::file_writer(Vec::new(), &schema)?;
    for_each_batch(shape.nrows, shape.ncols, numbers, |count, part| {
        let batch = vectors::batch::<T>(&schema, count, shape.ncols, part)?;
        writer.write(&batch).map_err(internal)
    })?;
    writer.finish().map_err(internal)?;
    writer.into_inner().map_err(internal)
}

impl MatrixFile {
    /// The object `key` that holds `numbers`.
    pub(super) fn new(
        key: String,
        shape: Shape,
        template: Arc<Template>,
        numbers: Numbered,
    ) -> Self {
        /// Fewer bytes are hashed by one thread.
        const SHARED: usize = 1 << 20;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        for segment in template.segments(&numbers) {
            size += segment.len() as u64;
            if segment.len() < SHARED {
                hasher.update(segment);
            } else {
                hasher.update_rayon(segment);
            }
        }
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        Self {
            object: ObjectRef { key, size, digest },
            shape,
            template,
            numbers,
        }
    }

    /// What names it.
    pub(crate) fn object(&self) -> &ObjectRef {
        &self.object
    }

    /// Numbers of each row.
    pub(crate) fn ncols(&self) -> usize {
        self.shape.ncols
    }

    /// The numbers.
    pub(crate) fn numbers(&self) -> &Numbered {
        &self.numbers
    }

    /// The numbers, which nobody else holds.
    pub(super) fn into_numbers(self) -> Numbered {
        self.numbers
    }

    /// Writes the whole file.
    pub(super) fn write(&self, target: &mut impl io::Write) -> io::Result<()> {
        for segment in self.template.segments(&self.numbers) {
            target.write_all(segment)?;
        }
        Ok(())
    }
}
