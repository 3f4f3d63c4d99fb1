/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway_near.h"

#include <errno.h>
#include <string.h>

#include "admin/prometheus.h"
#include "user/base/log.h"
#include "user/gate/near_selftest.h"
#include "user/gate/probe.h"

/* ------------------------------------------------------------------------------------ start */

static int near_check(struct gateway *gateway)
{
	int error = near_selftest(gateway->near, &gateway->near_why, &gateway->near_selftest_ns);

	gateway->near_selftest_failed = error != 0;
	return error;
}

/* A kernel with a known fault is an operator's choice; one that lacks something is not. */
static int near_probe(const struct splice_config *config, bool *ret_has_direct, struct text *why)
{
	int error = probe_near_kernel(config->force, ret_has_direct, why);
	struct text ignored;

	if (!error || config->force)
		return error;
	text_init(&ignored);
	if (probe_near_kernel(true, ret_has_direct, &ignored) == 0)
		text_str(why, "config.splice.force: true uses it all the same");
	text_done(&ignored);
	return error;
}

static int near_obtain(struct gateway *gateway, const struct splice_config *config)
{
	struct text *why = &gateway->near_why;
	bool has_direct = false;
	int error = near_probe(config, &has_direct, why);

	if (!error)
		error = probe_privileges(why);
	if (!error)
		error = near_load(&(struct near_options){ 0 }, &gateway->near, why);
	if (error)
		return error;
	if (!has_direct || !config->lane_direct)
		near_disable_direct(gateway->near);
	if (!has_direct && config->lane_direct)
		text_str(why, "this kernel does not keep the two receive queues of lane direct apart; ");
	error = near_check(gateway);
	/* What was asked for is direct, or both of them. */
	if (!error && config->lane_direct && !near_has_direct(gateway->near) &&
	    (!config->lane_near || config->mode == SPLICE_REQUIRE))
		error = -EOPNOTSUPP;
	return error;
}

static const char *near_names(const struct splice_config *config)
{
	if (config->lane_near && config->lane_direct)
		return "lanes near and direct";
	return config->lane_near ? "lane near" : "lane direct";
}

int gateway_near_open(struct gateway *gateway, const struct splice_config *config, struct text *error)
{
	struct text *why = &gateway->near_why;
	int result;

	if (config->mode == SPLICE_OFF || (!config->lane_near && !config->lane_direct))
		return 0;
	result = near_obtain(gateway, config);
	if (!result) {
		log_info("%s: programs loaded, self-test passed in %.1f ms%s%.*s", near_names(config),
			 (double)gateway->near_selftest_ns / 1e6, why->len ? "; " : "",
			 SPAN_FMT(text_span(why)));
		return 0;
	}
	near_free(gateway->near);
	gateway->near = NULL;
	if (config->mode == SPLICE_REQUIRE) {
		text_fmt(error, "config.splice.mode is require, but the %s cannot be used: %.*s",
			 near_names(config), SPAN_FMT(text_span(why)));
		return result;
	}
	log_warn("no %s: %.*s", near_names(config), SPAN_FMT(text_span(why)));
	return 0;
}

/* ------------------------------------------------------------------------------------ ports */

static bool has_same_host(const struct backend_ref *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].is_same_host)
			return true;
	}
	return false;
}

/* Streams of this listener may ride the lanes. */
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

/* *ret_takes_clients: local clients of the port may be paired; which listener is theirs shows later. */
static bool bind_is_used(const struct bind *bind, bool *ret_takes_clients)
{
	bool is_used = false;

	*ret_takes_clients = false;
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		if (!listener_is_used(&bind->listener_list[i]))
			continue;
		is_used = true;
		*ret_takes_clients |= bind->listener_list[i].is_same_host;
	}
	return is_used;
}

static bool near_is_on(const struct snapshot *snapshot)
{
	const struct splice_config *splice = &snapshot->config.splice;

	return splice->mode != SPLICE_OFF && (splice->lane_near || splice->lane_direct);
}

