//! Databases on the PostgreSQL server that the tests have.

use uuid::Uuid;

/// A schema of its own, which is dropped with this where others use the server.
pub(crate) struct Schema {
    name: String,
    /// Of a database on its server.
    database: String,
    is_shared: bool,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let mut schema = Self::on(&url());
        schema.is_shared = true;
        schema
    }

    /// Makes one in the database with this URL, whose server ends with the test.
    pub(crate) fn on(database: &str) -> Self {
        let name = format!("it_{}", Uuid::now_v7().simple());
        run(database, &format!("CREATE SCHEMA {name}")).unwrap();
        Self { name, database: database.to_owned(), is_shared: false }
    }

    /// Gives the URL under which a gateway uses it.
    pub(crate) fn url(&self) -> String {
        format!("{}?options=-csearch_path%3D{}", self.database, self.name)
    }

    /// Gives the URL where the server is reached by another address.
    pub(crate) fn url_at(&self, address: &str) -> String {
        self.url().replace(&address_in(&self.database), address)
    }

    /// Gives the only column of the only row.
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.try_ask(sql).unwrap()
    }

    /// The same of a server that may fail.
    pub(crate) fn try_ask(&self, sql: &str) -> Result<String, tokio_postgres::Error> {
        let sql = format!("SET search_path = {}; {sql}", self.name);
        run(&self.database, &sql).map(Option::unwrap_or_default)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if self.is_shared {
            run(&self.database, &format!("DROP SCHEMA {} CASCADE", self.name)).unwrap();
        }
    }
}

fn url() -> String {
    std::env::var("FAREGATE_TEST_POSTGRES").expect(
        "the tests of PostgreSQL need a server: run scripts/test, or scripts/postgres cargo nextest run",
    )
}

/// Gives the server's address.
pub(crate) fn server() -> String {
    address_in(&url())
}

fn address_in(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

fn run(url: &str, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let messages = client.simple_query(sql).await?;
        Ok(messages.into_iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    })
}
