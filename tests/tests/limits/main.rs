//! Limits that change while the process runs, by calls and by a limits file.

mod changing_limits;
mod limits_file;
