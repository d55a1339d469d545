//! Runs the simulator as a program, with files and pipes.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const TOKEN_BUCKET: &[&str] = &["--algo", "token_bucket", "--quota", "3", "--duration", "5s"];
const HEADER: &str = "at,key,cost,decision,wait,retry_after,remaining\n";

fn simulate(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A process that rejects its arguments does not read stdin.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the simulator ends")
}

#[track_caller]
fn decisions(arguments: &[&str], input: &str) -> String {
    let output = simulate(arguments, input.as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let decisions = String::from_utf8(output.stdout).expect("decisions are UTF-8");
    decisions
        .strip_prefix(HEADER)
        .expect("decisions have a header")
        .to_owned()
}

#[track_caller]
fn refusal(arguments: &[&str], input: &[u8]) -> String {
    let output = simulate(arguments, input);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("messages are UTF-8")
}

/// Returns a path that only this test uses and at which there is no file.
fn fresh(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

fn plot(limit: &[&str], input: &str, name: &str) -> String {
    let path = fresh(name);
    let arguments = [limit, &["--plot", path.to_str().expect("paths are UTF-8")]].concat();
    decisions(&arguments, input);
    fs::read_to_string(path).expect("the plot is written")
}

/// Asserts that tags are closed in order and that texts contain only entities that XML defines.
#[track_caller]
fn assert_well_formed(svg: &str) {
    assert!(svg.starts_with("<svg "));
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty());
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), name),
            (false, true) => {}
            (false, false) => open.extend(name),
        }
        assert!(
            !text.contains('>') && !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text}"
        );
        for entity in text.split('&').skip(1) {
            assert!(
                ["lt;", "gt;", "amp;", "quot;", "apos;"]
                    .iter()
                    .any(|it| entity.starts_with(it))
            );
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
}

#[test]
fn a_token_bucket_refills_to_the_nanosecond() {
    let input = "at,key,cost\n\
        0,alice,1\n\
        0.0,alice,1\n\
        0.000000000,alice,1\n\
        0.5,alice,1\n\
        1.666666666,alice,1\n\
        1.666666667,alice,1\n\
        1.7,bob,0\n\
        1.7,bob,4\n\
        1.7,bob,3\n";
    let expected = "\
        0,alice,1,allow,0.000000000,,2\n\
        0.0,alice,1,allow,0.000000000,,1\n\
        0.000000000,alice,1,allow,0.000000000,,0\n\
        0.5,alice,1,deny,,1.166666667,0\n\
        1.666666666,alice,1,deny,,0.000000001,0\n\
        1.666666667,alice,1,allow,0.000000000,,0\n\
        1.7,bob,0,allow,0.000000000,,3\n\
        1.7,bob,4,never,,,\n\
        1.7,bob,3,allow,0.000000000,,0\n";
    assert_eq!(decisions(TOKEN_BUCKET, input), expected);
}

#[test]
fn a_leaky_bucket_delays_calls_and_rejects_those_beyond_its_size() {
    let limit = [
        "--algo",
        "leaky_bucket",
        "--quota",
        "1",
        "--duration",
        "1",
        "--bucket-size",
        "3",
    ];
    let input = format!("at,key,cost\n{}", "7,k,1\n".repeat(6));
    let expected = "\
        7,k,1,allow,0.000000000,,3\n\
        7,k,1,allow,1.000000000,,2\n\
        7,k,1,allow,2.000000000,,1\n\
        7,k,1,allow,3.000000000,,0\n\
        7,k,1,deny,,1.000000000,0\n\
        7,k,1,deny,,1.000000000,0\n";
    assert_eq!(decisions(&limit, &input), expected);
}

#[test]
fn burst_is_the_capacity_of_a_token_bucket() {
    let limit = [TOKEN_BUCKET, &["--burst", "5"]].concat();
    assert_eq!(
        decisions(&limit, "at,key,cost\n0,k,5\n"),
        "0,k,5,allow,0.000000000,,0\n"
    );
}

