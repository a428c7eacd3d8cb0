//! The admin calls that stream or take long: import, report, backup; and the configuration.

mod backup;
mod config_page;
mod import;
mod report;
