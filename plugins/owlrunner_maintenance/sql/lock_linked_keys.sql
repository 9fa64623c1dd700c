-- Which of these rows still belong to these; they do for this transaction.
select owl_row.{key} from {table} as owl_row where owl_row.{key} = any(%(keys)s) and owl_row.{column} = any(%(ids)s) for update;
