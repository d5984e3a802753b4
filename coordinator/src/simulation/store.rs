//! The simulated object store, as one process sees it.
//!
//! Each key is linearizable; everything else goes wrong: calls fail or time out before or after
//! they take effect, writes land long after their client gave up, *create if absent* claims that
//! an object exists though nobody won, or meets its own first try, and listings are old.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use futures::{FutureExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use rankmill_store::{Location, Store};

use super::job::STATE;
use super::process::{Place, Process};
use super::world::World;

/// After this a client gives a call up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the store holds. Shared by all processes.
#[derive(Debug, Default)]
pub(super) struct Disk {
    objects: InMemory,
    ages: Mutex<Ages>,
}

/// What listings of the past would have shown.
#[derive(Debug, Default)]
struct Ages {
    born: BTreeMap<Path, u64>,
    gone: Vec<(ObjectMeta, u64, u64)>,
}

impl Disk {
    /// What lies at `key` now.
    pub(super) fn read(&self, key: &str) -> Option<Bytes> {
        let path = Path::from(key);
        let read = async { self.objects.get(&path).await?.bytes().await };
        read.now_or_never().and_then(Result::ok)
    }

    fn write(&self, now: u64, path: &Path, bytes: &Bytes, mode: &PutMode) -> Result<PutResult> {
        let options = PutOptions::from(mode.clone());
        let written = self
            .objects
            .put_opts(path, bytes.clone().into(), options)
            .now_or_never()
            .ok_or_else(timed_out)?;
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        ages.born.entry(path.clone()).or_insert(now);
        written
    }

    /// Removes an object; returns whether there was one.
    pub(super) fn remove(&self, now: u64, path: &Path) -> bool {
        let Some(Ok(meta)) = self.objects.head(path).now_or_never() else {
            return false;
        };
        let _ = self.objects.delete(path).now_or_never();
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(born) = ages.born.remove(path) {
            ages.gone.push((meta, born, now));
        }
        true
    }

    /// The listing as it was at `then`.
    fn list(&self, prefix: Option<&Path>, then: u64) -> Vec<ObjectMeta> {
        let listed: Vec<ObjectMeta> = self
            .objects
            .list(prefix)
            .try_collect()
            .now_or_never()
            .and_then(Result::ok)
            .unwrap_or_default();
        let ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        let was_there = |meta: &ObjectMeta| ages.born.get(&meta.location) <= Some(&then);
        let mut metas: Vec<_> = listed.into_iter().filter(was_there).collect();
        let below = |meta: &ObjectMeta| prefix.is_none_or(|p| meta.location.prefix_matches(p));
        for (meta, born, died) in &ages.gone {
            if *born <= then && then < *died && below(meta) {
                metas.push(meta.clone());
            }
        }
        metas
    }
}

/// How a write goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused,
    LostOnTheWay,
    AnswerLost,
    LandsLate,
    ExistsThoughNobodyWon,
    MeetsItself,
}

/// The store in the hands of one process.
pub(super) struct Client {
    world: Arc<World>,
    process: Arc<Process>,
}

impl Client {
    /// The state store.
    pub(super) fn state(world: &Arc<World>, process: &Arc<Process>) -> Store {
        Self::open(world, process, &format!("memory://simulation/{STATE}"))
            .unwrap_or_else(|e| unreachable!("a constant URL: {e}"))
    }

    /// The store of a result.
    pub(super) fn open(
        world: &Arc<World>,
        process: &Arc<Process>,
        url: &str,
    ) -> rankmill_common::Result<Store> {
        let client = Self {
            world: Arc::clone(world),
            process: Arc::clone(process),
        };
        Ok(Store::over(Arc::new(client), Location::parse(url)?))
    }

    /// The way to the store: takes a moment, or fails.
    async fn reach(&self) -> Result<()> {
        self.process.gate().await;
        if self.world.is_cut(self.process.place, Place::Store) {
            self.world.count("store call cut by a partition");
            tokio::time::sleep(PATIENCE).await;
            return self.fail().await;
        }
        self.world.pause(1, 8).await;
        if self.world.goes_wrong(|faults| faults.store_refuses) {
            self.world.count("store answers 5xx");
            return self.fail().await;
        }
        Ok(())
    }

    async fn fail<T>(&self) -> Result<T> {
        self.process.gate().await;
        Err(timed_out())
    }

    /// The way back.
    async fn answer<T>(&self, answer: Result<T>) -> Result<T> {
        self.world.pause(1, 8).await;
        self.process.gate().await;
        answer
    }

