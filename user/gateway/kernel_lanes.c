/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/kernel_lanes.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "user/base/failpoint.h"
#include "user/base/log.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/local/resume.h"
#include "user/kernel/local/local_selftest.h"
#include "user/kernel/sockmap/resume.h"
#include "user/kernel/sockmap/pins.h"
#include "user/kernel/sockmap/selftest.h"

void kernel_lanes_init(struct kernel_lanes *lanes)
{
	*lanes = (struct kernel_lanes){ 0 };
	text_init(&lanes->sockmap_start.why);
	text_init(&lanes->local_start.why);
}

void kernel_lanes_done(struct kernel_lanes *lanes)
{
	sockmap_free(lanes->sockmap);
	local_free(lanes->local);
	text_done(&lanes->sockmap_start.why);
	text_done(&lanes->local_start.why);
}

/* 0 if the process continues without the lane. */
static int lane_missing(const struct lane_start *start, const struct splice_config *config, const char *name,
			const char *instead, int reason, struct text *error)
{
	struct span why = probe_reasons(&start->why);

	if (config->mode != SPLICE_REQUIRE) {
		log_warn("no %s%s: %.*s", name, instead, SPAN_FMT(why));
		return 0;
	}
	text_fmt(error, "config.splice.mode is require, but the %s cannot be used: %.*s", name,
		 SPAN_FMT(why));
	return reason;
}

/* ------------------------------------------------------------------------------------ sockmap */

static void objects_forget(struct restart_objects *objects)
{
	for (uint32_t i = 0; i < objects->count; i++)
		object_close(&objects->list[i]);
	objects->count = 0;
}

/*
 * Ends a takeover: true if it succeeded. Otherwise closes the descriptors of the crashed process. They stay
 * recorded unless it fails: if this process crashes, the next one finds them.
 */
static bool objects_are_taken(struct restart_objects *objects, const char *name, int error, struct text *why)
{
	if (error) {
		log_warn("cannot reuse the %s of the crashed process: %.*s", name, SPAN_FMT(text_span(why)));
		objects_forget(objects);
	}
	text_done(why);
	return !error;
}

/* Takes over the lane with the sockets in its maps. On failure those are lost. */
static bool sockmap_take_over(struct kernel_lanes *lanes, const struct sockmap_options *options,
			      struct restart_objects *objects)
{
	struct text why;
	int error;

	if (!objects->count)
		return false;
	text_init(&why);
	error = sockmap_inherit(objects->list, objects->count, options, &lanes->sockmap, &why);
	failpoint(LANE_INHERITED);
	lanes->is_inherited = objects_are_taken(objects, "kernel lane", error, &why);
	return lanes->is_inherited;
}

static int sockmap_obtain(struct kernel_lanes *lanes, const struct splice_config *config,
			  uint32_t worker_count, struct restart_state *restart_state)
{
	struct sockmap_options options = {
		.worker_count = worker_count,
		.max_credit_bytes = config->max_total_credit_bytes,
	};
	struct text *why = &lanes->sockmap_start.why;
	char dir[PATH_MAX];
	uint32_t freed;
	int error = 0;

	if (!config->pin_dir.len) {
		static_assert((int)SOCKMAP_DESCRIPTORS_MAX <= (int)RESTART_OBJECTS, "they have room");
		if (!restart_state || !sockmap_take_over(lanes, &options, &restart_state->sockmap_objects))
			error = probe_privileges(why);
		if (!error && !lanes->sockmap)
			error = sockmap_load(&options, &lanes->sockmap, why);
		if (!error && restart_state)
			restart_state->sockmap_objects.count =
				sockmap_descriptors(lanes->sockmap, restart_state->sockmap_objects.list);
		return error;
	}
	if (config->pin_dir.len >= sizeof(dir)) {
		text_str(why, "config.splice.pinDir is too long");
		return -ENAMETOOLONG;
	}
	snprintf(dir, sizeof(dir), "%.*s", SPAN_FMT(config->pin_dir));
	error = sockmap_open_pins(dir, &options, &lanes->sockmap, why);
	if (error)
		return error;
	freed = sockmap_reclaim(lanes->sockmap, SLOTS_ORPHAN_NS);
	if (freed > 0)
		log_info("%s: freed %u slots of a gateway that ended", dir, freed);
	return 0;
}

static int sockmap_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
			struct restart_state *restart_state, struct text *error)
{
	struct lane_start *start = &lanes->sockmap_start;
	int result;

