//! Replays a list of calls against a limit, without waiting, and prints the decision about each call.
//!
//! ```text
//! simulate --algo token_bucket --quota 3 --duration 5s --plot out.svg < arrivals.csv > decisions.csv
//! ```
//!
//! The library itself decides, with a clock that this program moves. On any error the program prints
//! a message to stderr, exits with code 2, and writes neither to stdout nor to the plot.

mod arguments;
mod arrivals;
mod plot;
mod replay;
mod report;
mod seconds;

use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use clap::Parser;

use self::arguments::Arguments;

fn main() -> ExitCode {
    match simulate(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::from(2)
        }
    }
}

fn simulate(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let limit = arguments.limit()?;
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let arrivals = arrivals::read(&input)?;
    let outcomes = replay::replay(limit, arguments.redis.as_deref(), &arrivals)?;
    let decisions = report::write(&arrivals, &outcomes)?;
    if let Some(path) = &arguments.plot {
        let picture = plot::draw(&limit, &arrivals, &outcomes)?;
        report::replace(path, &picture)
            .map_err(|error| format!("the plot {} was not written: {error}", path.display()))?;
    }
    match io::stdout().write_all(&decisions) {
        // The reader, such as `head`, has closed the pipe because it needs no more lines.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
