-- Queue up behind whoever changes the members of the same team, until the transaction ends: two owners who take each other out
-- at the same moment would leave none.
select from teams where id = %(team_id)s for no key update;
