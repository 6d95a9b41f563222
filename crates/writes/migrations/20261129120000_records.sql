-- Keyed writes: one row for each, from before the service is contacted until it expires. Times are
-- the database's, in milliseconds since 1970-01-01T00:00:00Z.

create table writes.records (
    -- A keyed hash of what makes the write one of a kind; the key itself stands nowhere.
    id bytea primary key check (octet_length(id) = 32),
    service text not null check (octet_length(service) <= 64),
    operation text not null check (octet_length(operation) <= 256),
    -- Keyed hashes of who asked, and of what exactly.
    caller bytea not null check (octet_length(caller) = 32),
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    state text not null check (state in ('leased', 'unknown', 'answered')),
    -- Who executes or executed it, and which execution that is: what another says is not taken.
    owner uuid not null,
    fence bigint not null check (fence > 0),
    -- Executions that a policy allowed after an unknown outcome.
    taken_over bigint not null default 0,
    lease_until_ms bigint not null,
    unknown_since_ms bigint,
    begun_ms bigint not null,
    expires_ms bigint not null,
    -- Status, fields and body of the answer, sealed.
    answer bytea,
    check ((state = 'answered') = (answer is not null))
) with (fillfactor = 70);

create index records_by_expiry on writes.records (expires_ms);
-- What is under way or unknown is little, and is counted often.
create index records_open on writes.records (id) where state <> 'answered';
