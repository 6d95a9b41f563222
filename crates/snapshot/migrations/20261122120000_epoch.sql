-- What edges act on and what changes while they run: items of rooms under one epoch.

-- One row. A change locks it until it commits, so epochs are given out in the order of commits and
-- whoever has seen epoch n has seen every change up to n.
create table snapshot.epoch (
    only_one boolean primary key default true check (only_one),
    epoch bigint not null default 0 check (epoch >= 0),
    changed_at timestamptz not null default now()
);

insert into snapshot.epoch default values;

-- A body that is null says that the item is gone; the row stays until it has expired, so that every
-- node learns of it.
create table snapshot.items (
    room text not null check (room ~ '^[a-z_]{1,32}$'),
    key text not null check (octet_length(key) between 1 and 128),
    epoch bigint not null,
    body jsonb check (octet_length(body::text) <= 65536),
    expires_at timestamptz,
    primary key (room, key)
);

create index items_by_epoch on snapshot.items (epoch);
create index items_by_expiry on snapshot.items (expires_at) where expires_at is not null;

-- Every node says here what it runs and which epoch it has applied.
create table snapshot.nodes (
    id uuid primary key,
    name text not null check (octet_length(name) between 1 and 253),
    roles text not null,
    version text not null,
    manifest_hash text not null,
    started_at timestamptz not null,
    epoch bigint not null,
    applied_at timestamptz not null,
    seen_at timestamptz not null default now()
);
