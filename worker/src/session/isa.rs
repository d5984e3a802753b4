//! The instruction-set class: machines of one class compute the same bits.

/// The class of this machine. It names only what changes the order or fusing of floating point
/// operations in the matrix products that the kernels build on.
pub(super) fn class() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if avx512() {
            "x86_64-avx512"
        } else if std::is_x86_feature_detected!("avx512f") {
            // Some libraries ask for less of AVX-512 than others: a class of its own.
            "x86_64-avx512f"
        } else if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            "x86_64-avx2"
        } else {
            "x86_64"
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}

/// What the 512-bit kernels ask for.
#[cfg(target_arch = "x86_64")]
fn avx512() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512cd")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
}