#[test]
fn keys_may_contain_any_text_that_csv_can_quote() {
    let input = "at,key,cost\r\n0,\"a, \"\"b\"\"\r\nc\",1\r\n\r\n1,,1\r\n2,é🦀,1\r\n";
    let expected = "0,\"a, \"\"b\"\"\r\nc\",1,allow,0.000000000,,2\n\
        1,,1,allow,0.000000000,,2\n\
        2,é🦀,1,allow,0.000000000,,2\n";
    assert_eq!(decisions(TOKEN_BUCKET, input), expected);
}

#[test]
fn no_calls_give_no_decisions() {
    assert_eq!(decisions(TOKEN_BUCKET, "at,key,cost\n"), "");
}

#[test]
fn the_largest_times_are_exact_to_the_nanosecond() {
    let limit = [
        "--algo",
        "fixed_window",
        "--quota",
        "1",
        "--duration",
        "0.000001",
    ];
    let input = "at,key,cost\n18446744073.709550615,k,1\n18446744073.709551614,k,1\n\
        18446744073.709551615,k,1\n";
    let expected = "18446744073.709550615,k,1,allow,0.000000000,,0\n\
        18446744073.709551614,k,1,deny,,0.000000001,0\n\
        18446744073.709551615,k,1,allow,0.000000000,,0\n";
    assert_eq!(decisions(&limit, input), expected);
}

#[test]
fn durations_are_read_with_and_without_a_unit() {
    for (duration, retry_after) in [
        ("500ms", "0.500000000"),
        ("5s", "5.000000000"),
        ("1m", "60.000000000"),
        ("2h", "7200.000000000"),
        ("1d", "86400.000000000"),
        ("5", "5.000000000"),
        ("0.1", "0.100000000"),
    ] {
        let limit = [
            "--algo",
            "fixed_window",
            "--quota",
            "1",
            "--duration",
            duration,
        ];
        let expected = format!("0,k,1,allow,0.000000000,,0\n0,k,1,deny,,{retry_after},0\n");
        assert_eq!(decisions(&limit, "at,key,cost\n0,k,1\n0,k,1\n"), expected);
    }
}

#[test]
fn a_bad_row_is_named_by_its_line_and_nothing_is_written() {
    let cases: &[(&[u8], usize, &str)] = &[
        (b"", 1, "header"),
        (b"at,cost,key\n", 1, "header"),
        (b"at,key,cost,more\n", 1, "header"),
        (b"at,key,cost\n0,k,1\nx,k,1\n", 3, "not a number of seconds"),
        (b"at,key,cost\n,k,1\n", 2, "not a number of seconds"),
        (b"at,key,cost\n1e3,k,1\n", 2, "not a number of seconds"),
        (b"at,key,cost\n 1,k,1\n", 2, "not a number of seconds"),
        (
            b"at,key,cost\n18446744073.709551616,k,1\n",
            2,
            "not a number of seconds",
        ),
        (
            b"at,key,cost\n0.0000000001,k,1\n",
            2,
            "more than 9 decimals",
        ),
        (
            b"at,key,cost\n1.0000000000,k,1\n",
            2,
            "more than 9 decimals",
        ),
        (b"at,key,cost\n-1,k,1\n", 2, "negative"),
        (b"at,key,cost\n0,k,-1\n", 2, "cost"),
        (b"at,key,cost\n0,k,+1\n", 2, "cost"),
        (b"at,key,cost\n0,k,1.5\n", 2, "cost"),
        (b"at,key,cost\n0,k,\n", 2, "cost"),
        (b"at,key,cost\n0,k,18446744073709551616\n", 2, "cost"),
        (b"at,key,cost\n2,k,1\n2,k,1\n1.9,k,1\n", 4, "ascending"),
        (b"at,key,cost\n0,k\n", 2, "2 fields"),
        (b"at,key,cost\n0,a,b,1\n", 2, "4 fields"),
        (b"at,key,cost\n0,\xff,1\n", 2, "UTF-8"),
        (
            b"at,key,cost\r\n0,k,1\r\nx,k,1\r\n",
            3,
            "not a number of seconds",
        ),
        (b"at,key,cost\n\n\nx,k,1\n", 4, "not a number of seconds"),
        (
            b"at,key,cost\n0,\"two\nlines\",1\nx,k,1\n",
            4,
            "not a number of seconds",
        ),
    ];
    for &(input, line, problem) in cases {
        let path = fresh("refused.svg");
        let arguments = [
            TOKEN_BUCKET,
            &["--plot", path.to_str().expect("paths are UTF-8")],
        ]
        .concat();
        let message = refusal(&arguments, input);
        let input = String::from_utf8_lossy(input);
        assert!(
            message.contains(&format!("line {line}:")),
            "{input:?}: {message}"
        );
        assert!(message.contains(problem), "{input:?}: {message}");
        assert!(!path.exists(), "{input:?} wrote a plot");
    }
}

