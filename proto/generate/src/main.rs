//! `generate-pb PROTO_DIR OUT_DIR`: writes one Rust file of messages for each .proto file.
//!
//! Only messages: the services are a dozen lines by hand in `src/rpc`, because the stub generator of grpcio
//! writes `allow(unsafe_code)`, which this project forbids.

use std::path::PathBuf;

use protobuf_codegen::{Codegen, Customize};

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(protos), Some(out)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: generate-pb PROTO_DIR OUT_DIR");
        std::process::exit(2);
    };
    Codegen::new()
        .pure()
        .include(&protos)
        .input(protos.join("csi.proto"))
        .input(protos.join("provider.proto"))
        .input(protos.join("registration.proto"))
        .out_dir(&out)
        // Lite messages carry no reflection: a third of the code, and no printer of field values.
        .customize(Customize::default().lite_runtime(true).gen_mod_rs(false))
        .run_from_script();
}
