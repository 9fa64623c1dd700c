-- What has been applied, whether code that does not know it may go on, and the hash of its text (null from before there were any).
select owner, number, compatible, checksum from owlrunner_migrations;