    /// Lets a write take effect after `delay`, whatever becomes of its client.
    async fn land(
        &self,
        path: &Path,
        bytes: Bytes,
        mode: PutMode,
        delay: Duration,
    ) -> Result<PutResult> {
        let (world, process) = (Arc::clone(&self.world), Arc::clone(&self.process));
        let path = path.clone();
        let landing = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            world.land(&process, &path, bytes, mode)
        });
        landing.await.unwrap_or_else(|_| Err(timed_out()))
    }

    fn choose_fault(&self, mode: &PutMode) -> Option<Fault> {
        if !self.world.goes_wrong(|faults| faults.store_writes) {
            return None;
        }
        let any = [
            Fault::Refused,
            Fault::LostOnTheWay,
            Fault::AnswerLost,
            Fault::LandsLate,
        ];
        let create = [Fault::ExistsThoughNobodyWon, Fault::MeetsItself];
        let conditional = matches!(mode, PutMode::Create) && self.world.chance.happens(400);
        Some(match conditional {
            true => self.world.chance.pick(&create),
            false => self.world.chance.pick(&any),
        })
    }

    async fn put_with(
        &self,
        fault: Fault,
        path: &Path,
        bytes: Bytes,
        mode: PutMode,
    ) -> Result<PutResult> {
        match fault {
            Fault::Refused => {
                self.world.count("store answers 5xx");
                self.fail().await
            }
            Fault::LostOnTheWay => {
                self.world.count("write times out before it lands");
                tokio::time::sleep(PATIENCE).await;
                self.fail().await
            }
            Fault::AnswerLost => {
                self.world.count("write lands, then times out");
                let _ = self.land(path, bytes, mode, Duration::ZERO).await;
                tokio::time::sleep(PATIENCE).await;
                self.fail().await
            }
            Fault::LandsLate => {
                self.world.count("write lands after its client gave up");
                let delay = PATIENCE + self.world.chance.millis(1, 20_000);
                let late = self.land(path, bytes, mode, delay);
                // The landing goes on by itself when nobody waits for it any more.
                let _ = tokio::time::timeout(PATIENCE, late).await;
                self.fail().await
            }
            Fault::ExistsThoughNobodyWon => {
                self.world.count("409 though nobody won");
                self.answer(Err(exists(path))).await
            }
            Fault::MeetsItself => {
                self.world.count("inner retry meets its own write");
                let landed = self.land(path, bytes, mode, Duration::ZERO).await;
                self.answer(landed.and_then(|_| Err(exists(path)))).await
            }
        }
    }
}

fn timed_out() -> Error {
    Error::Generic {
        store: "simulation",
        source: "the store did not answer".into(),
    }
}

fn exists(path: &Path) -> Error {
    Error::AlreadyExists {
        path: path.to_string(),
        source: "it exists".into(),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulated store at {:?}", self.process.place)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[tonic::async_trait]
impl ObjectStore for Client {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.reach().await?;
        let bytes = Bytes::from(payload);
        match self.choose_fault(&options.mode) {
            Some(fault) => self.put_with(fault, path, bytes, options.mode).await,
            None => {
                let landed = self.land(path, bytes, options.mode, Duration::ZERO).await;
                self.answer(landed).await
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(timed_out())
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.reach().await?;
        let found = self.world.disk.objects.get_opts(path, options).await;
        self.answer(found).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (world, process) = (Arc::clone(&self.world), Arc::clone(&self.process));
        let delete = move |path: Result<Path>| {
            let client = Self {
                world: Arc::clone(&world),
                process: Arc::clone(&process),
            };
            async move {
                let path = path?;
                client.reach().await?;
                client.world.delete(&client.process, &path);
                client.answer(Ok(path)).await
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let client = Self {
            world: Arc::clone(&self.world),
            process: Arc::clone(&self.process),
        };
        let prefix = prefix.cloned();
        let listed = async move {
            client.reach().await?;
            let mut then = client.world.now();
            if client.world.goes_wrong(|faults| faults.stale_lists) {
                client.world.count("stale listing");
                then = then.saturating_sub(client.world.chance.between(1, 20_000));
            }
            let metas = client.world.disk.list(prefix.as_ref(), then);
            client.answer(Ok(metas)).await
        };
        stream::once(listed)
            .map_ok(|metas| stream::iter(metas.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(timed_out())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(timed_out())
    }
}

impl World {
    /// A write takes effect.
    fn land(
        &self,
        process: &Process,
        path: &Path,
        bytes: Bytes,
        mode: PutMode,
    ) -> Result<PutResult> {
        let landed = self.disk.write(self.now(), path, &bytes, &mode)?;
        self.trace(|| format!("{:?} wrote {path}", process.place));
        if self.is_released(path.as_ref()) {
            self.count("released object made again");
        }
        self.watch(|witness| witness.written(&self.disk, process, path.as_ref(), &bytes, &mode));
        Ok(landed)
    }

    fn delete(&self, process: &Process, path: &Path) {
        if self.disk.remove(self.now(), path) {
            self.trace(|| format!("{:?} deleted {path}", process.place));
            if self.is_released(path.as_ref()) {
                self.count("released object deleted");
            }
            self.watch(|witness| witness.deleted(&self.disk, process, path.as_ref()));
        }
    }
}
