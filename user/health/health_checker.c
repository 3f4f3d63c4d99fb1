/* SPDX-License-Identifier: Apache-2.0 */
#include "user/health/health_checker.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "policy/health_group.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/random.h"
#include "user/base/units.h"
#include "user/net/descriptors.h"

enum {
	SCAN_MS = 200,
	BATCH_MS =
		8, /* checks that are due within it begin together: thousands a second need fewer wake-ups */
	BUSY_MS = 20, /* until a check that must wait for others is tried again */
	LATE_MS = 100, /* after the timeout of a check: this thread was busy, not the endpoint */
	CONNECT_TIMEOUT_MS = 1000, /* of a check without settings */
	LOG_MS = 100, /* between two lines about changes of one kind */
	DESCRIPTORS_SHARE = 8, /* connections are kept if they need at most this part of the descriptors */
};

static void target_begin(struct health_target *target);

static uint64_t checker_now_ms(const struct health_checker *checker)
{
	return loop_now_ms(checker->outbound->loop);
}

static struct timer_wheel *checker_timers(const struct health_checker *checker)
{
	return loop_timers(checker->outbound->loop);
}

static const struct backend_ref *ref_of(const struct health_target *target)
{
	return target->backend->health_group->ref;
}

/* NULL: it is checked only to return, or cannot be checked at all. */
static const struct health_check *check_of(const struct health_target *target)
{
	if (!target->policy->has_active || !health_probe_can(ref_of(target)))
		return NULL;
	return &target->policy->active;
}

/* ------------------------------------------------------------------------------------ changes */

static void note_change(struct health_target *target, enum health_event event, const char *why)
{
	struct health_checker *checker = target->checker;

	health_history_add(&checker->history, clock_wall_us(), event, target->backend->name,
			   target->endpoint->text, why);
}

static void log_change(const struct health_target *target, struct log_rate *rate, enum log_level level,
		       const char *what, const char *why)
{
	uint64_t suppressed;

	if (!log_rate_pass(rate, checker_now_ms(target->checker), LOG_MS, &suppressed))
		return;
	log_line(level, "endpoint %.*s of backend %.*s %s%s%s (%llu more changes since the last such line)",
		 SPAN_FMT(target->endpoint->text), SPAN_FMT(target->backend->name), what, why[0] ? ": " : "",
		 why, (unsigned long long)suppressed);
}

static void target_changed(struct health_target *target, enum check_change change, const char *why)
{
	switch (change) {
	case CHECK_CHANGES_NOTHING:
		return;
	case CHECK_MAKES_UNHEALTHY:
		note_change(target, HEALTH_EVENT_UNHEALTHY, why);
		log_change(target, &target->checker->log_unhealthy, LOG_WARN, "is unhealthy by its checks",
			   why);
		return;
	case CHECK_MAKES_HEALTHY:
		note_change(target, HEALTH_EVENT_HEALTHY, "");
		log_change(target, &target->checker->log_healthy, LOG_INFO, "is healthy again by its checks",
			   "");
		return;
	case CHECK_ENDS_EJECTION:
		note_change(target, HEALTH_EVENT_RETURNED, "");
		log_change(target, &target->checker->log_healthy, LOG_INFO,
			   "is used again, a check after its ejection passed", "");
		return;
	}
}

/* ------------------------------------------------------------------------------------ checks */

static void target_arm(struct health_target *target, uint64_t at_ms)
{
	timer_arm(checker_timers(target->checker), &target->timer,
		  (at_ms + BATCH_MS - 1) / BATCH_MS * BATCH_MS);
}

static void target_arm_next(struct health_target *target)
{
	struct health_checker *checker = target->checker;
	const struct health_check *check = check_of(target);
	uint64_t now_ms = checker_now_ms(checker), next_ms;

	if (!check) {
		target->retry_ms = now_ms + (target->policy->has_passive
						     ? target->policy->passive.interval_ns / NS_PER_MS
						     : CONNECT_TIMEOUT_MS);
		return;
	}
	next_ms = target->started_ms +
		  health_check_next_ms(target->health, check, random_next(&checker->random));
	target->retry_ms = next_ms;
	if (!checker->is_stopped)
		target_arm(target, next_ms > now_ms ? next_ms : now_ms);
}

/*
 * A check whose result came late because this thread was busy, with a reload for example, says nothing about
 * the endpoint; but only one of two in a row is excused.
 */
static bool target_excuses(struct health_target *target, enum check_result result, uint64_t now_ms)
{
	const struct health_check *check = check_of(target);
	uint64_t timeout_ms = check ? check->timeout_ns / NS_PER_MS : CONNECT_TIMEOUT_MS;
	bool is_late = result == CHECK_FAILED && now_ms > target->started_ms + timeout_ms + LATE_MS;

	target->was_late = is_late && !target->was_late;
	return target->was_late;
}

