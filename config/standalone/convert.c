/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/convert.h"

#include "config/build.h"
#include "config/standalone/mcp.h"

/* A listener of a bind, or of the port of `mcp`, in the new form. */
struct moved {
	struct span reference; /* "gateway", "gateway/listener" */
	uint32_t count; /* listeners that had its old name */
};

struct convert {
	struct decoder *d;
	const struct yaml_node *root;
	struct yaml_node *gateways, *routes, *tcp_routes; /* new */
	struct name_map names; /* of gateways; the value of a new one is this object */
	struct name_map moved; /* "namespace/old name": struct moved */
	bool has_variable; /* in an old name */
};

/* -------------------------------------------------------------------------------- trees */

static struct yaml_node *new_node(struct convert *c, enum yaml_kind kind)
{
	struct yaml_node *node = decode_take(c->d, 1, sizeof(*node));

	if (node)
		*node = (struct yaml_node){ .kind = kind, .document = c->root->document };
	return node;
}

static struct yaml_node *new_text(struct convert *c, struct span text)
{
	struct yaml_node *node = new_node(c, YAML_SCALAR);

	if (node)
		node->text = text;
	return node;
}

/* Appends a copy, which shares the children. */
static void put(struct convert *c, struct yaml_node *parent, struct span key, const struct yaml_node *child)
{
	struct yaml_node *copy = child ? decode_take(c->d, 1, sizeof(*copy)) : NULL;

	if (!copy || !parent)
		return;
	*copy = *child;
	copy->key = key;
	copy->next = NULL;
	copy->index = parent->count++;
	if (parent->last)
		parent->last->next = copy;
	else
		parent->first = copy;
	parent->last = copy;
}

static void put_member(struct convert *c, struct yaml_node *parent, const struct yaml_node *map,
		       const char *key)
{
	put(c, parent, span_str(key), decode_get(map, key));
}

/* The map with another value for one key; NULL: without the key. */
static struct yaml_node *with(struct convert *c, const struct yaml_node *map, const char *key,
			      const struct yaml_node *value)
{
	struct yaml_node *copy = new_node(c, YAML_MAP);

	yaml_each(member, map) {
		if (!span_eq(member->key, span_str(key)))
			put(c, copy, member->key, member);
		else if (value)
			put(c, copy, member->key, value);
	}
	return copy;
}

/* -------------------------------------------------------------------------------- names */

static bool take_name(struct convert *c, struct span name)
{
	return !name_map_get(&c->names, name) && name_map_put(c->d, &c->names, name, c);
}

static bool is_number(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return s.len > 0;
}

/* The name of a new gateway: `wanted`, "default", or one after its port. */
static struct span gateway_name(struct convert *c, struct span wanted, const struct yaml_node *port)
{
	struct span base, name;

	if (wanted.len && span_find(wanted, '/') < 0 && take_name(c, wanted))
		return wanted;
	if (take_name(c, SPAN("default")))
		return SPAN("default");
	/* A variable has no name yet. */
	base = port && is_number(port->text) ? decode_text(c->d, "port%.*s", SPAN_FMT(port->text))
					     : SPAN("gateway");
	name = base;
	for (unsigned i = 2; !c->d->failed && !take_name(c, name); i++)
		name = decode_text(c->d, "%.*s-%u", SPAN_FMT(base), i);
	return name;
}

static bool has_variable(struct span text)
{
	return span_find(text, '$') >= 0;
}

static void add_moved(struct convert *c, struct span namespace, struct span old, struct span reference)
{
	struct span key = decode_text(c->d, "%.*s/%.*s", SPAN_FMT(namespace), SPAN_FMT(old));
	struct moved *moved = name_map_get(&c->moved, key);

	c->has_variable |= has_variable(key);
	if (!moved) {
		moved = decode_take(c->d, 1, sizeof(*moved));
		if (!moved || !name_map_put(c->d, &c->moved, key, moved))
			return;
		moved->reference = reference;
	}
	moved->count++;
}

static struct span text_of(const struct yaml_node *map, const char *key, struct span otherwise)
{
	const struct yaml_node *node = decode_get(map, key);

	return node ? node->text : otherwise;
}

/* -------------------------------------------------------------------------------- binds */

static bool has_hostname(const struct yaml_node *listener)
{
	struct span hostname = text_of(listener, "hostname", SPAN(""));

	return hostname.len && !span_eq(hostname, SPAN("*"));
}

