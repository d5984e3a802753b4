//! Fetching cache lines ahead of their use, which plain slices cannot ask for.

#![allow(unsafe_code, reason = "see SAFETY below")]

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Asks for all cache lines of `row`, so that they are near when they are read. It changes nothing
/// but time, and does nothing on other processors than x86-64.
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T]) {
    prefetch_part(row, 0, row.len());
}

/// [`prefetch`] of `len` entries from `at` on, which nothing compares with the end of `entries`.
#[inline(always)]
pub(crate) fn prefetch_part<T>(entries: &[T], at: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for byte in (0..len * size_of::<T>()).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = entries.as_ptr().wrapping_add(at).cast::<i8>();
        // SAFETY: every x86-64 has SSE, and a prefetch faults on no address and writes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(byte)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (entries, at, len);
}
