//! A crash at each numbered step: what readers see at that moment, and what the next write makes of it.

use super::*;

struct Scenario {
    name: &'static str,
    old: Option<Payload>,
    new: Payload,
}

fn scenarios() -> Vec<Scenario> {
    let nested = payload(&[("a", 0o600, "1"), ("d/e/f", 0o644, "1"), ("d/g", 0o400, "1")]);
    let rotation = |name, old, new| Scenario { name, old: Some(old), new };
    vec![
        Scenario { name: "first write", old: None, new: nested.clone() },
        rotation(
            "contents",
            nested.clone(),
            payload(&[("a", 0o600, "2"), ("d/e/f", 0o644, "22"), ("d/g", 0o400, "")]),
        ),
        rotation(
            "a mode",
            payload(&[("a", 0o600, "1"), ("b", 0, "1")]),
            payload(&[("a", 0o640, "1"), ("b", 0, "1")]),
        ),
        rotation("a name less", nested.clone(), payload(&[("d/e/f", 0o644, "1")])),
        rotation("a name more", payload(&[("a", 0o600, "1")]), nested.clone()),
        rotation("other names", nested.clone(), payload(&[("x", 0, "2"), ("y/z", 0, "2")])),
        rotation(
            "file to directory and back",
            payload(&[("a", 0, "1"), ("b/c", 0, "1")]),
            payload(&[("a/c", 0, "2"), ("b", 0, "2")]),
        ),
        rotation("to nothing", nested.clone(), payload(&[])),
        rotation("from nothing", payload(&[]), nested),
    ]
}

#[test]
fn at_every_step_readers_see_the_old_content_or_the_new_and_the_next_write_converges() {
    let third = payload(&[("a/deep/er", 0o644, "3"), ("third", 0o600, "3")]);
    for Scenario { name, old, new } in scenarios() {
        let old_content = old.as_ref().map(content_of).unwrap_or_default();
        for step in Step::ALL {
            let mut nexts = vec![("the same write again", &new), ("a third content", &third)];
            nexts.extend(old.as_ref().map(|old| ("back to the old", old)));
            for (next_name, next) in nexts {
                let at = format!("{name}: crash at {step:?}, then {next_name}");
                let volume = Volume::new();
                if let Some(old) = &old {
                    volume.write(old).unwrap();
                }
                assert!(volume.crash(&new, step), "{at}: the step is not reached");

                let expected = if step <= Step::Switch { &old_content } else { &content_of(&new) };
                assert_eq!(&volume.through_data(), expected, "{at}: through ..data");
                assert_eq!(&volume.through_names(), expected, "{at}: through the names");

                volume.write(next).unwrap();
                volume.assert_is_exactly(next, &at);
                assert_eq!(volume.write(next), Ok(Written::Unchanged), "{at}");
            }
        }
    }
}

#[test]
fn a_second_crash_at_any_step_after_a_first_at_any_step_is_no_worse() {
    let (old, new) = (payload(&[("a", 0, "1"), ("b/c", 0, "1")]), payload(&[("b", 0, "2"), ("d", 0, "2")]));
    let third = payload(&[("a", 0, "3"), ("e/f", 0, "3")]);
    for first in Step::ALL {
        for second in Step::ALL {
            let at = format!("crash at {first:?}, then at {second:?}");
            let volume = Volume::holding(&old);
            assert!(volume.crash(&new, first), "{at}");
            assert!(volume.crash(&third, second), "{at}");
            let seen = volume.through_data();
            let possible = [&old, &new, &third].map(content_of);
            assert!(possible.contains(&seen), "{at}: {seen:?}");
            assert_eq!(volume.through_names(), seen, "{at}");
            volume.write(&third).unwrap();
            volume.assert_is_exactly(&third, &at);
        }
    }
}

#[test]
fn files_that_a_provider_wrote_itself_are_never_absent_whenever_the_crash_comes() {
    let new = payload(&[("file", 0, "new"), ("dir/x", 0, "new"), ("link", 0, "new")]);
    for step in Step::ALL {
        let at = format!("crash at {step:?}");
        let volume = Volume::new();
        fs::write(volume.path("file"), "legacy").unwrap();
        fs::create_dir(volume.path("dir")).unwrap();
        fs::write(volume.path("dir/x"), "legacy").unwrap();
        symlink(volume.victim().join("file"), volume.path("link")).unwrap();
        assert!(volume.crash(&new, step), "{at}");
        let expected = if step <= Step::Replace { ["legacy", "legacy", "precious"] } else { ["new"; 3] };
        for (name, expected) in ["file", "dir/x", "link"].into_iter().zip(expected) {
            assert_eq!(fs::read_to_string(volume.path(name)).ok().as_deref(), Some(expected), "{at}: {name}");
        }
        volume.write(&new).unwrap();
        volume.assert_is_exactly(&new, &at);
    }
}

#[test]
fn an_unfinished_generation_is_closed_to_everybody_else() {
    let volume = Volume::new();
    assert!(volume.crash(&payload(&[("a", 0, "1")]), Step::Open));
    let generation = volume.tree().into_iter().find(|(path, _)| is_generation_name(path.as_os_str()));
    assert_eq!(generation.map(|(_, entry)| entry), Some(Entry::Directory(0o700)));
}

#[test]
fn the_steps_come_in_the_order_of_their_numbers() {
    for Scenario { name, old, new } in scenarios() {
        let volume = Volume::new();
        if let Some(old) = &old {
            volume.write(old).unwrap();
        }
        let mut seen = Vec::new();
        write_observed(&volume.root, &new, None, ENDLESS, SystemTime::now(), &mut |step| seen.push(step))
            .unwrap();
        assert_eq!(seen, Step::ALL, "{name}");
        seen.clear();
        write_observed(&volume.root, &new, None, ENDLESS, SystemTime::now(), &mut |step| seen.push(step))
            .unwrap();
        assert_eq!(seen, [Step::Look, Step::Sweep, Step::Compare], "{name}");
    }
}
