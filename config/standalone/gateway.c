/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/gateway.h"

#include "config/core/engine/typo.h"
#include "config/standalone/listener.h"
#include "config/standalone/policy.h"
#include "config/standalone/route.h"
#include "user/base/limits.h"

#define DEFAULT_GATEWAY "default"

/* -------------------------------------------------------------------------------- gateways */

static bool is_reference_part(struct decoder *d, const struct yaml_node *node, struct span name)
{
	if (name.len && span_find(name, '/') < 0)
		return true;
	config_error_key(d->report, node,
			 "%s cannot be the name of a gateway or listener; write one without \"/\", because "
			 "routes name them as gateway/listener",
			 QUOTE(name));
	return false;
}

/* build_finish() reports a second listener of the same name. */
static bool add_reference(struct standalone *s, struct span name, struct gateway_listener *list,
			  uint32_t count)
{
	struct decoder *d = s->decoder;
	struct gateway *gateway = decode_take(d, 1, sizeof(*gateway));

	if (!gateway || name_map_get(&s->gateways, name))
		return false;
	*gateway = (struct gateway){ list, count };
	return name_map_put(d, &s->gateways, name, gateway);
}

/* `reference` is the listener's name, as routes and policies write it. */
static void set_listener(struct standalone *s, const struct yaml_node *node, struct span reference,
			 struct listener *listener)
{
	struct decoder *d = s->decoder;

	listener->gateway_name = SPAN("default");
	listener->listener_name = reference;
	listener->key = decode_text(d, "gateway/%.*s", SPAN_FMT(reference));
	if (!standalone_listener_protocol(s, node, true, listener))
		return;
	listener->where = config_where(d->arena, node);
	standalone_listener_policies(s, node, listener->key, listener);
}

static void decode_listener(struct standalone *s, const struct yaml_node *node, struct span gateway,
			    struct gateway_listener *at)
{
	struct decoder *d = s->decoder;
	struct listener *listener = at->listener;
	struct span reference;

	schema_default(&gateway_listener_schema, listener);
	if (!schema_decode(d, node, &gateway_listener_schema, listener))
		return;
	if (!listener->listener_name.len)
		listener->listener_name = decode_text(d, "listener%u", node->index);
	else if (!is_reference_part(d, decode_get(node, "name"), listener->listener_name))
		return;
	reference = decode_text(d, "%.*s/%.*s", SPAN_FMT(gateway), SPAN_FMT(listener->listener_name));
	set_listener(s, node, reference, listener);
	add_reference(s, reference, at, 1);
}

/* With `listeners`, the gateway itself has only its port. */
static void refuse_listener_keys(struct decoder *d, const struct yaml_node *node)
{
	static const char *const own[] = { "port", "bind", "tunnelProtocol", "listeners" };

	yaml_each(member, node) {
		bool is_own = yaml_is_null(member);

		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			is_own |= span_eq(member->key, span_str(own[i]));
		if (!is_own)
			config_error_key(d->report, member,
					 "is a key of a listener, and this gateway has `listeners`; write it "
					 "there");
	}
}

static void decode_gateway(struct standalone *s, const struct yaml_node *node)
{
	const struct yaml_node *listeners = decode_get(node, "listeners");
	struct decoder *d = s->decoder;
	struct gateway_listener *list;
	struct gateway_port port = { 0 };
	struct bind *bind;
	struct span name;
	uint32_t count;

	schema_default(&gateway_schema, &port);
	if (!schema_decode(d, node, &gateway_schema, &port) || !is_reference_part(d, node, node->key))
		return;
	if (listeners && !standalone_listener_list(d, listeners))
		return;
	count = listeners ? listeners->count : 1;
	name = decode_keep(d, node->key);
	bind = standalone_bind(s, node, port.port, count);
	if (bind && !standalone_take_address(s, bind))
		config_error(d->report, decode_get(node, "port"),
			     "port %u is configured twice on %.*s; put all its listeners under one gateway",
			     port.port, SPAN_FMT(bind->address_text));
	list = decode_take(d, count, sizeof(*list));
	if (!bind || !list || !add_reference(s, name, list, count))
		return;
	bind->is_proxied = port.is_proxied;
	for (uint32_t i = 0; i < count; i++)
		list[i].listener = &bind->listener_list[i];
	if (listeners) {
		refuse_listener_keys(d, node);
		yaml_each(child, listeners)
			decode_listener(s, child, name, &list[child->index]);
	} else {
		bind->listener_list[0] = port.listener;
		set_listener(s, node, name, &bind->listener_list[0]);
	}
	standalone_check_listeners(s, bind);
}

