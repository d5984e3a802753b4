//! What this machine offers: memory, processors, its name.

use std::path::Path;

use rankmill_common::ByteSize;

/// Assumed where the machine does not say how much memory it has.
const UNKNOWN_MEMORY: u64 = 8 << 30;

/// More threads than a machine has processors are a slip of the hand.
pub(crate) const MOST_THREADS: i64 = 4_096;

/// Half of the memory that this process may use.
pub(crate) fn default_memory() -> ByteSize {
    let usable = physical_memory()
        .into_iter()
        .chain(control_group_limits(Path::new("/")))
        .min();
    ByteSize(usable.unwrap_or(UNKNOWN_MEMORY) / 2)
}

/// One thread per processor that this process may use.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The machine's name, for `jobs show` and logs.
pub(crate) fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    kernel
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

fn physical_memory() -> Option<u64> {
    total_of(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// Limits of this process's control group and of all groups above it: a container's, a systemd
/// unit's or a batch system's. Both versions of the interface are looked at.
fn control_group_limits(root: &Path) -> Vec<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        let folders = group.ancestors().map(|part| root.join(mount).join(part));
        limits.extend(folders.filter_map(|folder| number_in(&folder.join(file))));
    }
    limits
}

/// A control group's limit; "max" means none.
fn number_in(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_memory_table() {
        let meminfo = "MemFree:  10 kB\nMemTotal:       16384 kB\nBuffers: 1 kB\n";
        assert_eq!(total_of(meminfo), Some(16 << 20));
        assert_eq!(total_of("nothing"), None);
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("proc/self/cgroup", "0::/system.slice/worker.service\n");
        write("sys/fs/cgroup/system.slice/memory.max", "4096\n");
        write(
            "sys/fs/cgroup/system.slice/worker.service/memory.max",
            "max\n",
        );
        assert_eq!(control_group_limits(root.path()), [4096]);
    }

    #[test]
    fn some_memory_and_threads_are_always_offered() {
        assert!(default_memory().0 > 0);
        assert!(default_threads() > 0);
        assert!(!host().is_empty());
    }
}
