//! A connection that is there, and the statements that the server knows on it.

use std::{
    collections::HashMap,
    future::poll_fn,
    mem,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    task::JoinHandle,
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, CopyInSink, Row, SimpleQueryMessage, Socket, Statement,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::value::Sent;
use crate::store::copy::{Owned, Table};

/// The parameters of a statement.
pub(super) type Arguments<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What is there while the server is.
pub(super) struct Link {
    pub(super) client: Client,
    /// Moves what is sent and received.
    driver: JoinHandle<()>,
    /// By their text.
    statements: HashMap<String, Statement>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    pub(super) fn new(client: Client, driver: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { client, driver: tokio::spawn(driver), statements: HashMap::new() }
    }

    /// Gives a statement that the server knows by now. They are few: texts of ours alone.
    async fn prepared(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(&numbered(sql)).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) async fn rows(
        &mut self,
        sql: &str,
        arguments: Arguments<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, arguments).await
    }

    pub(super) async fn write(
        &mut self,
        sql: &str,
        arguments: Arguments<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.prepared(sql).await?;
        self.client.execute(&statement, arguments).await
    }

    /// Writes rows whose values stand one behind the other; gives the number of rows.
    pub(super) async fn copy_in(
        &mut self,
        table: &Table,
        cells: &[Owned],
    ) -> Result<u64, tokio_postgres::Error> {
        let (name, list) = (table.name, table.list());
        let like = self.prepared(&format!("SELECT {list} FROM {name} LIMIT 0")).await?;
        let types: Vec<Type> = like.columns().iter().map(|column| column.type_().clone()).collect();
        let sql = format!("COPY {name} ({list}) FROM STDIN BINARY");
        let sink: CopyInSink<Bytes> = self.client.copy_in(&sql).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for row in cells.chunks_exact(types.len().max(1)) {
            let values: Vec<_> = row.iter().map(|cell| Sent(cell.value())).collect();
            let values: Vec<_> = values.iter().map(|sent| sent as &(dyn ToSql + Sync)).collect();
            writer.as_mut().write(&values).await?;
        }
        writer.finish().await
    }

    /// Opens a cursor. Its name is new each time, so it is not kept.
    pub(super) async fn declare(
        &mut self,
        sql: &str,
        arguments: Arguments<'_>,
    ) -> Result<(), tokio_postgres::Error> {
        self.client.execute(&numbered(sql), arguments).await.map(drop)
    }

    pub(super) async fn batch(
        &mut self,
        sql: &str,
    ) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
        let mut last = Vec::new();
        for message in self.client.simple_query(sql).await? {
            if let SimpleQueryMessage::Row(row) = message {
                last = (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect();
            }
        }
        Ok(last)
    }
}

/// What the server told in words and nobody took yet.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Vec<String>>);

/// So much is kept at most: who did not hear in time is asked again.
const TOLD_MAX: usize = 4096;

impl Told {
    fn put(&self, payload: &str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX {
            told.push(payload.to_owned());
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Moves what is sent and received, and tells of notifications and of the end.
pub(super) async fn drive<T: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Connection<Socket, T>,
    notified: Arc<Notify>,
    told: Arc<Told>,
) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            if !notification.payload().is_empty() {
                told.put(notification.payload());
            }
            notified.notify_one();
        }
    }
    notified.notify_one();
}

/// Writes parameters as PostgreSQL has them: `$1` for `?1`. No statement of ours has a question mark else.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}
