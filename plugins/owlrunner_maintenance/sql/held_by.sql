-- What keeps a row: another that refers to it by a key that refuses its deletion.
and not exists (select from {child} as holder where {match})
