/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/retry.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "user/base/limits.h"
#include "user/base/char_class.h"
#include "user/base/units.h"

static bool status_is_listed(const struct retry_policy *policy, uint16_t status)
{
	for (uint32_t i = 0; i < policy->code_count; i++) {
		if (policy->code_list[i] == status)
			return true;
	}
	return false;
}

bool retry_asks_condition(const struct retry_policy *policy, uint16_t status)
{
	return policy && policy->condition && !status_is_listed(policy, status);
}

static bool outcome_is_repeated(const struct retry_policy *policy, const struct retry_facts *facts)
{
	switch (facts->outcome) {
	case TRY_RESPONSE:
		return status_is_listed(policy, facts->status) || facts->fits_condition;
	case TRY_CONNECT_FAILED:
	case TRY_CONNECT_TIMEOUT:
	case TRY_BACKEND_FULL:
	case TRY_DNS_FAILED:
	case TRY_TLS_FAILED:
	case TRY_TLS_VERIFY_FAILED:
	case TRY_TLS_TIMEOUT:
	case TRY_RESET:
	case TRY_PER_TRY_TIMEOUT:
		return true;
	case TRY_PENDING_TIMEOUT:
	case TRY_RESPONSE_BAD:
	case TRY_REQUEST_TIMEOUT:
		return false;
	}
	return false;
}

static bool budget_allows(const struct retry_config *config, const struct retry_facts *facts)
{
	uint64_t allowed;

	if (!config || config->budget_percent == 0)
		return true;
	allowed = (uint64_t)facts->active_requests * config->budget_percent / 100;
	if (allowed < config->budget_min)
		allowed = config->budget_min;
	return facts->active_retries < allowed;
}

static uint64_t retry_delay(const struct retry_policy *policy, const struct retry_config *config,
			    const struct retry_facts *facts)
{
	uint64_t delay_ns = policy->backoff.is_set ? policy->backoff.ns : 0, asked_ns;

	if (config && config->full_jitter)
		delay_ns = (uint64_t)((unsigned __int128)facts->random * ((unsigned __int128)delay_ns + 1) >>
				      64);
	if (!config || !config->honor_retry_after || facts->outcome != TRY_RESPONSE ||
	    !facts->has_retry_after)
		return delay_ns;
	asked_ns = facts->retry_after_ns;
	if (asked_ns > config->retry_after_max_ns)
		asked_ns = config->retry_after_max_ns;
	return asked_ns > delay_ns ? asked_ns : delay_ns;
}

enum retry_decision retry_decide(const struct retry_policy *policy, const struct retry_config *config,
				 const struct retry_facts *facts, uint64_t *ret_delay_ns)
{
	if (!policy)
		return RETRY_NO_POLICY;
	if (!outcome_is_repeated(policy, facts))
		return RETRY_NO_OUTCOME;
	if (facts->retries_done >= policy->attempts || facts->retries_done >= LIMIT_RETRY_ATTEMPTS)
		return RETRY_NO_ATTEMPTS_LEFT;
	if (facts->client_has_closed)
		return RETRY_NO_CLIENT;
	if (facts->is_sending && facts->outcome == TRY_PER_TRY_TIMEOUT)
		return RETRY_STILL_SENDING;
	if (!facts->can_replay)
		return RETRY_NO_REPLAY;
	if (!budget_allows(config, facts))
		return RETRY_NO_BUDGET;
	*ret_delay_ns = retry_delay(policy, config, facts);
	return RETRY_YES;
}

/* ---- Retry-After */

enum { DATE_BYTES = 48 };

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110 5.6.7: a two-digit year more than 50 years in the future is in the past century. */
static void date_widen(char rest[DATE_BYTES], uint64_t now_unix_s)
{
	unsigned int year = (unsigned int)(rest[9] - '0') * 10 + (unsigned int)(rest[10] - '0');
	char old[DATE_BYTES];

	memcpy(old, rest, DATE_BYTES);
	year += year + 2000 > 1970 + now_unix_s / 31556952 + 50 ? 1900 : 2000;
	snprintf(rest, DATE_BYTES, ", %.2s %.3s %u%.13s", old + 2, old + 5, year, old + 11);
}

/* Strict: strptime() accepts more than strftime() writes. */
#define DATE_READ(text, format, parts, again)                                                                \
	(strptime(text, format, parts) && strftime(again, DATE_BYTES, format, parts) > 0 &&                  \
	 strcmp(again, text) == 0)

static int date_parse(struct span text, uint64_t now_unix_s, uint64_t *ret_unix_s)
{
	char rest[DATE_BYTES] = "", again[DATE_BYTES];
	size_t name_len = 0;
	int day, second;
	time_t unix_s;
	struct tm tm = { 0 };

	/* Accept any name of the day. */
	while (name_len < text.len && is_letter(text.data[name_len]))
		name_len++;
	text = span_from(text, name_len);
	if (text.len == 0 || text.len >= sizeof(rest))
		return -EINVAL;
	memcpy(rest, text.data, text.len);
	/* Convert RFC 850 to IMF-fixdate. */
	if (text.len == 24 && rest[4] == '-' && rest[8] == '-' && octet_is(rest[9], OCTET_DIGIT) &&
	    octet_is(rest[10], OCTET_DIGIT))
		date_widen(rest, now_unix_s);
	else if (name_len != 3)
		return -EINVAL;
	/* Other dates have the form of asctime(). */
	if (!DATE_READ(rest, ", %d %b %Y %H:%M:%S GMT", &tm, again) &&
	    !DATE_READ(rest, " %b %e %H:%M:%S %Y", &tm, again) &&
	    !DATE_READ(rest, " %b %d %H:%M:%S %Y", &tm, again))
		return -EINVAL;
	/* There are leap seconds, but no 30th of February. */
	day = tm.tm_mday;
	second = tm.tm_sec;
	tm.tm_sec = 0;
	unix_s = timegm(&tm);
	if (tm.tm_mday != day || second > 60 || unix_s < 0)
		return -EINVAL;
	*ret_unix_s = (uint64_t)unix_s + (uint64_t)second;
	return 0;
}

int retry_after_parse(struct span value, uint64_t now_unix_s, uint64_t *ret_ns)
{
	uint64_t seconds = 0;
	int result = span_parse_u63(value, &seconds);

	if (result == -ERANGE) {
		seconds = INT64_MAX;
	} else if (result < 0) {
		if (date_parse(value, now_unix_s, &seconds) < 0)
			return -EINVAL;
		seconds = seconds > now_unix_s ? seconds - now_unix_s : 0;
	}
	*ret_ns = seconds > INT64_MAX / NS_PER_S ? INT64_MAX : seconds * NS_PER_S;
	return 0;
}
