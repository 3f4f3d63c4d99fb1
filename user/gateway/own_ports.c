/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/own_ports.h"

#include <errno.h>

#include "admin/http/server.h"

static const char *const keys[ADMIN_PORT_COUNT] = { "adminAddr", "statsAddr", "readinessAddr" };

/* The socket of "::" also takes IPv4. */
static bool includes(const struct address *wide, const struct address *address)
{
	return address_is_any(wide) && (wide->any.sa_family == AF_INET6 || address->any.sa_family == AF_INET);
}

/* Port 0 is any free one. */
static bool excludes(const struct address *one, const struct address *other)
{
	if (address_is_unix(one) || address_is_unix(other))
		return address_eq(one, other);
	return address_port(one) && address_port(one) == address_port(other) &&
	       (address_eq(one, other) || includes(one, other) || includes(other, one));
}

/* The first of the servers from `first` on; ADMIN_PORT_COUNT: none. */
static unsigned server_on(const struct admin_addresses *own, unsigned first, const struct address *address)
{
	struct address list[ADMIN_ADDRESSES_PER_PORT];
	size_t count;

	for (unsigned port = first; port < ADMIN_PORT_COUNT; port++) {
		if (admin_address_parse(own->text[port], list, &count) < 0)
			continue; /* said when it starts */
		for (size_t i = 0; i < count; i++)
			if (excludes(&list[i], address))
				return port;
	}
	return ADMIN_PORT_COUNT;
}

const char *own_ports_key(const struct static_config *config, const struct address *address)
{
	struct admin_addresses own;
	unsigned port;

	admin_addresses_of(config, &own);
	port = server_on(&own, 0, address);
	return port < ADMIN_PORT_COUNT ? keys[port] : NULL;
}

static int check_servers(const struct admin_addresses *own, struct config_report *report)
{
	struct address list[ADMIN_ADDRESSES_PER_PORT];
	unsigned other;
	int result = 0;
	size_t count;

	for (unsigned port = 0; port < ADMIN_PORT_COUNT; port++) {
		if (admin_address_parse(own->text[port], list, &count) < 0)
			continue;
		other = ADMIN_PORT_COUNT;
		for (size_t i = 0; i < count && other == ADMIN_PORT_COUNT; i++)
			other = server_on(own, port + 1, &list[i]);
		if (other == ADMIN_PORT_COUNT)
			continue;
		config_error(report, NULL,
			     "config: %s \"%.*s\" and %s \"%.*s\" are the same port; give each its own",
			     keys[port], SPAN_FMT(own->text[port]), keys[other], SPAN_FMT(own->text[other]));
		result = -EINVAL;
	}
	return result;
}

int own_ports_check(const struct snapshot *snapshot, bool with_listeners, struct config_report *report)
{
	struct admin_addresses own;
	int result;

	admin_addresses_of(&snapshot->config, &own);
	result = check_servers(&own, report);
	for (uint32_t i = 0; with_listeners && i < snapshot->bind_count; i++) {
		const struct bind *bind = &snapshot->bind_list[i];
		unsigned port = server_on(&own, 0, &bind->address);

		if (port == ADMIN_PORT_COUNT)
			continue;
		config_message_at(
			report, CONFIG_ERROR,
			bind->listener_count ? bind->listener_list[0].where : (struct span){ 0 },
			"port %u is that of config.%s, \"%.*s\", where the gateway itself listens; give one "
			"of them another port",
			bind->port, keys[port], SPAN_FMT(own.text[port]));
		result = -EINVAL;
	}
	return result;
}