static bool snapshot_uses(const struct snapshot *snapshot, const struct address *address)
{
	bool takes_clients;

	for (uint32_t i = 0; snapshot && near_is_on(snapshot) && i < snapshot->bind_count; i++) {
		if (address_eq(&snapshot->bind_list[i].address, address))
			return bind_is_used(&snapshot->bind_list[i], &takes_clients);
	}
	return false;
}

void gateway_near_follow(struct near *near, const struct snapshot *from, const struct snapshot *to)
{
	bool takes_clients;

	if (!near)
		return;
	for (uint32_t i = 0; from && near_is_on(from) && i < from->bind_count; i++) {
		const struct bind *bind = &from->bind_list[i];

		if (bind_is_used(bind, &takes_clients) && !snapshot_uses(to, &bind->address))
			(void)near_listener_remove(near, &bind->address.any);
	}
	for (uint32_t i = 0; to && near_is_on(to) && i < to->bind_count; i++) {
		const struct bind *bind = &to->bind_list[i];
		int error = bind_is_used(bind, &takes_clients)
				    ? near_listener_add(near, &bind->address.any, takes_clients)
				    : 0;

		if (error)
			log_warn("same-host lanes: not for connections to port %u: %s", bind->port,
				 strerrordesc_np(-error));
	}
}

/* ------------------------------------------------------------------------------------ numbers */

static void near_available(const struct gateway *gateway, struct text *out)
{
	static const struct prometheus_family family = {
		"headgate_", "near_available", PROMETHEUS_GAUGE,
		"1 when tunnels between processes of this host may ride the lane; else why says why not."
	};
	const bool is_available[] = { gateway->near != NULL,
				      gateway->near && near_has_direct(gateway->near) };
	static const char *const names[] = { "near", "direct" };

	prometheus_begin(out, &family);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct prometheus_label labels[] = {
			{ "lane", span_str(names[i]) },
			{ "why", is_available[i]	      ? (struct span){ 0 }
				 : gateway->near_why.len ? text_span(&gateway->near_why)
							 : SPAN("switched off by config.splice") },
		};

		prometheus_u64(out, &family, labels, ARRAY_LEN(labels), is_available[i]);
	}
}

static void near_falls(const struct gateway *gateway, struct text *out)
{
	static const struct prometheus_family family = {
		"headgate_", "near_falls_total", PROMETHEUS_COUNTER,
		"Times a direction left the lane near or direct for a slower one, by reason."
	};
	uint64_t counts[NEAR_REASON_COUNT];

	near_read_falls(gateway->near, counts);
	prometheus_begin(out, &family);
	for (uint32_t reason = NEAR_REASON_NONE + 1; reason < NEAR_REASON_COUNT; reason++) {
		struct prometheus_label label = { "reason",
						  span_str(near_reason_text((enum near_reason)reason)) };

		prometheus_u64(out, &family, &label, 1, counts[reason]);
	}
}

void gateway_near_metrics(const struct gateway *gateway, struct text *out)
{
	static const struct prometheus_family failed = {
		"headgate_", "near_selftest_failed", PROMETHEUS_GAUGE,
		"1 when the self-test of the lanes near and direct failed at start."
	};
	static const struct prometheus_family took = { "headgate_", "near_selftest_seconds", PROMETHEUS_GAUGE,
						       "How long that self-test took." };
	static const struct prometheus_family running = {
		"headgate_", "near_directions", PROMETHEUS_GAUGE,
		"Directions of tunnels in the lanes near and direct at this moment."
	};

	near_available(gateway, out);
	prometheus_begin(out, &failed);
	prometheus_u64(out, &failed, NULL, 0, gateway->near_selftest_failed);
	prometheus_begin(out, &took);
	prometheus_seconds(out, &took, NULL, 0, gateway->near_selftest_ns);
	if (!gateway->near)
		return;
	near_falls(gateway, out);
	prometheus_begin(out, &running);
	prometheus_u64(out, &running, NULL, 0, near_count_directions(gateway->near));
}
