//! What a report is asked about.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    admin::{page::bad_query, problem::Problem},
    store::records::{Grouping, ReportRange},
};

/// What a report is asked about.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct Question {
    /// The first minute, such as `2026-11-01` (midnight UTC) or `2026-11-01T06:00:00Z`.
    #[param(required = true)]
    from: Option<String>,
    /// The first minute that is no longer in it, written likewise.
    #[param(required = true)]
    to: Option<String>,
    /// What rows are told apart by: customer, key, route, ending, currency, and hour or day (in UTC), with
    /// commas between; default: customer,route,day. By currency each row also has the credit that
    /// was charged; a row without one is what allowances paid.
    by: Option<String>,
    /// Of this customer alone.
    customer: Option<String>,
}

/// A checked question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Report {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) customer: Option<String>,
    /// In the order in which rows are sorted; each once.
    pub(super) by: Vec<Column>,
}

/// What rows are told apart by. The order is that of the store's rows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Column {
    Customer,
    Key,
    Route,
    Ending,
    Currency,
    Hour,
    Day,
}

const COLUMNS: [Column; 7] = [
    Column::Customer,
    Column::Key,
    Column::Route,
    Column::Ending,
    Column::Currency,
    Column::Hour,
    Column::Day,
];

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const MINUTE_NS: i128 = 60_000_000_000;

impl Question {
    pub(super) fn check(self) -> Result<Report, Problem> {
        let Self { from, to, by, customer } = self;
        let (from, to) = (time("from", from.as_deref())?, time("to", to.as_deref())?);
        if from >= to {
            return Err(bad_query("from: it must be before `to`"));
        }
        let by = columns(by.as_deref().unwrap_or("customer,route,day"))?;
        Ok(Report { from, to, customer, by })
    }
}

fn time(name: &str, text: Option<&str>) -> Result<Timestamp, Problem> {
    let forms = "write a date such as 2026-11-01 (midnight UTC), or a time such as \
                 2026-11-01T06:00:00Z";
    let text = text.ok_or_else(|| bad_query(format!("{name}: missing; {forms}")))?;
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let is_date = text.len() == "2026-11-01".len();
    let time =
        if is_date { text.parse().ok().and_then(midnight) } else { text.parse::<Timestamp>().ok() };
    let time = time.ok_or_else(|| bad_query(format!("{name}: {forms}")))?;
    if time.as_nanosecond() % MINUTE_NS != 0 {
        return Err(bad_query(format!("{name}: usage is kept by the minute; write a whole one")));
    }
    Ok(time)
}

fn columns(text: &str) -> Result<Vec<Column>, Problem> {
    let mut by = Vec::new();
    for name in text.split(',') {
        let Some(column) = COLUMNS.iter().find(|column| column.name() == name) else {
            let names = COLUMNS.map(Column::name).join(", ");
            return Err(bad_query(format!("by: some of {names}, with commas between")));
        };
        by.push(*column);
    }
    by.sort_unstable();
    by.dedup();
    if by.contains(&Column::Hour) && by.contains(&Column::Day) {
        return Err(bad_query("by: either hour or day; an hour tells its day"));
    }
    Ok(by)
}

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Key => "key",
            Self::Route => "route",
            Self::Ending => "ending",
            Self::Currency => "currency",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl Report {
    pub(super) fn range(&self) -> ReportRange<'_> {
        let Self { from, to, customer, by } = self;
        let has = |column| by.contains(&column);
        let step_ms = match (has(Column::Hour), has(Column::Day)) {
            (true, _) => Some(HOUR_MS),
            (false, true) => Some(DAY_MS),
            (false, false) => None,
        };
        let by = Grouping {
            customer: has(Column::Customer),
            key: has(Column::Key),
            route: has(Column::Route),
            ending: has(Column::Ending),
            currency: has(Column::Currency),
            step_ms,
        };
        ReportRange { from: *from, to: *to, customer: customer.as_deref(), by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(from: &str, to: &str, by: Option<&str>) -> Result<Report, String> {
        let question = Question {
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            by: by.map(ToOwned::to_owned),
            customer: None,
        };
        question.check().map_err(|problem| {
            serde_json::to_value(problem).unwrap()["detail"].as_str().unwrap().to_owned()
        })
    }

    #[test]
    fn dates_are_midnights_and_columns_are_in_order() {
        let report = ask("2026-11-01", "2026-11-02T01:30:00+02:00", None).unwrap();
        assert_eq!(report.from, "2026-11-01T00:00:00Z".parse().unwrap());
        assert_eq!(report.to, "2026-11-01T23:30:00Z".parse().unwrap());
        assert_eq!(report.by, [Column::Customer, Column::Route, Column::Day]);
        let by = ask("2026-11-01", "2026-11-02", Some("hour,key,customer,key")).unwrap().by;
        assert_eq!(by, [Column::Customer, Column::Key, Column::Hour]);
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        for (from, to, by, word) in [
            ("2026-11-02", "2026-11-02", None, "before `to`"),
            ("2026-11-31", "2026-12-02", None, "from: write a date"),
            ("2026-11-01", "2026-11-01T10:00", None, "to: write a date"),
            ("yesterday", "2026-11-01", None, "from: write a date"),
            ("2026-11-01T00:00:01Z", "2026-11-02", None, "whole one"),
            ("2026-11-01", "2026-11-02", Some("hour,day"), "either hour or day"),
            ("2026-11-01", "2026-11-02", Some(""), "some of customer, key"),
            ("2026-11-01", "2026-11-02", Some("customer, day"), "some of customer, key"),
        ] {
            let told = ask(from, to, by).unwrap_err();
            assert!(told.contains(word), "{from} {to} {by:?}: {told}");
        }
        let told = Question::default().check().map_err(|p| serde_json::to_value(p).unwrap());
        assert!(told.unwrap_err()["detail"].as_str().unwrap().starts_with("from: missing"));
    }
}
