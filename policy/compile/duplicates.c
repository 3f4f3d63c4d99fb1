/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/duplicates.h"

#include "policy/match/route_table.h"

static bool tcp_names_equal(const struct tcp_route *a, const struct tcp_route *b)
{
	return span_eq(a->name, b->name) && span_eq(a->namespace, b->namespace);
}

void tcp_duplicates_warn(const struct listener *listener, struct config_report *report)
{
	for (uint32_t i = 0; i < listener->tcp_route_count; i++) {
		const struct tcp_route *route = &listener->tcp_route_list[i], *first;
		bool is_named = listener->protocol == PROTOCOL_TLS && route->hostname_count;

		for (uint32_t h = 0; h < (is_named ? route->hostname_count : 1); h++) {
			first = tcp_route_of_name(listener->table,
						  is_named ? route->hostname_list[h] : SPAN(""));
			if (first == route || tcp_names_equal(first, route))
				continue;
			config_message_at(report, CONFIG_WARNING, route->where,
					  "gets no connections from listener %s%s%.*s: route %.*s/%.*s has "
					  "them, which is older or comes first by name",
					  QUOTE(listener->key), is_named ? " for " : "",
					  SPAN_FMT(is_named ? route->hostname_list[h] : SPAN("")),
					  SPAN_FMT(first->namespace), SPAN_FMT(first->name));
			break;
		}
	}
}

void duplicates_warn(const struct bind *bind, struct config_report *report)
{
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		const struct listener *listener = &bind->listener_list[i];
		uint32_t at = host_index_add(bind->table->hosts, listener->hostname)->index;
		const struct listener *first = bind->table->listener_list[at];

		if (first != listener)
			config_message_at(
				report, CONFIG_WARNING, listener->where,
				"listener %s gets no requests: listener %s has the same port and host name",
				QUOTE(listener->key), QUOTE(first->key));
	}
}
