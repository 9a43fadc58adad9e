-- name: add_reliances(decisions, purposes, supports, subjects, bases, ats, decided, channels, categories, regimes)!
-- Purposes that decisions used. What is there stays; of a subject that is erased by now no id is kept.
INSERT INTO reliance (
    decision_id, purpose, support_idx, subject_id, basis_idx, at_us, decided_us, channel, categories, regimes
)
SELECT
    u.decision_id,
    u.purpose,
    u.support_idx,
    CASE WHEN s.status = 'ERASED' THEN NULL ELSE u.subject_id END,
    u.basis_idx,
    u.at_us,
    u.decided_us,
    u.channel,
    string_to_array(u.categories, ' '),
    string_to_array(u.regimes, ' ')
FROM unnest(
    :decisions::text [],
    :purposes::text [],
    :supports::bigint [],
    :subjects::text [],
    :bases::bigint [],
    :ats::bigint [],
    :decided::bigint [],
    :channels::text [],
    :categories::text [],
    :regimes::text []
) AS u (decision_id, purpose, support_idx, subject_id, basis_idx, at_us, decided_us, channel, categories, regimes)
LEFT JOIN subject_state AS s ON s.subject_id = u.subject_id
ON CONFLICT DO NOTHING;

-- name: add_findings(decisions, rules, details, ats)!
-- What is wrong with the bases of decisions.
INSERT INTO finding (decision_id, rule, detail, at_us)
SELECT u.decision_id, u.rule, u.detail, u.at_us
FROM unnest(:decisions::text [], :rules::text [], :details::text [], :ats::bigint []) AS u (decision_id, rule, detail, at_us)
ON CONFLICT DO NOTHING;
