-- Remember that a migration has been applied.
insert into owlrunner_migrations (owner, number, name) values (%(owner)s, %(number)s, %(name)s);
