//! A panic ends the process, in whatever thread it is. Each case runs a program of its own: the driver, or this one once
//! more with a test that panics.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base::panics;
use rpc::pool::{DeferredCompletion, Pool};
use web::http::{Response, Routes, Server};

use kit::driver::program;

const SIGABRT: i32 = 6;
/// Far more than a process needs to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process has said when SIGABRT has ended it.
#[track_caller]
fn last_words(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{:?}: {said}", output.status);
    assert!(said.contains("panicked; this is a bug of the program, please report it"), "{said}");
    said
}

/// The same of this program when it runs one test for itself alone.
#[track_caller]
fn last_words_of(test: &str) -> String {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"]);
    last_words(command.output().unwrap())
}

/// Nothing but a panic of the standard library is at hand: its macro takes a full device for one.
#[test]
fn a_panic_of_the_driver_ends_it_with_one_line_that_quotes_nothing() {
    for (arguments, head) in
        [(&["--version"][..], "E"), (&["--version", "--log-format-json"], "{\"level\":\"error\"")]
    {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut driver = Command::new(program("secrets-store-csi-driver"));
        let said = last_words(driver.args(arguments).stdout(full).output().unwrap());
        assert!(said.starts_with(head) && said.lines().count() == 1, "{said}");
        assert!(said.contains("its text may hold a secret") && !said.contains("No space left"), "{said}");
    }
}

#[test]
fn a_panic_in_any_thread_ends_the_process_and_says_where() {
    let said = last_words_of("child_panics_where_panics_are_caught");
    assert!(said.contains("thread worker") && said.contains("integration/panics.rs:"), "{said}");
    assert!(said.contains("on purpose"), "{said}");
}

#[test]
#[ignore = "ends the process; run by a_panic_in_any_thread_ends_the_process_and_says_where"]
fn child_panics_where_panics_are_caught() {
    panics::end_the_process();
    let panicking = || catch_unwind(AssertUnwindSafe(|| panic!("on purpose"))).is_ok();
    let worker = thread::Builder::new().name("worker".to_owned()).spawn(panicking).unwrap();
    assert!(worker.join().unwrap());
}

#[test]
fn what_a_panic_quotes_is_not_told() {
    let said = last_words_of("child_panics_with_a_quotation");
    assert!(said.contains("integration/panics.rs:") && !said.contains("hunter2"), "{said}");
}

#[test]
#[ignore = "ends the process; run by what_a_panic_quotes_is_not_told"]
fn child_panics_with_a_quotation() {
    panics::end_the_process();
    let secret = String::from("hunter2");
    assert_eq!(secret, "", "{secret}");
}

#[test]
fn a_job_of_the_pool_that_panics_ends_the_process() {
    let said = last_words_of("child_runs_a_job_that_panics");
    assert!(said.contains("thread worker") && said.contains("on purpose"), "{said}");
}

#[test]
#[ignore = "ends the process; run by a_job_of_the_pool_that_panics_ends_the_process"]
fn child_runs_a_job_that_panics() {
    panics::end_the_process();
    let pool = Pool::start(1, 4).unwrap();
    pool.admit().unwrap().run(|| panic!("on purpose"));
    let (tell, told) = mpsc::channel();
    pool.admit().unwrap().run(move || {
        tell.send(()).unwrap();
        DeferredCompletion::NONE
    });
    assert!(told.recv_timeout(PATIENCE).is_err(), "the process has gone on");
}

#[test]
fn a_route_that_panics_ends_the_process() {
    for (child, text) in
        [("child_asks_for_a_route_that_panics", "a route"), ("child_asks_for_a_page_that_panics", "a page")]
    {
        let said = last_words_of(child);
        assert!(said.contains(text), "{child}: {said}");
    }
}

#[test]
#[ignore = "ends the process; run by a_route_that_panics_ends_the_process"]
fn child_asks_for_a_route_that_panics() {
    ask(Routes::at_once(|_| panic!("a route")));
}

#[test]
#[ignore = "ends the process; run by a_route_that_panics_ends_the_process"]
fn child_asks_for_a_page_that_panics() {
    ask(Routes::at_once(|_| Response::not_found()).page("/", || panic!("a page")));
}

fn ask(routes: Routes) {
    panics::end_the_process();
    let server = Server::start("127.0.0.1:0", "test", routes).unwrap();
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    panic!("the process has gone on: {read:?} {answer}");
}
