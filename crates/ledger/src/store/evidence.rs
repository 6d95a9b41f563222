//! The newest entry for each subject.

use sqlx::PgConnection;

use super::{Placed, Row};

/// By the index on subjects, one look-up each.
pub(crate) async fn newest(
    conn: &mut PgConnection,
    action: &str,
    subjects: &[String],
) -> sqlx::Result<Vec<Placed>> {
    let rows = sqlx::query!(
        r#"select e.id as "id!", (extract(epoch from e.at) * 1000000)::bigint as "at_us!",
            e.action as "action!", e.actor_kind as "actor_kind!", e.actor,
            e.subject as "subject!", e.outcome as "outcome!", e.change_id,
            e.detail::text as "detail!", e.sealed_personal, e.hash as "hash!",
            s.position as "position?"
         from unnest($1::text[]) as wanted (subject)
         cross join lateral (
            select * from ledger.entries
            where entries.subject = wanted.subject and entries.action = $2
            order by entries.id desc
            limit 1
         ) e
         left join ledger.seals s on s.entry_id = e.id"#,
        subjects,
        action,
    )
    .fetch_all(conn)
    .await?;
    let placed = rows.into_iter().map(|r| Placed {
        row: Row {
            id: Some(r.id),
            at_us: Some(r.at_us),
            action: Some(r.action),
            actor_kind: Some(r.actor_kind),
            actor: r.actor,
            subject: Some(r.subject),
            outcome: Some(r.outcome),
            change_id: r.change_id,
            detail: Some(r.detail),
            sealed_personal: r.sealed_personal,
            hash: Some(r.hash),
        },
        position: r.position,
    });
    Ok(placed.collect())
}
