-- Enter a server into the register of the living.
insert into servers (id, name, version, job_types, fingerprints, capacity, started_at, lease_expires_at)
values (%(id)s, %(name)s, %(version)s, %(job_types)s, %(fingerprints)s, %(capacity)s, owl_now(), owl_now() + %(lease)s * interval '1 second');
