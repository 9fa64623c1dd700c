-- Two roles: owlrunner_owner has the tables and migrates; owlrunner_server is what servers work by. It can neither change a table
-- nor what the audit log says. For psql, by a superuser, in the database that OwlRunner is to have:
--
--   OWNER_PASSWORD=... SERVER_PASSWORD=... psql -v ON_ERROR_STOP=1 -f roles.sql owlrunner
--
-- Then, by owlrunner_owner: owlrunner migrate, and psql -f audit.sql owlrunner.

\getenv owner_password OWNER_PASSWORD
\getenv server_password SERVER_PASSWORD

create role owlrunner_owner login password :'owner_password';
create role owlrunner_server login password :'server_password';

grant usage, create on schema public to owlrunner_owner;
grant usage on schema public to owlrunner_server;
-- Also for the tables of later versions.
alter default privileges for role owlrunner_owner in schema public grant select, insert, update, delete on tables to owlrunner_server;
