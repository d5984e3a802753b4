# What people run; `just` lists it.

default:
    @just --list

# Everything that CI runs.
ci:
    .ci/run

# The whole test suite.
test:
    cargo test --workspace

# A world in which everything fails, from many seeds; `RANKMILL_SIM_SEED=17 just simulate` replays one.
simulate seeds="100000":
    RANKMILL_SIM_SEEDS={{seeds}} cargo test --package rankmill-coordinator --lib simulation -- --nocapture every_world

# Formatting, lints, documentation, direction of dependences.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
    .ci/directions

# Licences, banned crates, sources.
deny:
    cargo deny check bans licenses sources

# 200 seeded schedules of faults, and kills at every slot of the log and every step of a write.
chaos:
    RANKMILL_CHAOS_SCHEDULES=200 RANKMILL_CHAOS_MOMENTS=all cargo test --workspace --test chaos -- --nocapture --test-threads 1

# Kernels, in flops and bytes per second, beside the machine's limits: some three minutes.
kernels *group:
    cargo bench -p rankmill-kernels -- {{group}}

# The first command of the README.
demo:
    cargo run --release -- svd examples/wordnet/relations.parquet --row source --col target --value weight -k 32 -o target/wordnet

# Compares a result with scipy (needs Python, see tests/reference/README.md).
check out *args:
    python3 tests/reference/check_result.py {{out}} {{args}}