static void target_on_done(void *owner, enum check_result result, const char *why)
{
	struct health_target *target = owner;
	struct health_checker *checker = target->checker;
	uint64_t now_ms = checker_now_ms(checker);

	target->probe = NULL;
	checker->probe_count--;
	if (result == CHECK_NOT_MADE) {
		target_arm_next(target);
		return;
	}
	if (target_excuses(target, result, now_ms)) {
		target_begin(target);
		return;
	}
	checker->passed_total += result == CHECK_PASSED;
	checker->failed_total += result != CHECK_PASSED;
	if (result != CHECK_PASSED)
		snprintf(target->fault, sizeof(target->fault), "%s", why);
	target_changed(target, health_check_record(target->health, check_of(target), result, now_ms), why);
	target_arm_next(target);
}

/* Endpoints that cannot be checked are not kept out by that. */
static void target_pass_unchecked(struct health_target *target)
{
	uint64_t now_ms = checker_now_ms(target->checker);

	target_changed(target, health_check_record(target->health, NULL, CHECK_PASSED, now_ms), "");
}

static void target_begin(struct health_target *target)
{
	struct health_checker *checker = target->checker;
	const struct health_check *check = check_of(target);
	const struct backend_ref *ref = ref_of(target);
	const struct health_probe_options options = {
		.snapshot = checker->snapshot,
		.endpoint = target->endpoint,
		.ref = ref,
		.check = check,
		.timeout_ms = check ? check->timeout_ns / NS_PER_MS : CONNECT_TIMEOUT_MS,
		.keeps_connection = checker->kept_most > 0,
		.on_done = target_on_done,
		.owner = target,
	};

	if (!health_probe_can(ref)) {
		target_pass_unchecked(target);
		return;
	}
	target->started_ms = checker_now_ms(checker);
	if (checker->probe_count < LIMIT_HEALTH_CHECKS)
		target->probe = health_probe_start(checker->outbound, &options);
	if (target->probe)
		checker->probe_count++;
	else if (check && !checker->is_stopped)
		target_arm(target, target->started_ms + BUSY_MS);
	else
		target->retry_ms = target->started_ms + BUSY_MS;
}

static void target_on_timer(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	target_begin(container_of(timer, struct health_target, timer));
}

/* ------------------------------------------------------------------------------------ ejections */

static void target_look(struct health_target *target, uint64_t now_ms)
{
	struct endpoint_health *health = target->health;
	uint64_t until_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
	char why[64];

	if (!(atomic_load_explicit(&health->out, memory_order_relaxed) & HEALTH_OUT_EJECTED))
		return;
	if (until_ms != target->ejected_until_ms) {
		target->ejected_until_ms = until_ms;
		snprintf(why, sizeof(why), "for at least %llu ms",
			 (unsigned long long)atomic_load(&health->eviction_ms));
		note_change(target, HEALTH_EVENT_EJECTED, why);
	}
	/* The next active check decides, unless there is none any more. */
	if (check_of(target) && !target->checker->is_stopped)
		return;
	if (!target->probe && now_ms >= target->retry_ms && health_check_is_due(health, now_ms))
		target_begin(target);
}

/* Workers eject, and tell nobody: it is rare, and nothing depends on noticing it within a scan. */
static void checker_on_scan(struct timer *timer, uint64_t now_ms)
{
	struct health_checker *checker = container_of(timer, struct health_checker, scan);

	list_each(node, next, &checker->targets)
		target_look(list_entry(node, struct health_target, node), now_ms);
	timer_arm(checker_timers(checker), timer, now_ms + SCAN_MS);
}

/* ------------------------------------------------------------------------------------ targets */

static void target_cancel(struct health_target *target)
{
	timer_cancel(checker_timers(target->checker), &target->timer);
	if (!target->probe)
		return;
	health_probe_cancel(target->probe);
	target->probe = NULL;
	target->checker->probe_count--;
}

static void target_free(struct health_target *target)
{
	list_remove(&target->node);
	target->health->target = NULL;
	hg_free(target);
}

static bool is_out(const struct endpoint_health *health)
{
	return atomic_load_explicit(&health->out, memory_order_relaxed) != 0;
}

static struct health_target *target_create(struct health_checker *checker, struct endpoint_health *health)
{
	struct health_target *target = hg_calloc(1, sizeof(*target));

	if (!target)
		return NULL;
	target->checker = checker;
	target->health = health;
	timer_init(&target->timer, target_on_timer);
	if (is_out(health) && !health->was_checked)
		snprintf(target->fault, sizeof(target->fault), "out in the program before the upgrade");
	list_add_tail(&checker->targets, &target->node);
	health->target = target;
	return target;
}

