/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/retry.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/units.h"

static bool status_is_listed(const struct retry_policy *policy, uint16_t status)
{
	for (uint32_t i = 0; i < policy->code_count; i++) {
		if (policy->code_list[i] == status)
			return true;
	}
	return false;
}

static bool outcome_is_repeated(const struct retry_policy *policy, const struct retry_facts *facts)
{
	switch (facts->outcome) {
	case TRY_RESPONSE:
		return status_is_listed(policy, facts->status);
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

/*
 * A date as a pattern: D d Y h m s stand for digits of that number (d also for a blank), NNN for the name of
 * a month, ? for any letter, everything else for itself.
 */
struct date_form {
	const char *pattern;
	bool has_short_year;
};

static const struct date_form date_forms[] = {
	{ "???, DD NNN YYYY hh:mm:ss GMT", false }, /* IMF-fixdate */
	{ ", DD-NNN-YY hh:mm:ss GMT", true }, /* RFC 850, behind the name of the day */
	{ "??? NNN dD hh:mm:ss YYYY", false }, /* asctime: day padded with a blank */
};

struct date {
	unsigned int year, month, day, hour, minute, second; /* month 1..12 */
};

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static unsigned int month_of(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (unsigned int i = 0; i < 12; i++) {
		if (memcmp(names + 3 * i, name, 3) == 0)
			return i + 1;
	}
	return 0;
}

static unsigned int *date_number(struct date *date, char letter)
{
	switch (letter) {
	case 'D':
		return &date->day;
	case 'Y':
		return &date->year;
	case 'h':
		return &date->hour;
	case 'm':
		return &date->minute;
	case 's':
		return &date->second;
	default:
		return NULL;
	}
}

static bool date_read(struct span text, const char *pattern, struct date *date)
{
	*date = (struct date){ 0 };
	if (text.len != strlen(pattern))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned int *number = date_number(date, pattern[i]);
		char c = text.data[i];

		if (pattern[i] == 'd' && c == ' ')
			continue;
		if (pattern[i] == 'd')
			number = &date->day;
		if (number) {
			if (c < '0' || c > '9')
				return false;
			*number = *number * 10 + (unsigned int)(c - '0');
		} else if (pattern[i] == 'N') {
			date->month = date->month ? date->month : month_of(text.data + i);
			if (date->month == 0)
				return false;
		} else if (pattern[i] == '?' ? !is_letter(c) : c != pattern[i]) {
			return false;
		}
	}
	return true;
}

/* Days since 1970-01-01 of the Gregorian calendar; the year counted from March. */
static uint64_t days_of(const struct date *date)
{
	uint64_t year = date->year - (date->month <= 2);
	uint64_t month = (date->month + 9) % 12;

	return year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + date->day - 1 -
	       719468;
}

static bool is_leap(unsigned int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool date_is_real(const struct date *date)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned int most = days[date->month - 1] + (date->month == 2 && is_leap(date->year));

	return date->year >= 1970 && date->day >= 1 && date->day <= most && date->hour < 24 &&
	       date->minute < 60 && date->second <= 60;
}

/* The part of an RFC 850 date behind the name of the day. */
static struct span after_day_name(struct span text)
{
	while (text.len && is_letter(text.data[0]))
		text = span_from(text, 1);
	return text;
}

static int date_parse(struct span text, uint64_t now_unix_s, uint64_t *ret_unix_s)
{
	struct date date;

	for (size_t i = 0; i < sizeof(date_forms) / sizeof(date_forms[0]); i++) {
		bool is_short = date_forms[i].has_short_year;

		if (!date_read(is_short ? after_day_name(text) : text, date_forms[i].pattern, &date))
			continue;
		/* RFC 9110 5.6.7: two digits that seem more than 50 years ahead mean the past century. */
		if (is_short)
			date.year += date.year + 2000 > 1970 + now_unix_s / 31556952 + 50 ? 1900 : 2000;
		if (!date_is_real(&date))
			return -EINVAL;
		*ret_unix_s = days_of(&date) * 86400 + date.hour * 3600u + date.minute * 60u + date.second;
		return 0;
	}
	return -EINVAL;
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
