-- Whether anything has ever been applied here, by an OwlRunner that noted all that is asked for now.
select count(*) = 2 from pg_attribute
where attrelid = to_regclass('owlrunner_migrations') and attname in ('compatible', 'checksum') and not attisdropped;