/* -------------------------------------------------------------------------------- references */

static bool is_added(const struct pointer_list *list, const struct gateway_listener *listener)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (list->list[i] == listener)
			return true;
	return false;
}

static void report_unknown(struct standalone *s, const struct yaml_node *node, struct span name)
{
	const char *names[64];
	const char *meant;
	size_t count = 0;

	for (uint32_t i = 0; i < s->gateways.entries.count && count < ARRAY_LEN(names); i++) {
		const struct name_entry *entry = s->gateways.entries.list[i];

		names[count++] = entry->key.data; /* decode_text() and decode_keep() add a NUL */
	}
	meant = typo_meant(name, names, count);
	config_error(s->decoder->report, node,
		     "there is no gateway %s%s%s%s; write the name of one under `gateways`, or "
		     "gateway/listener",
		     QUOTE(name), meant ? ", did you mean \"" : "", meant ? meant : "", meant ? "\"?" : "");
}

static bool add_listeners(struct standalone *s, const struct yaml_node *node, struct span name, bool is_http,
			  struct pointer_list *ret)
{
	const struct gateway *gateway = name_map_get(&s->gateways, name);
	struct decoder *d = s->decoder;
	bool has_one = false;

	if (!gateway) {
		if (!s->has_bad_gateway)
			report_unknown(s, node, name);
		return false;
	}
	for (uint32_t i = 0; i < gateway->listener_count; i++) {
		struct gateway_listener *listener = &gateway->listener_list[i];

		if (listener_has_http(listener->listener) != is_http)
			continue;
		has_one = true;
		if (!is_added(ret, listener) && !build_push(d, ret, listener))
			return false;
	}
	if (!has_one && !s->has_bad_gateway)
		config_error(d->report, node,
			     "the gateway %s has no listener for %s; %s, or name another gateway",
			     QUOTE(name), is_http ? "HTTP" : "TCP",
			     is_http ? "write tcpRoutes for its protocol" : "write routes for its protocol");
	return has_one;
}

bool standalone_gateway_refs(struct standalone *s, const struct yaml_node *node, bool is_http,
			     struct pointer_list *ret)
{
	const struct yaml_node *refs = decode_get(node, "gateways");
	struct decoder *d = s->decoder;
	bool is_valid = true;
	struct span name;

	if (refs && refs->kind == YAML_SCALAR)
		return decode_name(d, refs, &name) && add_listeners(s, refs, name, is_http, ret);
	if (refs && !decode_list(d, refs))
		return false;
	if (!refs || !refs->count) {
		if (name_map_get(&s->gateways, SPAN(DEFAULT_GATEWAY)))
			return add_listeners(s, node, SPAN(DEFAULT_GATEWAY), is_http, ret);
		if (s->has_bad_gateway)
			return false;
		config_error(d->report, node,
			     "\"gateways\" is missing, and there is no gateway with the name " DEFAULT_GATEWAY
			     "; write gateways: [NAME]");
		return false;
	}
	yaml_each(ref, refs)
		is_valid &= decode_name(d, ref, &name) && add_listeners(s, ref, name, is_http, ret);
	return is_valid;
}

bool standalone_has_default_gateway(const struct standalone *s)
{
	const struct gateway *gateway = name_map_get(&s->gateways, SPAN(DEFAULT_GATEWAY));

	for (uint32_t i = 0; gateway && i < gateway->listener_count; i++)
		if (listener_has_http(gateway->listener_list[i].listener))
			return true;
	return false;
}

/* -------------------------------------------------------------------------------- routes */

