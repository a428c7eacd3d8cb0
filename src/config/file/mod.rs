//! The configuration as it is written: every value with its place, nothing yet compared.
//!
//! The parsed document is walked by hand: derived deserialisation stops at the first mistake, and
//! whoever writes the file wants to see all of them.

mod choice;
mod cors;
mod customers;
mod location;
mod payments;
mod plans;
mod routes;
mod server;
mod syntax;
mod table;
mod tls;
mod traces;
mod upstreams;
mod value;
mod webhooks;

pub(super) use choice::Zone;
pub(super) use cors::CorsTable;
pub(super) use customers::{ApplicationTable, CustomerTable, KeyTable};
pub(super) use payments::{Facilitators, MppTable, PaymentsTable, X402Table};
pub(super) use plans::{LimitFields, OverageTable, PlanTable, QuotaTable, RateTable};
pub(super) use routes::{RouteTable, StatusSet};
pub(super) use server::{
    AdminTable, AnswersTable, AuthTable, GuessesTable, LimitsTable, ListenerTable, LogTable,
    RetentionTable, ServerTable, StoreTable,
};
pub(super) use table::{Field, FromToml, Named, Spanned, Table, Value, conceal_strings};
pub(super) use tls::{CertificateTable, TlsTable, UpstreamTlsTable};
pub(super) use traces::TracesTable;
pub(super) use upstreams::{HealthTable, QueueTable, UpstreamTable};
pub(super) use value::{OptionalSize, Size, Timeout, expected};
pub(super) use webhooks::{Receiver, WebhooksTable};

use toml::de::DeTable;

use crate::config::report::{Problems, Span};

/// The whole file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) server: Field<ServerTable>,
    pub(super) admin: Field<AdminTable>,
    pub(super) store: Field<StoreTable>,
    pub(super) log: Field<LogTable>,
    pub(super) auth: Field<AuthTable>,
    pub(super) cors: Field<CorsTable>,
    pub(super) answers: Field<AnswersTable>,
    pub(super) webhooks: Field<WebhooksTable>,
    pub(super) traces: Field<TracesTable>,
    pub(super) payments: Field<PaymentsTable>,
    pub(super) upstreams: Field<Vec<Named<UpstreamTable>>>,
    pub(super) routes: Field<Vec<Spanned<RouteTable>>>,
    pub(super) plans: Field<Vec<Named<PlanTable>>>,
    pub(super) customers: Field<Vec<Named<CustomerTable>>>,
}

impl File {
    /// Reads a text. With mistakes of syntax there is no file: what they hide could not be told
    /// from what is missing. The values that could be read are judged all the same.
    pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Self> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let file = Self::read(document.get_ref(), problems);
        if errors.is_empty() {
            return Some(file);
        }
        syntax::report(text, &document, &errors, problems);
        None
    }

    /// Reads what can be read of a text, without a word about the rest.
    pub(super) fn glance(text: &str) -> Self {
        let (document, _) = DeTable::parse_recoverable(text);
        Self::read(document.get_ref(), &mut Problems::default())
    }

    fn read(document: &DeTable<'_>, problems: &mut Problems) -> Self {
        let mut table = Table::new(document, Span::default(), "the file", problems);
        let read = Self {
            server: table.field("server"),
            admin: table.field("admin"),
            store: table.field("store"),
            log: table.field("log"),
            auth: table.field("auth"),
            cors: table.field("cors"),
            answers: table.field("answers"),
            webhooks: table.field("webhooks"),
            traces: table.field("traces"),
            payments: table.field("payments"),
            upstreams: table.field("upstreams"),
            routes: table.field("routes"),
            plans: table.field("plans"),
            customers: table.field("customers"),
        };
        table.finish();
        read
    }
}
