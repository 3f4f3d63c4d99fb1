/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/conflict.h"

#include <stdlib.h>

#include "config/gatewayapi/status.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* Protocols that cannot share a port. */
enum family {
	FAMILY_HTTP,
	FAMILY_TLS, /* HTTPS and TLS: the server name selects the listener, for any protocol inside */
	FAMILY_TCP,
};

static enum family family_of(const struct gateway_listener *l)
{
	static const enum family family[] = { [PROTOCOL_HTTP] = FAMILY_HTTP,
					      [PROTOCOL_TCP] = FAMILY_TCP,
					      [PROTOCOL_TLS] = FAMILY_TLS,
					      [PROTOCOL_HTTPS] = FAMILY_TLS };

	return family[l->listener.protocol];
}

/*
 * By port and address, then by age and name of the Gateway, the Gateway before its ListenerSets, then as
 * written.
 */
static int listener_order(const void *left, const void *right)
{
	const struct gateway_listener *a = *(struct gateway_listener *const *)left,
				      *b = *(struct gateway_listener *const *)right;
	int place;

	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	place = span_compare(gateway_listener_place(a), gateway_listener_place(b));
	if (place)
		return place;
	if (a->gateway != b->gateway)
		return manifest_order(a->gateway, b->gateway);
	if (a->owner != b->owner && (a->owner == a->gateway || b->owner == b->gateway))
		return a->owner == a->gateway ? -1 : 1;
	if (a->owner != b->owner)
		return manifest_order(a->owner, b->owner);
	return (a->node->index > b->node->index) - (a->node->index < b->node->index);
}

static void refuse(struct decoder *d, struct gateway_listener *l, const struct gateway_listener *other,
		   const char *reason, const char *what)
{
	struct conditions *conditions = &l->status->conditions;
	struct span message;

	if (l->is_conflicted)
		return;
	l->is_conflicted = true;
	message = decode_text(d,
			      "port %u is shared with listener %.*s, but %s; give one of them another port "
			      "or hostname",
			      l->port, SPAN_FMT(other->listener.key), what);
	config_fault_at(d->report, l->listener.where,
			"%s: port %u is shared with %.*s, but %s; give one of them another port or hostname",
			reason, l->port, SPAN_FMT(other->listener.where), what);
	conditions->of[CONDITION_CONFLICTED] = (struct status_condition){ true, true, reason, message };
	condition_fail(conditions, CONDITION_ACCEPTED, reason, message);
	condition_fail(conditions, CONDITION_PROGRAMMED, reason, message);
}

#define DIFFER "their protocols differ"
#define ONE_TCP "a TCP port can have only one listener"

/* What is accepted so far on a port. */
struct port {
	struct decoder *d;
	struct name_map names; /* host name -> struct gateway_listener */
	const struct gateway_listener *first; /* NULL: none yet */
};

static bool is_compatible(const struct gateway_listener *a, const struct gateway_listener *b)
{
	return family_of(a) == family_of(b) && family_of(a) != FAMILY_TCP;
}

static void refuse_protocol(struct decoder *d, struct gateway_listener *l,
			    const struct gateway_listener *other)
{
	refuse(d, l, other, "ProtocolConflict", family_of(l) == family_of(other) ? ONE_TCP : DIFFER);
}

/* The listeners of one object on the port: if two of them do not fit, none of those two is served. */
static void check_protocols(const struct port *port, struct gateway_listener **list, uint32_t count)
{
	struct gateway_listener *first = NULL, *other = NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (port->first && !is_compatible(list[i], port->first))
			refuse_protocol(port->d, list[i], port->first);
		else if (!first)
			first = list[i];
		else if (!other && !is_compatible(list[i], first))
			other = list[i];
	}
	if (!other)
		return;
	for (uint32_t i = 0; i < count; i++)
		refuse_protocol(port->d, list[i],
				is_compatible(list[i], first) || list[i] == first ? other : first);
}

#define SAME_NAME "both have the same hostname"

/* Uses maps by name: ten thousand listeners must not be compared in pairs. */
static bool check_names(const struct port *port, struct gateway_listener **list, uint32_t count)
{
	struct name_map own = { 0 };
	bool is_done = true;

	for (uint32_t i = 0; i < count && is_done; i++) {
		struct gateway_listener *l = list[i], *same, *older;

		if (l->is_conflicted)
			continue;
		older = name_map_get(&port->names, l->listener.hostname);
		same = name_map_get(&own, l->listener.hostname);
		if (older)
			refuse(port->d, l, older, "HostnameConflict", SAME_NAME);
		if (same) {
			refuse(port->d, l, same, "HostnameConflict", SAME_NAME);
			refuse(port->d, same, l, "HostnameConflict", SAME_NAME);
		} else {
			is_done = name_map_put(port->d, &own, l->listener.hostname, l);
		}
	}
	name_map_done(&own);
	return is_done;
}

static void check_gateway(struct port *port, struct gateway_listener **list, uint32_t count)
{
	check_protocols(port, list, count);
	if (!check_names(port, list, count))
		return;
	for (uint32_t i = 0; i < count; i++) {
		if (list[i]->is_conflicted)
			continue;
		if (!port->first)
			port->first = list[i];
		if (!name_map_put(port->d, &port->names, list[i]->listener.hostname, list[i]))
			return;
	}
}

static void check_port(struct decoder *d, struct gateway_listener **list, uint32_t count)
{
	struct port port = { .d = d };

	if (count > LIMIT_CONFIG_LISTENERS) {
		config_refuse(d->report, list[LIMIT_CONFIG_LISTENERS]->node,
			      "port %u has more than %d listeners", list[0]->port, LIMIT_CONFIG_LISTENERS);
		return;
	}
	for (uint32_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && list[to]->owner == list[from]->owner;)
			to++;
		check_gateway(&port, list + from, to - from);
	}
	name_map_done(&port.names);
}

void conflicts_find(struct manifests *m)
{
	struct pointer_list valid = { 0 };
	struct gateway_listener **list;

	for (uint32_t i = 0; i < m->listeners.count; i++) {
		struct gateway_listener *l = m->listeners.list[i];

		if (l->is_valid && !build_push(m->decoder, &valid, l))
			break;
	}
	list = (struct gateway_listener **)valid.list;
	if (valid.count > 1)
		qsort(list, valid.count, sizeof(*list), listener_order);
	for (uint32_t from = 0, to; from < valid.count; from = to) {
		for (to = from + 1; to < valid.count && span_eq(gateway_listener_place(list[to]),
								gateway_listener_place(list[from]));)
			to++;
		check_port(m->decoder, list + from, to - from);
	}
	build_list_done(&valid);
}