#[test]
fn bad_arguments_are_refused_with_what_is_accepted() {
    for (arguments, expected) in [
        ("--algo magic --quota 3 --duration 5s", "token_bucket"),
        (
            "--algo token_bucket --quota 0 --duration 5s",
            "quota must be at least 1",
        ),
        ("--algo token_bucket --quota -1 --duration 5s", "--quota"),
        ("--algo token_bucket --quota 3 --duration 5x", "\"500ms\""),
        (
            "--algo token_bucket --quota 3 --duration 0",
            "duration must be longer than zero",
        ),
        ("--algo token_bucket --quota 3", "--duration"),
        (
            "--algo fixed_window --quota 3 --duration 5s --burst 9",
            "burst is for token_bucket",
        ),
    ] {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let message = refusal(&arguments, b"at,key,cost\n0,k,1\n");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}

#[test]
fn a_reader_that_closes_its_pipe_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(TOKEN_BUCKET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin
        .write_all(b"at,key,cost\n0,k,1\n")
        .expect("the simulator reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the simulator ends");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn a_plot_shows_every_kind_of_decision() {
    let input = "at,key,cost\n0,a,3\n0.5,<&>\"\u{1},1\n1,a,1\n2,a,9\n";
    let svg = plot(TOKEN_BUCKET, input, "kinds.svg");
    assert_well_formed(&svg);
    for text in [
        "token_bucket: 3 per 5s, burst 3",
        "4 calls of 2 keys",
        "admitted at once: 2",
        "denied: 1",
        "never: 1",
        "&lt;&amp;&gt;&quot;\\u{1}",
        "time in seconds",
        "calls so far",
    ] {
        assert!(svg.contains(text), "{text} is missing");
    }
}

#[test]
fn a_plot_of_any_number_of_calls_is_well_formed_and_small() {
    for count in [0, 1, 2, 1_000, 100_000] {
        for keys in [1, 7, 5_000] {
            let rows =
                (0..count).map(|n| format!("{}.{:03},k{},1\n", n / 1000, n % 1000, n % keys));
            let input = format!("at,key,cost\n{}", rows.collect::<String>());
            let limit = [
                "--algo",
                "leaky_bucket",
                "--quota",
                "50",
                "--duration",
                "1s",
            ];
            let svg = plot(&limit, &input, "many.svg");
            assert_well_formed(&svg);
            assert!(
                svg.len() < 1_000_000,
                "{count} calls take {} bytes",
                svg.len()
            );
        }
    }
}

#[test]
fn a_plot_replaces_an_older_one_and_leaves_nothing_beside_it() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("replaced");
    fs::create_dir_all(&directory).expect("a directory is made");
    let path = directory.join("plot.svg");
    fs::write(&path, "old").expect("the old plot is written");
    let arguments = [
        TOKEN_BUCKET,
        &["--plot", path.to_str().expect("paths are UTF-8")],
    ]
    .concat();

    refusal(&arguments, b"at,key,cost\nx,k,1\n");
    assert_eq!(
        fs::read_to_string(&path).expect("the old plot is there"),
        "old"
    );

    decisions(&arguments, "at,key,cost\n0,k,1\n");
    assert_well_formed(&fs::read_to_string(&path).expect("the new plot is there"));
    assert_eq!(
        fs::read_dir(&directory)
            .expect("the directory is there")
            .count(),
        1
    );
}

#[test]
fn no_decisions_are_written_if_the_plot_cannot_be_written() {
    let path = fresh("nowhere").join("plot.svg");
    let arguments = [
        TOKEN_BUCKET,
        &["--plot", path.to_str().expect("paths are UTF-8")],
    ]
    .concat();
    assert!(refusal(&arguments, b"at,key,cost\n0,k,1\n").contains("plot.svg"));
}
