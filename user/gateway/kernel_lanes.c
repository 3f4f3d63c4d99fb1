/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/kernel_lanes.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "user/base/failpoint.h"
#include "user/base/log.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/near/near_adopt.h"
#include "user/kernel/near/near_selftest.h"
#include "user/kernel/sockmap/adopt.h"
#include "user/kernel/sockmap/pins.h"
#include "user/kernel/sockmap/selftest.h"

void kernel_lanes_init(struct kernel_lanes *lanes)
{
	*lanes = (struct kernel_lanes){ 0 };
	text_init(&lanes->gate_start.why);
	text_init(&lanes->near_start.why);
}

void kernel_lanes_done(struct kernel_lanes *lanes)
{
	gate_free(lanes->gate);
	near_free(lanes->near);
	text_done(&lanes->gate_start.why);
	text_done(&lanes->near_start.why);
}

/* 0 where the process goes on without it. */
static int lane_missing(const struct lane_start *start, const struct splice_config *config, const char *name,
			const char *instead, int reason, struct text *error)
{
	struct span why = text_span(&start->why);

	if (config->mode != SPLICE_REQUIRE) {
		log_warn("no %s%s: %.*s", name, instead, SPAN_FMT(why));
		return 0;
	}
	text_fmt(error, "config.splice.mode is require, but the %s cannot be used: %.*s", name,
		 SPAN_FMT(why));
	return reason;
}

/* ------------------------------------------------------------------------------------ sockmap */

static void objects_forget(struct estate_objects *objects)
{
	for (uint32_t i = 0; i < objects->count; i++)
		object_close(&objects->list[i]);
	objects->count = 0;
}

/* What is left cannot be used. */
static void objects_refuse(struct estate_objects *objects, const char *name, const struct text *why)
{
	log_warn("what a dead gateway has left of the %s cannot be used: %.*s", name,
		 SPAN_FMT(text_span(why)));
	objects_forget(objects);
}

/* With the sockets that are in its maps. A failure costs those. */
static bool gate_take_over(struct kernel_lanes *lanes, const struct gate_options *options,
			   struct estate_objects *objects)
{
	struct text why;
	int error;

	if (!objects->count)
		return false;
	text_init(&why);
	/* Until it fails they stay noted: should this one die, the next one finds them. */
	error = gate_inherit(objects->list, objects->count, options, &lanes->gate, &why);
	failpoint(LANE_INHERITED);
	if (error)
		objects_refuse(objects, "kernel lane", &why);
	text_done(&why);
	lanes->is_inherited = !error;
	return !error;
}

static int gate_obtain(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		       struct estate *estate)
{
	struct gate_options options = {
		.worker_count = worker_count,
		.max_credit_bytes = config->max_total_credit_bytes,
	};
	struct text *why = &lanes->gate_start.why;
	char dir[PATH_MAX];
	uint32_t freed;
	int error = 0;

	if (!config->pin_dir.len) {
		static_assert((int)GATE_DESCRIPTORS_MAX <= (int)ESTATE_OBJECTS, "they have room");
		if (!estate || !gate_take_over(lanes, &options, &estate->gate_objects))
			error = probe_privileges(why);
		if (!error && !lanes->gate)
			error = gate_load(&options, &lanes->gate, why);
		if (!error && estate)
			estate->gate_objects.count = gate_descriptors(lanes->gate, estate->gate_objects.list);
		return error;
	}
	if (config->pin_dir.len >= sizeof(dir)) {
		text_str(why, "config.splice.pinDir is too long");
		return -ENAMETOOLONG;
	}
	snprintf(dir, sizeof(dir), "%.*s", SPAN_FMT(config->pin_dir));
	error = gate_open_pins(dir, &options, &lanes->gate, why);
	if (error)
		return error;
	freed = gate_reclaim(lanes->gate, SLOTS_ORPHAN_NS);
	if (freed > 0)
		log_info("%s: freed %u slots of a gateway that ended", dir, freed);
	return 0;
}

