create table garden.plants (
  id bigint generated always as identity primary key,
  name text not null
);
create table garden.diary (
  id bigint generated always as identity primary key,
  said text not null
);