	if (restart_state && (config->mode == SPLICE_OFF || !config->lane_sockmap || config->pin_dir.len))
		objects_forget(&restart_state->sockmap_objects);
	if (config->mode == SPLICE_OFF || !config->lane_sockmap)
		return 0;
	result = probe_kernel(&start->why);
	if (!result)
		result = sockmap_obtain(lanes, config, worker_count, restart_state);
	/* A lane that is taken over was tested when it was loaded, and may be full. */
	if (!result && !lanes->is_inherited) {
		result = sockmap_selftest(lanes->sockmap, &start->why, &start->selftest_ns);
		start->selftest_failed = result != 0;
	}
	if (!result) {
		if (lanes->is_inherited)
			log_info("kernel lane: %u slots, reused from the previous process",
				 lanes->sockmap->slots.count);
		else
			log_info("kernel lane: %u slots, %s, self-test passed in %.1f ms",
				 lanes->sockmap->slots.count,
				 lanes->sockmap->is_pinned ? "opened from pins" : "programs loaded",
				 (double)start->selftest_ns / 1e6);
		return 0;
	}
	if (lanes->sockmap && restart_state)
		restart_state->sockmap_objects.count = 0;
	sockmap_free(lanes->sockmap);
	lanes->sockmap = NULL;
	return lane_missing(start, config, "kernel lane", ", bytes are copied", result, error);
}

/* ------------------------------------------------------------------------------------ direct and bypass */

/* An operator may force a kernel with a known fault, but not one that lacks a feature. */
static int local_probe(const struct splice_config *config, struct text *why)
{
	int error = probe_local_kernel(config->force, why);
	struct text ignored;

	if (!error || config->force)
		return error;
	text_init(&ignored);
	if (probe_local_kernel(true, &ignored) == 0)
		text_str(why, "config.splice.force: true uses it anyway");
	text_done(&ignored);
	return error;
}

/* Takes over the lanes with their sockets and the bytes in their queues. */
static bool local_take_over(struct kernel_lanes *lanes, const struct local_options *options,
			    struct restart_objects *objects)
{
	struct text why;
	int error;

	if (!objects->count)
		return false;
	text_init(&why);
	error = local_inherit(objects->list, objects->count, options, &lanes->local, &why);
	failpoint(LOCAL_INHERITED);
	lanes->is_local_inherited = objects_are_taken(objects, "same-host lanes", error, &why);
	return lanes->is_local_inherited;
}

static void local_leave(const struct kernel_lanes *lanes, struct restart_state *restart_state)
{
	static_assert((int)LOCAL_DESCRIPTORS_MAX <= (int)RESTART_OBJECTS, "they have room");
	if (restart_state)
		restart_state->local_objects.count =
			local_descriptors(lanes->local, restart_state->local_objects.list);
}

static int local_obtain(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
			struct restart_state *restart_state)
{
	struct lane_start *start = &lanes->local_start;
	struct local_options options = { .worker_count = worker_count };
	int error = local_probe(config, &start->why);

	if (!error)
		error = probe_privileges(&start->why);
	/* Lanes that are taken over were tested when they were loaded. */
	if (!error && restart_state && local_take_over(lanes, &options, &restart_state->local_objects))
		return 0;
	if (!error)
		error = local_load(&options, &lanes->local, &start->why);
	if (error)
		return error;
	error = local_selftest(lanes->local, &start->why, &start->selftest_ns);
	start->selftest_failed = error != 0;
	if (!error)
		local_leave(lanes, restart_state);
	return error;
}

static const char *local_names(const struct splice_config *config)
{
	static const char *const names[] = { "", "lane direct", "lane bypass", "lanes direct and bypass" };

	return names[config->lane_direct | config->lane_bypass << 1];
}

static int local_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		      struct restart_state *restart_state, struct text *error)
{
	struct lane_start *start = &lanes->local_start;
	int result;

	if (!splice_bypasses(config)) {
		if (restart_state)
			objects_forget(&restart_state->local_objects);
		return 0;
	}
	result = local_obtain(lanes, config, worker_count, restart_state);
	if (!result && lanes->is_local_inherited) {
		log_info("%s: reused from the previous process", local_names(config));
		return 0;
	}
	if (!result) {
		log_info("%s: programs loaded, self-test passed in %.1f ms%s%.*s", local_names(config),
			 (double)start->selftest_ns / 1e6, start->why.len ? "; " : "",
			 SPAN_FMT(probe_reasons(&start->why)));
		return 0;
	}
	if (restart_state)
		objects_forget(&restart_state->local_objects);
	local_free(lanes->local);
	lanes->local = NULL;
	return lane_missing(start, config, local_names(config), "", result, error);
}

int kernel_lanes_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		      struct restart_state *restart_state, struct text *error)
{
	int result = sockmap_open(lanes, config, worker_count, restart_state, error);

	return result ? result : local_open(lanes, config, worker_count, restart_state, error);
}
