//! Named settings that people change while the platform runs.

use crate::engine::params;
use crate::{Result, Store};

impl Store {
    /// A setting's text.
    pub async fn setting_find(&self, name: &str) -> Result<Option<String>> {
        let row = self
            .row("SELECT value FROM setting WHERE name = $1", params![name])
            .await?;
        row.map(|row| row.text(0)).transpose()
    }

    /// Sets a setting.
    pub async fn setting_put(&self, name: &str, value: &str) -> Result<()> {
        self.execute(
            "INSERT INTO setting (name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![name, value],
        )
        .await
        .map(drop)
    }
}
