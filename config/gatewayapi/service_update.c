/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/service_update.h"

#include <errno.h>

#include "config/snapshot.h"

/* The first of the backends with that name, which is sorted by name; count: there is none. */
static uint32_t first_named(const struct snapshot *snapshot, struct span name)
{
	uint32_t low = 0, high = snapshot->backend_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (span_compare(snapshot->backend_list[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_named(const struct snapshot *snapshot, uint32_t index, struct span name)
{
	return index < snapshot->backend_count && span_eq(snapshot->backend_list[index].name, name);
}

bool service_is_used(const struct snapshot *snapshot, struct span key)
{
	struct span rest = key, namespace = { 0 };
	struct text name;
	bool is_used;

	span_split(&rest, '/', &namespace);
	text_init(&name);
	text_fmt(&name, "%.*s/%.*s.%.*s.svc.cluster.local", SPAN_FMT(namespace), SPAN_FMT(rest),
		 SPAN_FMT(namespace));
	/* Without memory nothing is left out. */
	is_used =
		name.failed || is_named(snapshot, first_named(snapshot, text_span(&name)), text_span(&name));
	text_done(&name);
	return is_used;
}

static bool is_same_endpoints(const struct backend *a, const struct backend *b)
{
	if (a->endpoint_count != b->endpoint_count)
		return false;
	for (uint32_t i = 0; i < a->endpoint_count; i++)
		if (!span_eq(a->endpoint_list[i].text, b->endpoint_list[i].text))
			return false;
	return true;
}

/* Priorities, zones, tables and sessions need more than a list: policy/compile/endpoint_order.h. */
static bool needs_order(const struct snapshot *copy, const struct backend *old, const struct backend *new)
{
	bool has_zone = old->zone_groups.group_count || old->prefers_zone || new->prefers_zone;

	for (uint32_t i = 0; i < new->endpoint_count && !has_zone; i++)
		has_zone = new->endpoint_list[i].zone.len > 0;
	return old->groups.group_count || old->is_hashed || old->has_sessions || old->slow_start_ms ||
	       (has_zone && copy->config.zone.len);
}

/* 0, -EAGAIN or -ENOMEM, as services_update(). */
static int update_backend(struct decoder *d, const struct service *service, struct snapshot *copy,
			  uint32_t index)
{
	const struct backend *old = &copy->backend_list[index];
	struct backend new = { 0 };

	if (old->kind != BACKEND_SERVICE || !old->service_port || old->has_endpoint_fault ||
	    !service_endpoints(d, service, old->service_port, &new))
		return -EAGAIN;
	if (d->failed)
		return -ENOMEM;
	if (!new.endpoint_count && old->resolves_if_empty)
		return -EAGAIN;
	if (needs_order(copy, old, &new))
		return -EAGAIN;
	if (is_same_endpoints(old, &new))
		return 0;
	return snapshot_set_endpoints(copy, index, new.endpoint_list, new.endpoint_count);
}

static int update_service(struct decoder *d, const struct service *service, struct snapshot *copy)
{
	struct span name = service_backend_name(d, service);
	int result = name.data ? 0 : -ENOMEM;

	for (uint32_t i = first_named(copy, name); !result && is_named(copy, i, name); i++)
		result = update_backend(d, service, copy, i);
	return result;
}

int services_update(struct manifests *m, struct snapshot *copy)
{
	int result = 0;

	services_decode(m);
	for (uint32_t i = 0; i < m->services.entries.count && !result; i++) {
		const struct name_entry *entry = m->services.entries.list[i];

		result = update_service(m->decoder, entry->value, copy);
	}
	/* What there is to report belongs to the whole. */
	return !result && config_report_total(m->decoder->report) ? -EAGAIN : result;
}
