-- Guesses at a program's code from other clients than the one that asked for it are counted apart, so that they do not use up its own.
-- compatible: yes

alter table email_verification_codes add column guesses_elsewhere smallint not null default 0;