static bool wants_checks(const struct health_policy *policy, const struct endpoint_health *health)
{
	return policy->has_active || policy->has_passive || is_out(health);
}

static void checker_name(struct health_checker *checker, const struct backend *backend,
			 const struct endpoint *endpoint)
{
	const struct health_policy *policy = backend->health_group->ref->health;
	struct endpoint_health *health = endpoint->health;
	struct health_target *target = health->target;

	if (!wants_checks(policy, health) || (target && target->is_named))
		return;
	if (!target)
		target = target_create(checker, health);
	if (!target) {
		log_error("no memory to check endpoint %.*s: it counts as healthy", SPAN_FMT(endpoint->text));
		return;
	}
	target->is_named = true;
	target->backend = backend;
	target->endpoint = endpoint;
	target->policy = policy;
	checker->active_count += check_of(target) != NULL;
	checker->may_eject |= policy->has_passive || policy->has_eviction || is_out(health);
}

static void checker_name_all(struct health_checker *checker, const struct snapshot *snapshot)
{
	checker->active_count = 0;
	checker->may_eject = false;
	list_each(node, next, &checker->targets)
		list_entry(node, struct health_target, node)->is_named = false;
	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		for (uint32_t i = 0; backend->health_group && i < backend->endpoint_count; i++)
			if (backend->endpoint_list[i].health)
				checker_name(checker, backend, &backend->endpoint_list[i]);
	}
	list_each(node, next, &checker->targets) {
		struct health_target *target = list_entry(node, struct health_target, node);

		if (target->is_named)
			continue;
		target_cancel(target);
		target_free(target);
	}
}

/* A target keeps its place in the schedule across reloads, but a shorter interval counts at once. */
static void target_schedule(struct health_target *target)
{
	struct health_checker *checker = target->checker;
	const struct health_check *check = check_of(target);
	uint64_t now_ms = checker_now_ms(checker), at_ms;

	if (!check || checker->is_stopped) {
		timer_cancel(checker_timers(checker), &target->timer);
		return;
	}
	if (target->probe)
		return;
	if (target->health->was_checked)
		at_ms = now_ms + health_check_next_ms(target->health, check, random_next(&checker->random));
	else
		at_ms = now_ms +
			health_check_first_ms(check, checker->active_count, random_next(&checker->random));
	if (!timer_is_armed(&target->timer) || target->timer.deadline_ms > at_ms)
		target_arm(target, at_ms);
}

/* ------------------------------------------------------------------------------------ all of it */

void health_checker_init(struct health_checker *checker, struct outbound *outbound)
{
	*checker = (struct health_checker){ .outbound = outbound };
	list_init(&checker->targets);
	timer_init(&checker->scan, checker_on_scan);
	if (getrandom(&checker->random, sizeof(checker->random), 0) != (ssize_t)sizeof(checker->random) ||
	    !checker->random)
		checker->random = 1;
}

void health_checker_done(struct health_checker *checker)
{
	if (!checker->outbound)
		return;
	timer_cancel(checker_timers(checker), &checker->scan);
	while (!list_is_empty(&checker->targets)) {
		struct health_target *target = list_entry(checker->targets.next, struct health_target, node);

		timer_cancel(checker_timers(checker), &target->timer);
		if (target->probe)
			health_probe_drop(target->probe);
		target_free(target);
	}
	health_history_done(&checker->history);
	snapshot_unref(checker->snapshot);
	checker->snapshot = NULL;
}

int health_checker_attach(struct health_checker *checker, const struct snapshot *snapshot)
{
	bool has_groups = false;
	uint64_t count = 0;

	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		has_groups |= backend->health_group != NULL;
		if (backend->health_group && backend->health_group->ref->health->has_active)
			count += backend->endpoint_count;
	}
	checker->kept_most = count <= descriptors_limit() / DESCRIPTORS_SHARE ? count : 0;
	return has_groups ? outbound_open(checker->outbound) : 0;
}

void health_checker_follow(struct health_checker *checker, struct snapshot *snapshot)
{
	struct snapshot *old = checker->snapshot;

	checker->snapshot = snapshot_ref(snapshot);
	checker_name_all(checker, snapshot);
	list_each(node, next, &checker->targets)
		target_schedule(list_entry(node, struct health_target, node));
	if (!checker->may_eject)
		timer_cancel(checker_timers(checker), &checker->scan);
	else if (!timer_is_armed(&checker->scan))
		timer_arm(checker_timers(checker), &checker->scan, checker_now_ms(checker) + SCAN_MS);
	snapshot_unref(old);
}

void health_checker_stop(struct health_checker *checker)
{
	checker->is_stopped = true;
	list_each(node, next, &checker->targets)
		timer_cancel(checker_timers(checker), &list_entry(node, struct health_target, node)->timer);
}