static bool attach(struct standalone *s, const struct yaml_node *node, bool is_http, uint32_t *attached)
{
	struct decoder *d = s->decoder;
	struct pointer_list listeners = { 0 };
	bool is_valid = standalone_gateway_refs(s, node, is_http, &listeners);

	for (uint32_t i = 0; is_valid && i < listeners.count; i++) {
		struct gateway_listener *listener = listeners.list[i];

		is_valid = build_push(d, &listener->routes, (void *)node);
	}
	*attached += listeners.count;
	build_list_done(&listeners);
	if (*attached <= LIMIT_CONFIG_ATTACHED)
		return true;
	config_error(d->report, node,
		     "the routes up to this one name more than %d listeners in all; name fewer gateways",
		     LIMIT_CONFIG_ATTACHED);
	return false;
}

static void attach_list(struct standalone *s, const struct yaml_node *list, bool is_http)
{
	uint32_t attached = 0;

	if (!decode_list(s->decoder, list))
		return;
	yaml_each(node, list)
		if (!attach(s, node, is_http, &attached))
			return;
}

static void decode_routes(struct standalone *s, struct gateway_listener *at)
{
	struct listener *listener = at->listener;
	uint32_t room = at->routes.count + 1;

	if (listener_has_http(listener)) {
		listener->route_list = decode_take(s->decoder, room, sizeof(*listener->route_list));
		listener->route_count = listener->route_list ? at->routes.count : 0;
	} else {
		listener->tcp_route_list = decode_take(s->decoder, room, sizeof(*listener->tcp_route_list));
		listener->tcp_route_count = listener->tcp_route_list ? at->routes.count : 0;
	}
	for (uint32_t i = 0; i < listener->route_count; i++)
		standalone_route(s, at->routes.list[i], i, listener->key, &listener->route_list[i]);
	for (uint32_t i = 0; i < listener->tcp_route_count; i++)
		standalone_tcp_route(s, at->routes.list[i], i, listener, &listener->tcp_route_list[i]);
	build_list_done(&at->routes);
}

void standalone_gateways(struct standalone *s, const struct yaml_node *root)
{
	const struct yaml_node *gateways = decode_get(root, "gateways");
	struct config_report *report = s->decoder->report;
	uint32_t errors = report->count[CONFIG_ERROR];

	if (gateways && decode_any_map(s->decoder, gateways))
		yaml_each(node, gateways)
			decode_gateway(s, node);
	s->has_bad_gateway = report->count[CONFIG_ERROR] > errors;
	attach_list(s, decode_get(root, "routes"), true);
	attach_list(s, decode_get(root, "tcpRoutes"), false);
	/* Until the end: messages about a route of several listeners would be the same for each. */
	report->drops_repeats = true;
	for (uint32_t i = 0; i < s->gateways.entries.count; i++) {
		const struct name_entry *entry = s->gateways.entries.list[i];
		const struct gateway *gateway = entry->value;

		/* The others are in one of these. */
		if (span_find(entry->key, '/') >= 0)
			continue;
		for (uint32_t j = 0; j < gateway->listener_count; j++)
			decode_routes(s, &gateway->listener_list[j]);
	}
}

static void warn_of_no_routes(struct standalone *s, const struct listener *listener)
{
	if (!listener->route_count && !listener->tcp_route_count)
		config_message_at(s->decoder->report, CONFIG_WARNING, listener->where,
				  "this gateway has no routes, and %s; add routes: [{gateways: [%.*s], ...}]",
				  listener_has_http(listener) ? "answers every request with 404"
							      : "closes every connection",
				  SPAN_FMT(listener->listener_name));
}

void standalone_gateways_done(struct standalone *s)
{
	for (uint32_t i = 0; i < s->gateways.entries.count; i++) {
		const struct name_entry *entry = s->gateways.entries.list[i];
		const struct gateway *gateway = entry->value;

		for (uint32_t j = 0; span_find(entry->key, '/') < 0 && j < gateway->listener_count; j++)
			warn_of_no_routes(s, gateway->listener_list[j].listener);
	}
	s->decoder->report->drops_repeats = false;
	name_map_done(&s->gateways);
}
