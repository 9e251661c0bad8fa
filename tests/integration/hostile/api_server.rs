//! API servers, or whoever sits in their place, that answer nonsense, too much, or too slowly.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use ::api_server::Matcher;
use kit::eventually;

/// What is hostile about an answer, its status code and its body.
type Row = (&'static str, u16, Vec<u8>);

fn hostile_answers() -> Vec<Row> {
    let class = |spec: &str| {
        let kind = r#""apiVersion":"secrets-store.csi.x-k8s.io/v1","kind":"SecretProviderClass""#;
        format!(r#"{{{kind},"metadata":{{"name":"db","namespace":"default"}},"spec":{spec}}}"#).into_bytes()
    };
    let json = |text: &str| text.as_bytes().to_vec();
    vec![
        ("garbage", 200, vec![0xff; 1000]),
        ("nothing", 200, Vec::new()),
        ("half an object", 200, json(r#"{"apiVersion":"secrets-store.csi.x-k8s.io/v1","spec":{"prov"#)),
        ("a list", 200, json("[1,2,3]")),
        ("null", 200, json("null")),
        ("a web page", 200, json("<html>\n<body>Please log in</body>\n</html>")),
        ("no spec", 200, json("{}")),
        ("spec null", 200, class("null")),
        ("spec a text", 200, class("\"x\"")),
        ("provider a number", 200, class(r#"{"provider":7,"parameters":{"objects":"x"}}"#)),
        ("parameters a list", 200, class(r#"{"provider":"test","parameters":["x"]}"#)),
        ("a parameter an object", 200, class(r#"{"provider":"test","parameters":{"objects":{"x":1}}}"#)),
        ("nested too deep", 200, format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)).into_bytes()),
        (
            "nested objects",
            200,
            format!("{}1{}", r#"{"spec":"#.repeat(100_000), "}".repeat(100_000)).into_bytes(),
        ),
        (
            "5 MiB",
            200,
            class(&format!(r#"{{"provider":"test","parameters":{{"objects":"{}"}}}}"#, "x".repeat(5 << 20))),
        ),
        (
            "an error in control characters",
            400,
            json("{\"kind\":\"Status\",\"message\":\"a\\nE1123 forged\\u001b[31m\"}"),
        ),
        (
            "an error of a megabyte",
            403,
            format!(r#"{{"kind":"Status","message":"{}"}}"#, "\\n".repeat(1 << 19)).into_bytes(),
        ),
        ("an error that is no JSON", 500, vec![b'\n'; 100_000]),
        ("a code that nobody defined", 599, json("x")),
        ("informational at the end", 204, Vec::new()),
    ]
}

#[test]
fn a_class_that_is_none_fails_a_first_publish_in_time_and_is_forgotten_when_it_is_mended() {
    let (world, provider) = node(&[]);
    for (number, (name, code, body)) in hostile_answers().into_iter().enumerate() {
        let pod = world.pod(&format!("pod-{number}"), "db");
        world.api.answer_next(1000, Matcher::path("secretproviderclasses"), code, body);
        let (begun, calls) = (Instant::now(), provider.calls());
        let status = refusal(&world, &pod);
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        assert_is_presentable(&status, name);
        assert_is_gone(&pod, name);
        assert_eq!(provider.calls(), calls, "{name}");
        eventually("the pod's owner is told", || !events(&world, &pod).is_empty());
        world.api.clear_faults();
        world.kubelet.publish(&pod).unwrap_or_else(|status| panic!("after {name}: {status}"));
        assert_is_good(&pod, name);
    }
    assert_log_is_whole(&world);
}

#[test]
fn a_live_volume_keeps_its_content_whatever_the_api_server_answers() {
    let (world, provider, pod) = live_node();
    for resource in ["secretproviderclasses", "secretproviderclasspodstatuses", "events"] {
        for (name, code, body) in hostile_answers() {
            let at = format!("{name} for {resource}");
            world.api.answer_next(1000, Matcher::path(&format!("/{resource}")), code, body);
            provider.script(|_| Ok(good()));
            let refresh = || world.kubelet.publish(&pod).unwrap_or_else(|status| panic!("{at}: {status}"));
            refresh();
            if resource == "secretproviderclasses" {
                // Once its watch is down, the driver has to read the class.
                world.api.close_connections();
                let reads = world.api.count("get", "/secretproviderclasses/");
                eventually("the class is read", || {
                    refresh();
                    world.api.count("get", "/secretproviderclasses/") > reads
                });
            }
            assert_is_good(&pod, &at);
            world.api.clear_faults();
        }
    }
    provider.script(|_| Ok(answer("v2", &[("password", 0, b"fresh")])));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "fresh");
    assert!(!world.kubelet.stats(&pod).unwrap().volume_condition.abnormal);
    assert_log_is_whole(&world);
}

#[test]
fn nonsense_about_the_pod_status_undoes_a_first_publish() {
    let (world, _provider) = node(&[]);
    for (number, (name, code, body)) in hostile_answers().into_iter().enumerate() {
        if ["no spec", "spec null", "informational at the end"].contains(&name)
            || body.starts_with(b"{\"apiVersion\"")
        {
            continue; // Odd, but an answer that says it was stored.
        }
        let pod = world.pod(&format!("pod-{number}"), "db");
        world.api.answer_next(1000, Matcher::path("podstatuses"), code, body);
        let status = refusal(&world, &pod);
        assert_is_presentable(&status, name);
        assert_is_gone(&pod, name);
        world.api.clear_faults();
        world.kubelet.publish(&pod).unwrap_or_else(|status| panic!("after {name}: {status}"));
        assert_is_good(&pod, name);
    }
    assert_log_is_whole(&world);
}

#[test]
fn answers_that_drip_or_never_come_are_given_up_in_time() {
    for name in ["drip", "hang"] {
        let (world, _provider, live) = live_node();
        match name {
            "drip" => world.api.drip(Matcher::any(), Duration::from_millis(100)),
            _ => world.api.hang(Matcher::any()),
        }
        let pod = world.pod("web", "db");
        let begun = Instant::now();
        world.kubelet.publish_within(&pod, Duration::from_secs(2)).expect_err(name);
        assert!(begun.elapsed() < Duration::from_secs(4), "{name}: {:?}", begun.elapsed());
        eventually("the attempt is undone", || !pod.is_mounted() && !pod.target.exists());
        assert_is_good(&live, name);

        // Kubelet is patient: then the driver is the one that gives up, and the live volume is none the worse.
        let begun = Instant::now();
        world.kubelet.publish(&live).expect(name);
        assert!(begun.elapsed() < Duration::from_secs(30), "{name}: {:?}", begun.elapsed());
        assert_is_good(&live, name);
        let begun = Instant::now();
        world.kubelet.unpublish(&live).expect(name);
        assert!(begun.elapsed() < Duration::from_secs(2), "{name}: an unpublish needs no API server");
        assert_is_gone(&live, name);

        world.api.clear_faults();
        eventually("the claim is free", || world.kubelet.publish(&pod).is_ok());
        assert_is_good(&pod, name);
    }
}

#[test]
fn a_redirect_is_never_followed() {
    let (mut world, _provider) = node(&[]);
    world.take_driver().terminate();
    let trapped = Arc::new(AtomicUsize::new(0));
    let (trap, door) = (listener(), listener());
    let location = format!("http://{}/", trap.local_addr().unwrap());
    let address = door.local_addr().unwrap();
    let counter = Arc::clone(&trapped);
    serve(trap, move || {
        counter.fetch_add(1, Ordering::SeqCst);
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned()
    });
    for code in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let door = door.try_clone().unwrap();
        let answer = format!("HTTP/1.1 {code}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (stop, is_stopped) = std::sync::mpsc::channel::<()>();
        let server = thread::spawn(move || {
            door.set_nonblocking(true).unwrap();
            while is_stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                match door.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        respond(stream, &answer);
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        let mut moved = World::without_driver(&[&format!("--kube-api-server=http://{address}")]);
        moved.start_driver();
        let pod = moved.pod("web", "db");
        let status = moved.kubelet.publish(&pod).expect_err(code);
        assert_is_presentable(&status, code);
        assert_is_gone(&pod, code);
        drop(moved);
        drop(stop);
        server.join().unwrap();
    }
    assert_eq!(trapped.load(Ordering::SeqCst), 0);
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn serve(listener: TcpListener, answer: impl Fn() -> String + Send + 'static) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            respond(stream, &answer());
        }
    });
}

/// Reads a little of a request and answers it, whatever it was.
fn respond(mut stream: std::net::TcpStream, answer: &str) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // A peer that is gone has nothing to tell this test.
    drop(stream.read(&mut [0; 4096]));
    drop(stream.write_all(answer.as_bytes()));
}
