-- Remember that a migration has been applied.
insert into owlrunner_migrations (owner, number, name, compatible) values (%(owner)s, %(number)s, %(name)s, %(compatible)s);
