-- What has been applied.
select owner, number from owlrunner_migrations;
