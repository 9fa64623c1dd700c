-- Whether anything has ever been applied here.
select to_regclass('owlrunner_migrations') is not null;