static void put_listener(struct convert *c, struct yaml_node *out, const struct yaml_node *listener)
{
	static const char *const keys[] = { "protocol", "tls", "namespace", "maxConnections", "splice" };
	const struct yaml_node *policies = decode_get(listener, "policies");

	if (has_hostname(listener))
		put_member(c, out, listener, "hostname");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		put_member(c, out, listener, keys[i]);
	if (policies)
		yaml_each(policy, policies)
			put(c, out, policy->key, policy);
}

static void put_routes(struct convert *c, struct yaml_node *out, const struct yaml_node *list,
		       struct span reference)
{
	if (!list)
		return;
	yaml_each(route, list) {
		struct yaml_node *copy = new_node(c, YAML_MAP);

		if (!span_eq(reference, SPAN("default")))
			put(c, copy, SPAN("gateways"), new_text(c, reference));
		yaml_each(member, route)
			put(c, copy, member->key, member);
		put(c, out, SPAN(""), copy);
	}
}

static void move_listener(struct convert *c, const struct yaml_node *listener, struct span old,
			  struct span reference)
{
	add_moved(c, text_of(listener, "namespace", SPAN("default")), old, reference);
	put_routes(c, c->routes, decode_get(listener, "routes"), reference);
	put_routes(c, c->tcp_routes, decode_get(listener, "tcpRoutes"), reference);
}

static void convert_listeners(struct convert *c, const struct yaml_node *list, struct span gateway,
			      struct yaml_node *out)
{
	struct yaml_node *listeners = new_node(c, YAML_LIST);

	yaml_each(listener, list) {
		struct span old = text_of(listener, "name", decode_text(c->d, "listener%u", listener->index));
		struct yaml_node *copy = new_node(c, YAML_MAP);

		if (span_find(old, '/') >= 0)
			config_error(c->d->report, decode_get(listener, "name"),
				     "has no place in the new form, which names a listener as "
				     "gateway/listener; give it a name without \"/\"");
		put_member(c, copy, listener, "name");
		put_listener(c, copy, listener);
		put(c, listeners, SPAN(""), copy);
		move_listener(c, listener, old,
			      decode_text(c->d, "%.*s/%.*s", SPAN_FMT(gateway), SPAN_FMT(old)));
	}
	put(c, out, SPAN("listeners"), listeners);
}

static void convert_bind(struct convert *c, const struct yaml_node *bind)
{
	const struct yaml_node *list = decode_get(bind, "listeners"), *only = list->first;
	bool is_one = list->count == 1 && !has_hostname(only);
	struct span old = is_one ? text_of(only, "name", SPAN("")) : SPAN("");
	struct yaml_node *gateway = new_node(c, YAML_MAP);
	struct span name = gateway_name(c, old, decode_get(bind, "port"));

	put_member(c, gateway, bind, "port");
	put_member(c, gateway, bind, "bind");
	put_member(c, gateway, bind, "tunnelProtocol");
	if (is_one) {
		put_listener(c, gateway, only);
		move_listener(c, only, old.len ? old : SPAN("listener0"), name);
	} else {
		convert_listeners(c, list, name, gateway);
	}
	put(c, c->gateways, name, gateway);
}

/* -------------------------------------------------------------------------------- mcp */

static bool has_http(const struct yaml_node *listener)
{
	struct span protocol = text_of(listener, "protocol", SPAN("HTTP"));

	return span_starts(protocol, SPAN("HTTP"));
}

/* True if the gateway `default` of the old file serves mcp without being named. */
static bool is_implied(const struct convert *c)
{
	const struct yaml_node *gateway = decode_get(decode_get(c->root, "gateways"), "default"),
			       *listeners = decode_get(gateway, "listeners");

	if (!listeners)
		return gateway && has_http(gateway);
	yaml_each(listener, listeners)
		if (has_http(listener))
			return true;
	return false;
}

static const struct yaml_node *convert_mcp(struct convert *c, const struct yaml_node *mcp)
{
	const struct yaml_node *port = decode_get(mcp, "port");
	struct yaml_node *gateway, *copy;
	struct span name;

	if (decode_get(mcp, "gateways") || (!port && is_implied(c)))
		return mcp;
	gateway = new_node(c, YAML_MAP);
	copy = new_node(c, YAML_MAP);
	name = take_name(c, SPAN("mcp")) ? SPAN("mcp") : gateway_name(c, SPAN("mcp-server"), port);
	put(c, gateway, SPAN("port"), port ? port : new_text(c, decode_text(c->d, "%u", MCP_PORT)));
	put_member(c, gateway, mcp, "bind");
	put(c, c->gateways, name, gateway);
	add_moved(c, SPAN("default"), SPAN("mcp"), name);
	put(c, copy, SPAN("gateways"), new_text(c, name));
	yaml_each(member, mcp)
		if (!span_eq(member->key, SPAN("port")) && !span_eq(member->key, SPAN("bind")))
			put(c, copy, member->key, member);
	return copy;
}

