/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/local_ports.h"

#include <string.h>

#include "user/base/log.h"

static bool has_same_host(const struct backend_ref *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].is_same_host)
			return true;
	}
	return false;
}

/* True if tunnels of the listener may use the lane direct, provided its clients are enabled, too. */
static bool listener_is_used(const struct listener *listener)
{
	for (uint32_t i = 0; i < listener->route_count; i++) {
		if (has_same_host(listener->route_list[i].backend_list,
				  listener->route_list[i].backend_count))
			return true;
	}
	for (uint32_t i = 0; i < listener->tcp_route_count; i++) {
		if (has_same_host(listener->tcp_route_list[i].backend_list,
				  listener->tcp_route_list[i].backend_count))
			return true;
	}
	return false;
}

/*
 * True if the connections of local clients at this port may bypass TCP. Nothing else may take their sockets:
 * bytes through TCP would stall some programs there (bypass_refuses() in local.bpf.c).
 */
static bool bind_is_used(const struct bind *bind, const struct splice_config *splice)
{
	if (!bind->is_same_host || splice->lane_bypass)
		return bind->is_same_host;
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		if (listener_is_used(&bind->listener_list[i]))
			return true;
	}
	return false;
}

static bool local_is_on(const struct snapshot *snapshot)
{
	return splice_bypasses(&snapshot->config.splice);
}

/*
 * The kernel programs look for the address of a connection, and then for a wildcard: so the listeners of all
 * addresses of a port must allow it before its wildcard does.
 */
static bool is_used(const struct snapshot *snapshot, const struct bind *bind)
{
	const struct splice_config *splice = &snapshot->config.splice;
	bool all = bind_is_used(bind, splice);

	for (uint32_t i = 0; all && address_is_any(&bind->address) && i < snapshot->bind_count; i++)
		all = snapshot->bind_list[i].port != bind->port ||
		      bind_is_used(&snapshot->bind_list[i], splice);
	return all;
}

static bool snapshot_uses(const struct snapshot *snapshot, const struct address *address)
{
	for (uint32_t i = 0; snapshot && local_is_on(snapshot) && i < snapshot->bind_count; i++) {
		if (address_eq(&snapshot->bind_list[i].address, address))
			return is_used(snapshot, &snapshot->bind_list[i]);
	}
	return false;
}

void local_ports_follow(struct local *local, const struct snapshot *from, const struct snapshot *to)
{
	if (!local)
		return;
	for (uint32_t i = 0; from && local_is_on(from) && i < from->bind_count; i++) {
		const struct bind *bind = &from->bind_list[i];

		if (is_used(from, bind) && !snapshot_uses(to, &bind->address))
			(void)local_listener_remove(local, &bind->address.any);
	}
	for (uint32_t i = 0; to && local_is_on(to) && i < to->bind_count; i++) {
		const struct bind *bind = &to->bind_list[i];
		int error = is_used(to, bind) ? local_listener_add(local, &bind->address.any) : 0;

		if (error)
			log_warn("same-host lanes: not available for %.*s: %s", SPAN_FMT(bind->address_text),
				 strerrordesc_np(-error));
	}
}
