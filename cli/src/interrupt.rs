//! Ctrl-C and SIGTERM: the first asks, the second insists.

use crate::text::tell;

/// Waits for Ctrl-C or SIGTERM. From then on a second one ends the process at once: nothing is
/// lost by that, since only what the log holds counts.
pub(crate) async fn requested() {
    signal().await;
    tokio::spawn(async {
        signal().await;
        tell("stopped at once; the same command continues");
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
