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

bool site_origin_is_safe(const struct request_head *head)
{
	const struct field *origin = fields_find(&head->fields, SPAN("origin"));
	const struct field *site = fields_find(&head->fields, SPAN("sec-fetch-site"));

	if (site && !span_eq(site->value, SPAN("same-origin")) && !span_eq(site->value, SPAN("none")))
		return false;
	if (!origin)
		return true;
	return span_starts(origin->value, SPAN("http://")) &&
	       span_eq_nocase(span_from(origin->value, sizeof("http://") - 1), head->authority);
}
