-- Whether something happens when a row of the table is deleted: a trigger, or a foreign key that refers to it, which could take
-- other rows along.
select exists (
    select from pg_partition_tree(%(table)s::oid::regclass) as tree
    join pg_trigger t on t.tgrelid = tree.relid
    where t.tgtype & 8 <> 0 and t.tgenabled <> 'D'
);
