-- The ledger: entries as they were written, and the seals that chain them.

create table ledger.entries (
    -- UUID version 7: time of writing, then chance.
    id uuid primary key,
    -- Says when the sealer may take the entry, and nothing else: it is no part of the hash.
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null,
    action text not null check (octet_length(action) between 1 and 64),
    actor_kind text not null check (octet_length(actor_kind) between 1 and 32),
    -- A keyed hash: who it was stands in no column.
    actor bytea check (octet_length(actor) = 32),
    subject text not null check (octet_length(subject) <= 256),
    outcome text not null check (octet_length(outcome) between 1 and 32),
    change_id uuid,
    detail jsonb not null check (pg_column_size(detail) <= 32768),
    sealed_personal bytea check (octet_length(sealed_personal) <= 16384),
    hash bytea not null check (octet_length(hash) = 32)
);

-- The order in which the sealer takes them.
create index entries_by_commit on ledger.entries (xid, id);
-- What people look for.
create index entries_by_action on ledger.entries (action, id);
create index entries_by_actor on ledger.entries (actor, id) where actor is not null;
create index entries_by_subject on ledger.entries (subject, id) where subject <> '';

create table ledger.seals (
    position bigint primary key check (position > 0),
    entry_id uuid not null unique,
    chain bytea not null check (octet_length(chain) = 32)
);

-- One row: how far the sealer has come, and in which cluster. Transaction numbers start again when
-- a backup is restored into another cluster, which its identifier tells.
create table ledger.sealer (
    only_row boolean primary key default true check (only_row),
    cluster bigint not null,
    xid xid8 not null,
    entry_id uuid not null
);

-- One row for each signing key: the last checkpoint it wrote outside the database.
create table ledger.checkpoint_marks (
    key_id text primary key check (octet_length(key_id) = 16),
    sequence bigint not null,
    size bigint not null
);

-- One row for each spool: the next record to be imported, stored with the entries it became.
create table ledger.spool_imports (
    spool uuid primary key,
    next_record bigint not null
);

-- The team's own actions by the id they gave, so that a repeated call appends once.
create table ledger.team_actions (
    id text primary key check (octet_length(id) between 1 and 128),
    entry_id uuid not null,
    fingerprint bytea not null check (octet_length(fingerprint) = 32)
);

-- With one database role for everything this is all that keeps rows from being changed; with two,
-- the runtime role lacks the rights as well.
create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'ledger.% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege';
end
$$;

create trigger append_only before update or delete or truncate on ledger.entries
    for each statement execute function ledger.refuse_change();
create trigger append_only before update or delete or truncate on ledger.seals
    for each statement execute function ledger.refuse_change();
create trigger append_only before update or delete or truncate on ledger.team_actions
    for each statement execute function ledger.refuse_change();
