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

-- name: reliances(support, subject_id, from_us, to_us, after_us, after_decision, after_purpose, amount)
-- A page of reliances in the order in which they were decided.
SELECT
    r.decision_id, r.purpose, r.support_idx, r.subject_id, r.basis_idx, r.at_us, r.decided_us, r.channel, r.categories, r.regimes
FROM reliance AS r
WHERE
    (:support::bigint IS NULL OR r.support_idx = :support)
    AND (:subject_id::text IS NULL OR r.subject_id = :subject_id)
    AND r.decided_us >= :from_us AND r.decided_us < :to_us
    AND (r.decided_us, r.decision_id, r.purpose) > (:after_us, :after_decision::text, :after_purpose::text)
ORDER BY r.decided_us, r.decision_id, r.purpose LIMIT :amount;

-- name: findings(rules, from_us, to_us, amount)
-- The first of what was found when decisions were folded.
SELECT f.decision_id, f.rule, f.detail, f.at_us
FROM finding AS f
WHERE f.rule = ANY(:rules::text []) AND f.at_us >= :from_us AND f.at_us < :to_us
ORDER BY f.at_us, f.decision_id, f.rule LIMIT :amount;
