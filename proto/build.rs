//! Generates the services from `proto/` with protox: no protoc on the user's machine.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(
        ["rankmill/v1/jobs.proto", "rankmill/v1/tasks.proto"],
        ["proto"],
    )?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
