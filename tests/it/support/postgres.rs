//! Databases on the PostgreSQL server that the tests have.

use uuid::Uuid;

/// A schema of its own, which is dropped with this.
pub(crate) struct Schema {
    name: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let name = format!("it_{}", Uuid::now_v7().simple());
        run(&format!("CREATE SCHEMA {name}"));
        Self { name }
    }

    /// Gives the URL under which a gateway uses it.
    pub(crate) fn url(&self) -> String {
        self.url_at(&server())
    }

    /// Gives the URL where the server is reached by another address.
    pub(crate) fn url_at(&self, address: &str) -> String {
        let url = url().replace(&server(), address);
        format!("{url}?options=-csearch_path%3D{}", self.name)
    }

    /// Gives the only column of the only row.
    pub(crate) fn ask(&self, sql: &str) -> String {
        run(&format!("SET search_path = {}; {sql}", self.name)).unwrap_or_default()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        run(&format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

fn url() -> String {
    std::env::var("FAREGATE_TEST_POSTGRES").expect(
        "the tests of PostgreSQL need a server: run scripts/test, or scripts/postgres cargo nextest run",
    )
}

/// Gives the server's address.
pub(crate) fn server() -> String {
    let url = url();
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

fn run(sql: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connected = tokio_postgres::connect(&url(), tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        tokio::spawn(connection);
        let messages = client.simple_query(sql).await.unwrap();
        messages.into_iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    })
}
