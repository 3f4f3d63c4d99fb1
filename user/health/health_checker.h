/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/log.h"
#include "user/health/health_history.h"
#include "user/health/health_probe.h"

/*
 * Checks the endpoints of the configuration in force, in the main thread: one checker for all workers, which
 * see its results in the endpoints' records (policy/health.h). Endpoints with active checks are checked all
 * the time, spread over their interval; those that only passive health can eject are checked when an
 * ejection is over, by a connection, until they answer. A record that several backends share is checked
 * once.
 */
struct health_target {
	struct list node;
	struct health_checker *checker;
	struct endpoint_health *health; /* of the snapshot that is followed, like the next three */
	const struct backend *backend; /* the first one that has it */
	const struct endpoint *endpoint;
	const struct health_policy *policy;
	struct health_probe *probe; /* owner; NULL: none runs */
	uint64_t started_ms; /* of the last check */
	uint64_t retry_ms; /* without active checks, or after health_checker_stop(): not before this time */
	uint64_t ejected_until_ms; /* of the last ejection that the history has */
	struct timer timer; /* the next active check */
	bool is_named; /* by the snapshot that is followed */
	bool was_late; /* the last check ended late because this thread was busy */
	char fault[HEALTH_WHY_BYTES]; /* why the last failed check failed; empty: none did */
};

struct health_checker {
	struct outbound *outbound; /* borrowed; opened by the first configuration with something to check */
	struct snapshot *snapshot; /* one reference; NULL: not yet */
	struct list targets; /* of struct health_target */
	uint32_t active_count; /* targets with active checks */
	uint32_t probe_count; /* checks under way */
	uint64_t kept_most; /* connections that may be kept between checks; 0: none are */
	bool may_eject; /* a policy may eject an endpoint */
	bool is_stopped; /* another process checks */
	struct timer scan; /* for ejections */
	uint64_t random; /* not 0 */
	uint64_t passed_total;
	uint64_t failed_total;
	struct log_rate log_unhealthy, log_healthy;
	struct health_history history;
};

void health_checker_init(struct health_checker *checker, struct outbound *outbound);
/* After the loop has ended, before outbound_close(). Does nothing without init. */
void health_checker_done(struct health_checker *checker);
/* Prepares for a snapshot that may be put into force, and sets kept_most for it. 0 or -ENOMEM. */
int health_checker_attach(struct health_checker *checker, const struct snapshot *snapshot);
/* The snapshot is in force: checks its endpoints, and no others. After outbound_follow(). */
void health_checker_follow(struct health_checker *checker, struct snapshot *snapshot);
/* Another process has taken over: only what is ejected here is still checked, for the streams that remain. */
void health_checker_stop(struct health_checker *checker);
