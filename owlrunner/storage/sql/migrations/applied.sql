-- What has been applied, and whether code that does not know it may go on.
select owner, number, compatible from owlrunner_migrations;
