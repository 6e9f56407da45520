-- Functions that have another name now; only functions of schema waha called
-- them.  A batch that is running while this is committed still calls an old
-- name: it fails, and WAHA sends its events again.

drop function if exists
    waha.fault(text, text, text, text, text),
    waha.meet(int[], text[], text[], text[], text[], text[], text[], text[]),
    waha.prove(text, text, text, text, bigint),
    waha.learn_phones(bigint[]),
    waha.hand_over(text[]),
    waha.heal_contacts(text[], bigint[]),
    waha.unless_had(text, text, text[]),
    waha.converse(text[], text[], text[], text[], text[], text[], bigint[],
                  timestamptz[], text[], int[], waha.contact_activities[]),
    waha.enter(text);

comment on column waha.quarantine.hash is
    'SHA-256 of the body and of the names of the event in it: an event that '
    'comes again is kept once';

update waha.version set migration = 6;
