-- no-transaction
create index concurrently plants_by_name on garden.plants (name);
