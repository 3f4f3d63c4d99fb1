/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/csrf.h"

#include "policy/guard/origin.h"
#include "user/http/target.h"

#define FETCH_SITE SPAN("sec-fetch-site")

static bool is_listed(const struct csrf_policy *policy, const struct origin *origin)
{
	for (uint32_t i = 0; i < policy->pattern_count; i++) {
		if (origin_matches(&policy->pattern_list[i], origin))
			return true;
	}
	return false;
}

/* True if the page is of the requested site itself. */
static bool is_own(const struct guard_facts *facts, const struct origin *origin)
{
	struct span authority = facts->head->authority, port = authority_port(authority);
	uint64_t own_port = span_eq(facts->scheme, SPAN("https")) ? 443 : 80;

	if (port.len && span_parse_u63(port, &own_port) < 0)
		return false;
	return span_eq_nocase(origin->scheme, facts->scheme) && origin->port == own_port &&
	       span_eq_nocase(origin->host, authority_host(authority));
}

static uint32_t count_of(const struct fields *fields, struct span name)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < fields->count; i++)
		count += span_eq_nocase(fields->list[i].name, name);
	return count;
}

static bool is_from_here(const struct csrf_policy *policy, const struct guard_facts *facts)
{
	/* Without its headers a browser would look like another client, whatever the backend is to get. */
	const struct fields *fields = facts->client_fields ? facts->client_fields : &facts->head->fields;
	const struct field *site = fields_find(fields, FETCH_SITE), *field = fields_get(fields, FIELD_ORIGIN);
	struct origin origin;

	if (site && count_of(fields, FETCH_SITE) == 1 &&
	    (span_eq(site->value, SPAN("same-origin")) || span_eq(site->value, SPAN("none"))))
		return true;
	if (!field)
		return !site;
	if (fields_count_of(fields, FIELD_ORIGIN) != 1 || !origin_parse(field->value, &origin))
		return false;
	return is_listed(policy, &origin) || (!site && is_own(facts, &origin));
}

int csrf_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	enum http_method method = facts->head->method;

	if (method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS)
		return GUARD_PASS;
	if (is_from_here(object, facts))
		return GUARD_PASS;
	answer->status = 403;
	answer->body = SPAN("CSRF validation failed");
	return GUARD_REFUSE;
}
