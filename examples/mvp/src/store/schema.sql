-- What the backend keeps. Run at each start; changes nothing the second time.

create table if not exists people (
  number bigint generated always as identity primary key,
  handle text not null unique,
  display_name text not null,
  bio text not null default '',
  created_at_ms bigint not null
);

create table if not exists media (
  number bigint generated always as identity primary key,
  content_type text not null,
  bytes bigint not null,
  content bytea not null
);

-- `media` names no row: a post outlives a picture that has made room.
create table if not exists posts (
  number bigint generated always as identity primary key,
  author bigint not null references people (number),
  text text not null,
  media bigint,
  created_at_ms bigint not null
);

create table if not exists likes (
  post bigint not null references posts (number) on delete cascade,
  handle text not null,
  primary key (post, handle)
);

create table if not exists orders (
  number bigint generated always as identity primary key,
  owner text not null,
  lines jsonb not null,
  total_cents bigint not null,
  paid boolean not null default false,
  created_at_ms bigint not null
);

create index if not exists orders_by_owner on orders (owner, number);
