-- Whether anything has ever been applied here, by an OwlRunner that noted whether older ones may go on.
select exists (select from pg_attribute where attrelid = to_regclass('owlrunner_migrations') and attname = 'compatible');