/* -------------------------------------------------------------------------------- policies */

static const struct yaml_node *convert_policy(struct convert *c, const struct yaml_node *policy)
{
	const struct yaml_node *target = decode_get(policy, "target"),
			       *gateway = decode_get(target, "gateway"),
			       *name = decode_get(gateway, "listenerName");
	struct span namespace = text_of(gateway, "gatewayNamespace", SPAN("default"));
	const struct moved *moved;

	if (!name)
		return policy;
	moved = name_map_get(&c->moved,
			     decode_text(c->d, "%.*s/%.*s", SPAN_FMT(namespace), SPAN_FMT(name->text)));
	if (!moved && (c->has_variable || has_variable(name->text) || has_variable(namespace)))
		config_error(c->d->report, name,
			     "may name a listener whose name is written with a variable, or the other way "
			     "round; write both names in the same way");
	else if (!moved && name_map_get(&c->names, name->text) == c)
		config_error(c->d->report, name,
			     "names no listener now, but would name a new gateway; remove the policy, or "
			     "correct the name");
	if (!moved || span_eq(moved->reference, name->text))
		return policy;
	if (moved->count > 1)
		config_error(c->d->report, name,
			     "%u listeners have this name, and in the new form each has its own; give them "
			     "different names, and each its own policy",
			     moved->count);
	gateway = with(c, gateway, "listenerName", new_text(c, moved->reference));
	return with(c, policy, "target", with(c, target, "gateway", gateway));
}

static const struct yaml_node *convert_policies(struct convert *c, const struct yaml_node *list)
{
	struct yaml_node *out = new_node(c, YAML_LIST);

	yaml_each(policy, list)
		put(c, out, SPAN(""), convert_policy(c, policy));
	return out;
}

/* -------------------------------------------------------------------------------- the file */

static void start(struct convert *c)
{
	const struct yaml_node *gateways = decode_get(c->root, "gateways");

	c->gateways = new_node(c, YAML_MAP);
	c->routes = new_node(c, YAML_LIST);
	c->tcp_routes = new_node(c, YAML_LIST);
	if (!gateways)
		return;
	yaml_each(gateway, gateways) {
		name_map_put(c->d, &c->names, gateway->key, (void *)gateway);
		put(c, c->gateways, gateway->key, gateway);
	}
}

static void append(struct convert *c, struct yaml_node *out, const struct yaml_node *list)
{
	if (list)
		yaml_each(element, list)
			put(c, out, SPAN(""), element);
}

static struct yaml_node *finish(struct convert *c, const struct yaml_node *mcp)
{
	static const char *const placed[] = { "config", "gateways", "routes", "tcpRoutes", "binds" };
	const struct yaml_node *policies = decode_get(c->root, "policies");
	struct yaml_node *out = new_node(c, YAML_MAP);

	put_member(c, out, c->root, "config");
	if (c->gateways && c->gateways->count)
		put(c, out, SPAN("gateways"), c->gateways);
	if (c->routes && c->routes->count)
		put(c, out, SPAN("routes"), c->routes);
	if (c->tcp_routes && c->tcp_routes->count)
		put(c, out, SPAN("tcpRoutes"), c->tcp_routes);
	yaml_each(member, c->root) {
		bool is_placed = yaml_is_null(member);

		for (size_t i = 0; i < ARRAY_LEN(placed); i++)
			is_placed |= span_eq(member->key, span_str(placed[i]));
		if (span_eq(member->key, SPAN("mcp")) && mcp)
			put(c, out, member->key, mcp);
		else if (span_eq(member->key, SPAN("policies")) && policies)
			put(c, out, member->key, convert_policies(c, policies));
		else if (!is_placed)
			put(c, out, member->key, member);
	}
	return out;
}

const struct yaml_node *standalone_convert(struct decoder *d, const struct yaml_node *root)
{
	struct convert c = { .d = d, .root = root };
	const struct yaml_node *binds = decode_get(root, "binds"), *mcp = decode_get(root, "mcp");
	struct yaml_node *out;

	start(&c);
	if (binds)
		yaml_each(bind, binds)
			convert_bind(&c, bind);
	append(&c, c.routes, decode_get(root, "routes"));
	append(&c, c.tcp_routes, decode_get(root, "tcpRoutes"));
	if (mcp)
		mcp = convert_mcp(&c, mcp);
	out = finish(&c, mcp);
	name_map_done(&c.names);
	name_map_done(&c.moved);
	return d->failed ? NULL : out;
}
