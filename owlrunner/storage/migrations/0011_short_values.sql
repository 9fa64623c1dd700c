-- Lists and streams of runs leave long params and results out: how much they cost must not depend on what runs hold.
-- compatible: yes

-- The size as it is stored is looked at first, which reads nothing. Only what is small there can be short, and compression makes
-- nothing smaller than a hundredth, so little is unpacked in vain. Without a limit every value is short.
create function owl_short(value jsonb, most int) returns jsonb language sql stable parallel safe as $$
    select case when most is null or pg_column_size(value) <= most and octet_length(value::text) <= most then value end
$$;

-- A text that is long, cut, and with a sign that it is.
create function owl_cut(value text, most int) returns text language sql stable parallel safe as $$
    select case when length(value) > most then left(value, most) || '…' else value end
$$;

-- What owl_short leaves out of a run, by name: the bytes that are stored. Null where that is nothing.
create function owl_left_out(params jsonb, result jsonb, most int) returns jsonb language sql stable parallel safe as $$
    select nullif(
        jsonb_strip_nulls(jsonb_build_object(
            'params', case when owl_short(params, most) is null then pg_column_size(params) end,
            'result', case when owl_short(result, most) is null then pg_column_size(result) end)),
        '{}')
$$;
