-- Remember that a migration has been applied; one from before there were checksums gets its own.
insert into owlrunner_migrations (owner, number, name, compatible, checksum)
values (%(owner)s, %(number)s, %(name)s, %(compatible)s, %(checksum)s)
on conflict (owner, number) do update set checksum = excluded.checksum where owlrunner_migrations.checksum is null;