static int gate_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		     struct estate *estate, struct text *error)
{
	struct lane_start *start = &lanes->gate_start;
	int result;

	if (estate && (config->mode == SPLICE_OFF || !config->lane_sockmap || config->pin_dir.len))
		objects_forget(&estate->gate_objects);
	if (config->mode == SPLICE_OFF || !config->lane_sockmap)
		return 0;
	result = probe_kernel(&start->why);
	if (!result)
		result = gate_obtain(lanes, config, worker_count, estate);
	/* What is taken over was tested when it was loaded, and may be full. */
	if (!result && !lanes->is_inherited) {
		result = gate_selftest(lanes->gate, &start->why, &start->selftest_ns);
		start->selftest_failed = result != 0;
	}
	if (!result) {
		if (lanes->is_inherited)
			log_info("kernel lane: %u slots, those of the gateway before",
				 lanes->gate->slots.count);
		else
			log_info("kernel lane: %u slots, %s, self-test passed in %.1f ms",
				 lanes->gate->slots.count,
				 lanes->gate->is_pinned ? "opened from pins" : "programs loaded",
				 (double)start->selftest_ns / 1e6);
		return 0;
	}
	if (lanes->gate && estate)
		estate->gate_objects.count = 0;
	gate_free(lanes->gate);
	lanes->gate = NULL;
	return lane_missing(start, config, "kernel lane", ", bytes are copied", result, error);
}

/* ------------------------------------------------------------------------------------ direct and hop */

/* A kernel with a known fault is an operator's choice; one that lacks something is not. */
static int near_probe(const struct splice_config *config, struct text *why)
{
	int error = probe_near_kernel(config->force, why);
	struct text ignored;

	if (!error || config->force)
		return error;
	text_init(&ignored);
	if (probe_near_kernel(true, &ignored) == 0)
		text_str(why, "config.splice.force: true uses it all the same");
	text_done(&ignored);
	return error;
}

/* With the sockets and the bytes that are in them. */
static bool near_take_over(struct kernel_lanes *lanes, const struct near_options *options,
			   struct estate_objects *objects)
{
	struct text why;
	int error;

	if (!objects->count)
		return false;
	text_init(&why);
	error = near_inherit(objects->list, objects->count, options, &lanes->near, &why);
	failpoint(NEAR_INHERITED);
	if (error)
		objects_refuse(objects, "same-host lanes", &why);
	text_done(&why);
	lanes->is_near_inherited = !error;
	return !error;
}

static void near_leave(const struct kernel_lanes *lanes, struct estate *estate)
{
	static_assert((int)NEAR_DESCRIPTORS_MAX <= (int)ESTATE_OBJECTS, "they have room");
	if (estate)
		estate->near_objects.count = near_descriptors(lanes->near, estate->near_objects.list);
}

static int near_obtain(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		       struct estate *estate)
{
	struct lane_start *start = &lanes->near_start;
	struct near_options options = { .worker_count = worker_count };
	int error = near_probe(config, &start->why);

	if (!error)
		error = probe_privileges(&start->why);
	/* What is taken over was tested when it was loaded. */
	if (!error && estate && near_take_over(lanes, &options, &estate->near_objects))
		return 0;
	if (!error)
		error = near_load(&options, &lanes->near, &start->why);
	if (error)
		return error;
	error = near_selftest(lanes->near, &start->why, &start->selftest_ns);
	start->selftest_failed = error != 0;
	if (!error)
		near_leave(lanes, estate);
	return error;
}

static const char *near_names(const struct splice_config *config)
{
	static const char *const names[] = { "", "lane direct", "lane hop", "lanes direct and hop" };

	return names[config->lane_direct | config->lane_hop << 1];
}

static int near_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		     struct estate *estate, struct text *error)
{
	struct lane_start *start = &lanes->near_start;
	int result;

	if (!splice_has_same_host(config)) {
		if (estate)
			objects_forget(&estate->near_objects);
		return 0;
	}
	result = near_obtain(lanes, config, worker_count, estate);
	if (!result && lanes->is_near_inherited) {
		log_info("%s: those of the gateway before", near_names(config));
		return 0;
	}
	if (!result) {
		log_info("%s: programs loaded, self-test passed in %.1f ms%s%.*s", near_names(config),
			 (double)start->selftest_ns / 1e6, start->why.len ? "; " : "",
			 SPAN_FMT(text_span(&start->why)));
		return 0;
	}
	if (estate)
		objects_forget(&estate->near_objects);
	near_free(lanes->near);
	lanes->near = NULL;
	return lane_missing(start, config, near_names(config), "", result, error);
}

int kernel_lanes_open(struct kernel_lanes *lanes, const struct splice_config *config, uint32_t worker_count,
		      struct estate *estate, struct text *error)
{
	int result = gate_open(lanes, config, worker_count, estate, error);

	return result ? result : near_open(lanes, config, worker_count, estate, error);
}
