/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/site.h"

#include "user/http/target.h"
#include "user/net/address.h"

bool site_host_is_safe(struct span authority)
{
	struct span host = authority_host(authority);
	struct address ignored;

	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_of(host.data + 1, host.len - 2);
	return span_eq_nocase(host, SPAN("localhost")) || address_parse_ip(host, 0, &ignored) == 0;
}

static bool is_own_origin(struct span origin, struct span authority)
{
	return span_starts(origin, SPAN("http://")) &&
	       span_eq_nocase(span_from(origin, sizeof("http://") - 1), authority);
}

static bool is_own_site(struct span site)
{
	return span_eq(site, SPAN("same-origin")) || span_eq(site, SPAN("none"));
}

bool site_origin_is_safe(const struct request_head *head)
{
	bool is_browser = false, has_proof = false;

	/* All of them: something between may have added its own in front. */
	for (uint32_t i = 0; i < head->fields.count; i++) {
		const struct field *field = &head->fields.list[i];

		is_browser |=
			field->id == FIELD_ORIGIN || span_eq_nocase(field->name, SPAN("sec-fetch-site"));
		has_proof |= span_eq_nocase(field->name, SPAN("x-headgate"));
		if (field->id == FIELD_ORIGIN && !is_own_origin(field->value, head->authority))
			return false;
		if (span_eq_nocase(field->name, SPAN("sec-fetch-site")) && !is_own_site(field->value))
			return false;
	}
	return has_proof || !is_browser;
}
